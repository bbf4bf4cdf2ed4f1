"""A fast moving average crosses a slow one."""

from collections.abc import Mapping, Sequence

from processors.crossing import Crossing
from processors.indicator import Bar, Indicator, Period, State
from processors.indicators.sma import Sma
from processors.signal import Decision, SignalRule
from schemas.errors import ConfigurationError


class MovingAverageCrossover(SignalRule):
    """Fires long when the fast simple average comes to stand above the slow one, short when below.

    Strength is the part of the last step that lies beyond the crossing, see `Crossing`.
    """

    fast: Period = 10
    slow: Period = 30

    def start(self) -> None:
        """No side known.

        Raises:
            ConfigurationError: The fast average is not the faster one.
        """
        if self.fast >= self.slow:
            raise ConfigurationError(f"{self.name} needs fast < slow, got {self.fast} and {self.slow}")
        self._indicators = (Sma(self.fast), Sma(self.slow))
        self._names = tuple(indicator.label for indicator in self._indicators)
        self._crossing = Crossing()

    def needs(self) -> Sequence[Indicator]:
        """The two averages."""
        return self._indicators

    def update(self, candle: Bar, values: Mapping[str, float]) -> Decision | None:
        """See `SignalRule.update`."""
        fast, slow = self._names
        crossed = self._crossing.update(values[fast] - values[slow], values[slow])
        if crossed is None:
            return None
        return Decision(*crossed, {fast: values[fast], slow: values[slow]})

    def snapshot(self) -> State:
        """Side and last difference."""
        return self._crossing.snapshot()

    def restore(self, state: State) -> None:
        """See `SignalRule.restore`."""
        self._crossing.restore(state)
