"""Donchian channel."""

from collections.abc import Mapping, Sequence

import numpy as np

from processors.extremes import Extremes
from processors.indicator import Bar, Columns, Indicator, Period, State


class Donchian(Indicator):
    """Highest high and lowest low of the last `period` candles, the newest included, and the middle of both.

    (R. Donchian, High Finance in Copper, 1960.)
    """

    outputs = ("upper", "middle", "lower")
    period: Period = 20

    def start(self) -> None:
        """An empty window."""
        self._extremes = Extremes(self.period)

    def update(self, candle: Bar) -> Mapping[str, float] | None:
        """See `Indicator.update`."""
        extremes = self._extremes
        if not extremes.push(candle.high, candle.low):
            return None
        upper, lower = extremes.highest, extremes.lowest
        return {"upper": upper, "middle": (upper + lower) / 2.0, "lower": lower}

    def over(self, columns: Columns) -> Mapping[str, Sequence[float]] | None:
        """See `Indicator.over`."""
        from processors.indicator_columns import column_of, highest_of, undefined

        upper, lower = undefined(len(columns.closes), 2)
        highest_of(column_of(columns.highs), self.period, 1.0, upper)
        highest_of(column_of(columns.lows), self.period, -1.0, lower)
        found = (upper, (upper + lower) / 2.0, lower)
        return dict(zip(self.outputs, map(np.ndarray.tolist, found), strict=True))

    def snapshot(self) -> State:
        """Highs and lows of the window."""
        return self._extremes.snapshot()

    def restore(self, state: State) -> None:
        """See `Indicator.restore`."""
        self._extremes.restore(state)
