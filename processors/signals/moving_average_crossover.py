"""A fast moving average crosses a slow one."""

from collections.abc import Mapping, Sequence

from processors.indicator import Bar, Indicator, Period, State
from processors.indicators.sma import Sma
from processors.signal import Decision, SignalRule
from schemas.errors import ConfigurationError


class MovingAverageCrossover(SignalRule):
    """Fires long when the fast average comes to stand above the slow one, short when below.

    With d the difference fast - slow at this candle and d0 at the one before, strength = |d| / (|d| + |d0|):
    the part of the last step that lies beyond the crossing. Averages that only touch do not cross; the side
    on which they begin is no crossing.
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
        self._side = 0
        self._difference = 0.0

    def needs(self) -> Sequence[Indicator]:
        """The two averages."""
        return self._indicators

    def update(self, candle: Bar, values: Mapping[str, float]) -> Decision | None:
        """See `SignalRule.update`."""
        fast, slow = (indicator.label for indicator in self._indicators)
        before, difference = self._difference, values[fast] - values[slow]
        self._difference = difference
        side = (difference > 0.0) - (difference < 0.0)
        if side == 0 or side == self._side:
            return None
        crossed, self._side = self._side != 0, side
        if not crossed:
            return None
        return Decision(
            direction="long" if side > 0 else "short",
            strength=abs(difference) / (abs(difference) + abs(before)),
            values={fast: values[fast], slow: values[slow]},
        )

    def snapshot(self) -> State:
        """Side of the last crossing and last difference."""
        return (self._side, self._difference)

    def restore(self, state: State) -> None:
        """See `SignalRule.restore`."""
        self._side, self._difference = int(state[0]), state[1]
