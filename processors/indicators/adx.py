"""Average directional index."""

from collections.abc import Mapping, Sequence
from typing import Annotated

from msgspec import Meta

from processors.indicator import Bar, Columns, Indicator, State


class Adx(Indicator):
    """Wilder's directional indicators, 0 to 100, and the average strength of the trend they show.

    Directional movements and true ranges are summed over `period - 1` candles and then smoothed by
    1 / period; `plus_di` and `minus_di` are their ratios, from candle `period + 1` on. `adx` is the smoothed
    100 * |plus_di - minus_di| / (plus_di + minus_di), begun with the mean of the first `period` of them, from
    candle `2 * period` on: until then it is left out. Without a range there is no direction, and without
    a direction the index stays (J. Welles Wilder, New Concepts in Technical Trading Systems, 1978, in the
    form that TA-Lib gave it).
    """

    outputs = ("adx", "plus_di", "minus_di")
    period: Annotated[int, Meta(ge=2)] = 14

    def start(self) -> None:
        """Nothing seen."""
        self._seen = 0
        self._high = self._low = self._close = 0.0
        self._plus = self._minus = self._range = 0.0
        self._adx = 0.0  # the sum of the first indices until there are enough of them

    def update(self, candle: Bar) -> Mapping[str, float] | None:
        """See `Indicator.update`."""
        high, low, close, period, seen = candle.high, candle.low, self._close, self.period, self._seen
        up, down = high - self._high, self._low - low
        self._high, self._low, self._close = high, low, candle.close
        if seen < 2 * period:
            self._seen = seen + 1
            if seen == 0:
                return None
        if seen >= period:
            self._plus -= self._plus / period
            self._minus -= self._minus / period
            self._range -= self._range / period
        if up > down:
            if up > 0.0:
                self._plus += up
        elif down > up and down > 0.0:
            self._minus += down
        self._range += (high if high > close else close) - (low if low < close else close)
        return None if seen < period else self._indices(seen)

    def _indices(self, seen: int) -> Mapping[str, float]:
        period, plus, minus, index = self.period, 0.0, 0.0, None
        if self._range:
            plus, minus = 100.0 * (self._plus / self._range), 100.0 * (self._minus / self._range)
            if plus + minus:
                index = 100.0 * (abs(minus - plus) / (plus + minus))
        if seen < 2 * period:
            self._adx += index or 0.0
            if seen < 2 * period - 1:
                return {"plus_di": plus, "minus_di": minus}
            self._adx /= period
        elif index is not None:
            self._adx = (self._adx * (period - 1) + index) / period
        return {"adx": self._adx, "plus_di": plus, "minus_di": minus}

    def over(self, columns: Columns) -> Mapping[str, Sequence[float]] | None:
        """See `Indicator.over`."""
        from processors.indicator_columns import adx_of, prices_of, undefined

        found = undefined(len(columns.closes), 3)
        adx_of(*prices_of(columns), self.period, found)
        return dict(zip(self.outputs, found.tolist(), strict=True))

    def snapshot(self) -> State:
        """Candles seen, up to twice the period; last prices, smoothed movements and range, average or sum."""
        last = (self._high, self._low, self._close)
        return (self._seen, *last, self._plus, self._minus, self._range, self._adx)

    def restore(self, state: State) -> None:
        """See `Indicator.restore`."""
        self._seen = int(state[0])
        self._high, self._low, self._close = state[1:4]
        self._plus, self._minus, self._range, self._adx = state[4:]
