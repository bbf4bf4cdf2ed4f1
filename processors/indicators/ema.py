"""Exponential moving average."""

from collections.abc import Mapping, Sequence

from processors.indicator import Bar, Columns, Indicator, Period, State


class Ema(Indicator):
    """Closes weighted by powers of 1 - 2 / (period + 1).

    Begun with the mean of the first `period` closes, as TA-Lib does, and rounded where it rounds: differences
    of averages, as in MACD, then agree where they are close to zero, too.
    """

    period: Period = 20

    def start(self) -> None:
        """Nothing seen."""
        self._seen = 0
        self._value = 0.0  # the sum of the closes until there are enough of them
        self._weight = 2.0 / (self.period + 1)

    def update(self, candle: Bar) -> Mapping[str, float] | None:
        """See `Indicator.update`."""
        average = self.take(candle.close)
        return None if average is None else {self.name: average}

    def take(self, value: float) -> float | None:
        """The average of the values so far, for indicators that average something else than closes."""
        if self._seen == self.period:
            self._value += (value - self._value) * self._weight
            return self._value
        if self.period == 1:
            return value  # nothing to be averaged, nothing to be rounded
        self._seen += 1
        self._value += value
        if self._seen < self.period:
            return None
        self._value /= self.period
        return self._value

    def over(self, columns: Columns) -> Mapping[str, Sequence[float]] | None:
        """See `Indicator.over`."""
        from processors.indicator_columns import column_of, ema_of, undefined

        (found,) = undefined(len(columns.closes), 1)
        ema_of(column_of(columns.closes), self.period, found)
        return {self.name: found.tolist()}

    def snapshot(self) -> State:
        """Closes seen, up to the period, and the average or the sum."""
        return (self._seen, self._value)

    def restore(self, state: State) -> None:
        """See `Indicator.restore`."""
        self._seen, self._value = int(state[0]), state[1]
