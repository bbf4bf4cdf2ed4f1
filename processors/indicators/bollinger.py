"""Bollinger bands."""

from collections import deque
from collections.abc import Mapping, Sequence
from math import sqrt
from typing import Annotated

import numpy as np
from msgspec import Meta

from processors.fixed_point import BITS, UNITS, window_means
from processors.indicator import Bar, Columns, Indicator, Period, State


class Bollinger(Indicator):
    """Mean of the last `period` closes, and `deviations` standard deviations above and below it.

    The deviation is the population's: squares are divided by `period` (J. Bollinger, Bollinger on Bollinger
    Bands, 2001). With sums that are exact (`processors/fixed_point.py`), the difference of mean square and
    squared mean is too: it is rounded once, never below zero, and 0 for closes that do not move.
    """

    outputs = ("upper", "middle", "lower")
    period: Period = 20
    deviations: Annotated[float, Meta(gt=0)] = 2.0

    def start(self) -> None:
        """An empty window."""
        self._window: deque[float] = deque(maxlen=self.period)
        self._sum = self._squares = 0
        self._divisor = self.period << BITS
        self._variance_divisor = self._divisor * self._divisor

    def update(self, candle: Bar) -> Mapping[str, float] | None:
        """See `Indicator.update`."""
        window, newest = self._window, int(candle.close * UNITS)
        if len(window) == self.period:
            oldest = int(window[0] * UNITS)
            self._squares += (newest - oldest) * (newest + oldest)
            newest -= oldest
        else:
            self._squares += newest * newest
        self._sum = total = self._sum + newest
        window.append(candle.close)
        if len(window) < self.period:
            return None
        middle = total / self._divisor
        variance = (self.period * self._squares - total * total) / self._variance_divisor
        reach = self.deviations * sqrt(variance)
        return {"upper": middle + reach, "middle": middle, "lower": middle - reach}

    def over(self, columns: Columns) -> Mapping[str, Sequence[float]] | None:
        """See `Indicator.over`."""
        from processors.indicator_columns import deviations_of

        means, roots = window_means(columns.closes, self.period), deviations_of(columns.closes, self.period)
        if means is None or roots is None:
            return None
        middle, reach = np.array(means), self.deviations * roots
        return {"upper": (middle + reach).tolist(), "middle": means, "lower": (middle - reach).tolist()}

    def snapshot(self) -> State:
        """The window; the sums follow from it."""
        return tuple(self._window)

    def restore(self, state: State) -> None:
        """See `Indicator.restore`."""
        self._window = deque(state, maxlen=self.period)
        closes = [int(close * UNITS) for close in state]
        self._sum = sum(closes)
        self._squares = sum(close * close for close in closes)
