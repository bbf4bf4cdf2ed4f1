"""Weighted moving average."""

from collections import deque
from collections.abc import Mapping

from processors.fixed_point import BITS, UNITS
from processors.indicator import Bar, Indicator, Period, State


class Wma(Indicator):
    """Mean of the last `period` closes with weights 1, 2, ... period, the newest the heaviest.

    A step takes the plain sum from the weighted one, which lowers every weight by 1, and adds the newest
    close `period` times. Both sums are exact (`processors/fixed_point.py`): nothing drifts.
    """

    period: Period = 20

    def start(self) -> None:
        """An empty window."""
        self._window: deque[float] = deque(maxlen=self.period)
        self._sum = self._weighted = 0
        self._divisor = (self.period * (self.period + 1) // 2) << BITS

    def update(self, candle: Bar) -> Mapping[str, float] | None:
        """See `Indicator.update`."""
        window, newest = self._window, int(candle.close * UNITS)
        if len(window) == self.period:
            self._weighted += self.period * newest - self._sum
            self._sum += newest - int(window[0] * UNITS)
            window.append(candle.close)
            return {self.name: self._weighted / self._divisor}
        window.append(candle.close)
        self._weighted += len(window) * newest
        self._sum += newest
        return {self.name: self._weighted / self._divisor} if len(window) == self.period else None

    def snapshot(self) -> State:
        """The window; the sums follow from it."""
        return tuple(self._window)

    def restore(self, state: State) -> None:
        """See `Indicator.restore`."""
        self._window = deque(state, maxlen=self.period)
        closes = [int(close * UNITS) for close in state]
        self._sum = sum(closes)
        self._weighted = sum(weight * close for weight, close in enumerate(closes, 1))
