"""The line of the MACD crosses its signal line."""

from collections.abc import Mapping, Sequence

from processors.crossing import Crossing
from processors.indicator import Bar, Indicator, Period, State
from processors.indicators.macd import Macd
from processors.signal import Decision, SignalRule


class MacdCross(SignalRule):
    """Fires long when the MACD comes to stand above its signal line, short when below.

    The crossing of Gerald Appel (Technical Analysis: Power Tools for Active Investors, 2005), at any distance
    from zero; filter by the value of `macd` for crossings below or above zero alone. Strength is the part of
    the last step that lies beyond the crossing, see `Crossing`.
    """

    fast: Period = 12
    slow: Period = 26
    signal: Period = 9

    def start(self) -> None:
        """No side known.

        Raises:
            ConfigurationError: The fast average is not the faster one.
        """
        self._macd = Macd(self.fast, self.slow, self.signal)
        self._histogram = self._macd.names()["histogram"]
        self._crossing = Crossing()

    def needs(self) -> Sequence[Indicator]:
        """The lines."""
        return (self._macd,)

    def update(self, candle: Bar, values: Mapping[str, float]) -> Decision | None:
        """See `SignalRule.update`."""
        crossed = self._crossing.update(values[self._histogram], candle.close)
        return None if crossed is None else Decision(*crossed, dict(values))

    def snapshot(self) -> State:
        """Side and last difference."""
        return self._crossing.snapshot()

    def restore(self, state: State) -> None:
        """See `SignalRule.restore`."""
        self._crossing.restore(state)
