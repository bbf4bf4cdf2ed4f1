"""Relative strength index."""

from collections.abc import Mapping, Sequence
from typing import Annotated

from msgspec import Meta

from processors.indicator import Bar, Columns, Indicator, State


class Rsi(Indicator):
    """Wilder's index: 100 * average gain / (average gain + average loss), smoothed by 1 / period.

    The first averages are the means over the first `period` changes (J. Welles Wilder, New Concepts in
    Technical Trading Systems, 1978). A market that has never moved has an index of 0, as in TA-Lib.
    """

    period: Annotated[int, Meta(ge=2)] = 14

    def start(self) -> None:
        """Nothing seen."""
        self._seen = 0
        self._close = self._gain = self._loss = 0.0

    def update(self, candle: Bar) -> Mapping[str, float] | None:
        """See `Indicator.update`."""
        change = candle.close - self._close
        self._close = candle.close
        if self._seen == 0:
            self._seen = 1
            return None
        if self._seen <= self.period:
            self._seen += 1
        else:
            self._gain *= self.period - 1
            self._loss *= self.period - 1
        if change < 0.0:
            self._loss -= change
        else:
            self._gain += change
        if self._seen <= self.period:
            return None
        self._gain /= self.period
        self._loss /= self.period
        total = self._gain + self._loss
        return {self.name: 100.0 * (self._gain / total) if total else 0.0}

    def over(self, columns: Columns) -> Mapping[str, Sequence[float]] | None:
        """See `Indicator.over`."""
        from processors.indicator_columns import column_of, rsi_of, undefined

        (found,) = undefined(len(columns.closes), 1)
        rsi_of(column_of(columns.closes), self.period, found)
        return {self.name: found.tolist()}

    def snapshot(self) -> State:
        """Closes seen, up to the period and one; last close, average gain and loss."""
        return (self._seen, self._close, self._gain, self._loss)

    def restore(self, state: State) -> None:
        """See `Indicator.restore`."""
        self._seen = int(state[0])
        self._close, self._gain, self._loss = state[1:]
