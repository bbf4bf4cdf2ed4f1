"""Simple moving average."""

from collections import deque
from collections.abc import Mapping, Sequence

from processors.fixed_point import BITS, UNITS, window_means
from processors.indicator import Bar, Columns, Indicator, Period, State


class Sma(Indicator):
    """Mean of the last `period` closes.

    It is rounded once, from their exact sum (`processors/fixed_point.py`): nothing drifts, and closes that do
    not change are their own mean.
    """

    period: Period = 20

    def start(self) -> None:
        """An empty window."""
        self._window: deque[float] = deque(maxlen=self.period)
        self._sum = 0
        self._divisor = self.period << BITS

    def update(self, candle: Bar) -> Mapping[str, float] | None:
        """See `Indicator.update`."""
        mean = self.take(candle.close)
        return None if mean is None else {self.name: mean}

    def take(self, value: float) -> float | None:
        """The mean of the last values, for indicators that average something else than closes."""
        window = self._window
        if len(window) == self.period:
            self._sum += int(value * UNITS) - int(window[0] * UNITS)
            window.append(value)
            return self._sum / self._divisor
        self._sum += int(value * UNITS)
        window.append(value)
        return self._sum / self._divisor if len(window) == self.period else None

    def over(self, columns: Columns) -> Mapping[str, Sequence[float]] | None:
        """See `Indicator.over`."""
        means = window_means(columns.closes, self.period)
        return None if means is None else {self.name: means}

    def snapshot(self) -> State:
        """The window; the sum follows from it."""
        return tuple(self._window)

    def restore(self, state: State) -> None:
        """See `Indicator.restore`."""
        self._window = deque(state, maxlen=self.period)
        self._sum = sum(int(value * UNITS) for value in state)
