"""Supertrend."""

from collections.abc import Mapping, Sequence
from typing import Annotated

from msgspec import Meta

from processors.indicator import Bar, Columns, Indicator, Period, State
from processors.indicators.atr import Atr


class Supertrend(Indicator):
    """A stop that follows the trend at `multiplier` average true ranges (Wilder's) and never steps back.

    Bands lie that far above and below the middle of the candle. The upper one only falls and the lower one
    only rises, until the close before has passed it. `line` is the lower band while the trend is up
    (`direction` 1) and the upper one while it is down (-1); a close beyond the line turns the trend. It
    begins as down, at the candle at which the average range is defined (O. Seban; TradingView's
    `ta.supertrend`).
    """

    outputs = ("line", "direction")
    period: Period = 10
    multiplier: Annotated[float, Meta(gt=0)] = 3.0

    def start(self) -> None:
        """Nothing seen."""
        self._atr = Atr(self.period)
        self._direction = 0
        self._close = self._upper = self._lower = 0.0

    def update(self, candle: Bar) -> Mapping[str, float] | None:
        """See `Indicator.update`."""
        close, before = candle.close, self._close
        self._close = close
        average_range = self._atr.take(candle.high, candle.low, close)
        if average_range is None:
            return None
        middle, reach = (candle.high + candle.low) / 2.0, self.multiplier * average_range
        upper, lower = middle + reach, middle - reach
        if self._direction == 0:
            self._direction = -1
        else:
            if upper > self._upper >= before:
                upper = self._upper
            if lower < self._lower <= before:
                lower = self._lower
            if close > upper:
                self._direction = 1
            elif close < lower:
                self._direction = -1
        self._upper, self._lower = upper, lower
        up = self._direction > 0
        return {"line": lower if up else upper, "direction": 1.0 if up else -1.0}

    def over(self, columns: Columns) -> Mapping[str, Sequence[float]] | None:
        """See `Indicator.over`."""
        from processors.indicator_columns import atr_of, prices_of, supertrend_of, undefined

        prices = prices_of(columns)
        (ranges,), found = undefined(len(prices[0]), 1), undefined(len(prices[0]), 2)
        atr_of(*prices, self.period, ranges)
        supertrend_of(*prices, ranges, self.multiplier, found)
        return dict(zip(self.outputs, found.tolist(), strict=True))

    def snapshot(self) -> State:
        """Direction (0: none yet), last close, both bands, average range."""
        bands = (self._direction, self._close, self._upper, self._lower)
        return (*bands, *self._atr.snapshot())

    def restore(self, state: State) -> None:
        """See `Indicator.restore`."""
        self._direction = int(state[0])
        self._close, self._upper, self._lower = state[1:4]
        self._atr.restore(state[4:])
