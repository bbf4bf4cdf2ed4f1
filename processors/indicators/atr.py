"""Average true range."""

from collections.abc import Mapping, Sequence

from processors.indicator import Bar, Columns, Indicator, Period, State


class Atr(Indicator):
    """True ranges smoothed by 1 / period, begun with the mean of the first `period` of them.

    A true range is the distance from the lowest to the highest of high, low and the close before; the first
    candle has none (J. Welles Wilder, New Concepts in Technical Trading Systems, 1978).
    """

    period: Period = 14

    def start(self) -> None:
        """Nothing seen."""
        self._seen = 0
        self._close = self._value = 0.0  # the sum of the ranges until there are enough of them

    def update(self, candle: Bar) -> Mapping[str, float] | None:
        """See `Indicator.update`."""
        average = self.take(candle.high, candle.low, candle.close)
        return None if average is None else {self.name: average}

    def take(self, high: float, low: float, close: float) -> float | None:
        """The average up to a candle, for indicators that are made of it."""
        before, self._close = self._close, close
        seen = self._seen
        true_range = (high if high > before else before) - (low if low < before else before)
        if seen > self.period:
            self._value = average = (self._value * (self.period - 1) + true_range) / self.period
            return average
        self._seen = seen + 1
        if seen == 0:
            return None
        self._value += true_range
        if seen < self.period:
            return None
        self._value /= self.period
        return self._value

    def over(self, columns: Columns) -> Mapping[str, Sequence[float]] | None:
        """See `Indicator.over`."""
        from processors.indicator_columns import atr_of, prices_of, undefined

        (found,) = undefined(len(columns.closes), 1)
        atr_of(*prices_of(columns), self.period, found)
        return {self.name: found.tolist()}

    def snapshot(self) -> State:
        """Candles seen, up to the period and one; last close, average or sum."""
        return (self._seen, self._close, self._value)

    def restore(self, state: State) -> None:
        """See `Indicator.restore`."""
        self._seen = int(state[0])
        self._close, self._value = state[1:]
