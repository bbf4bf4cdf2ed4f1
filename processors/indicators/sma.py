"""Simple moving average."""

from collections import deque
from collections.abc import Mapping

from processors.indicator import Bar, Indicator, Period, State


class Sma(Indicator):
    """Mean of the last `period` closes.

    The sum moves with the window in double-double: what a close adds is taken away again to the last bit, so
    a huge price that has left the window leaves no trace, and nothing drifts.
    """

    period: Period = 20

    def start(self) -> None:
        """An empty window."""
        self._closes: deque[float] = deque(maxlen=self.period)
        self._high = self._low = 0.0

    def update(self, candle: Bar) -> Mapping[str, float] | None:
        """See `Indicator.update`."""
        if len(self._closes) == self.period:
            self._add(-self._closes[0])
        self._closes.append(candle.close)
        self._add(candle.close)
        if len(self._closes) < self.period:
            return None
        return {self.name: (self._high + self._low) / self.period}

    def _add(self, value: float) -> None:
        before = self._high
        total = before + value
        part = total - before
        error = (before - (total - part)) + (value - part) + self._low
        self._high = total + error
        self._low = error - (self._high - total)

    def snapshot(self) -> State:
        """Sum and window."""
        return (self._high, self._low, *self._closes)

    def restore(self, state: State) -> None:
        """See `Indicator.restore`."""
        self._high, self._low, *closes = state
        self._closes = deque(closes, maxlen=self.period)
