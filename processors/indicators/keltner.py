"""Keltner channel."""

from collections.abc import Mapping, Sequence
from typing import Annotated

import numpy as np
from msgspec import Meta

from processors.indicator import Bar, Columns, Indicator, Period, State
from processors.indicators.atr import Atr
from processors.indicators.ema import Ema


class Keltner(Indicator):
    """An exponential average of the closes, and `multiplier` average true ranges above and below it.

    C. Keltner's channel (How to Make Money in Commodities, 1960) as L. B. Raschke uses it today; the range is
    Wilder's. Defined from the candle on at which both averages are.
    """

    outputs = ("upper", "middle", "lower")
    ema: Period = 20
    atr: Period = 10
    multiplier: Annotated[float, Meta(gt=0)] = 2.0

    def start(self) -> None:
        """Nothing seen."""
        self._ema, self._atr = Ema(self.ema), Atr(self.atr)

    def update(self, candle: Bar) -> Mapping[str, float] | None:
        """See `Indicator.update`."""
        middle = self._ema.take(candle.close)
        average_range = self._atr.take(candle.high, candle.low, candle.close)
        if middle is None or average_range is None:
            return None
        reach = self.multiplier * average_range
        return {"upper": middle + reach, "middle": middle, "lower": middle - reach}

    def over(self, columns: Columns) -> Mapping[str, Sequence[float]] | None:
        """See `Indicator.over`."""
        from processors.indicator_columns import atr_of, column_of, ema_of, undefined

        closes = column_of(columns.closes)
        middle, ranges = undefined(len(closes), 2)
        ema_of(closes, self.ema, middle)
        atr_of(column_of(columns.highs), column_of(columns.lows), closes, self.atr, ranges)
        reach = self.multiplier * ranges
        middle[np.isnan(reach)] = np.nan
        found = (middle + reach, middle, middle - reach)
        return dict(zip(self.outputs, map(np.ndarray.tolist, found), strict=True))

    def snapshot(self) -> State:
        """Both averages."""
        return (*self._ema.snapshot(), *self._atr.snapshot())

    def restore(self, state: State) -> None:
        """See `Indicator.restore`."""
        self._ema.restore(state[:2])
        self._atr.restore(state[2:])
