"""On-balance volume."""

from collections.abc import Mapping, Sequence

from processors.indicator import Bar, Columns, Indicator, State
from processors.long_sum import LongSum


class Obv(Indicator):
    """Volume of candles that close above the one before, less that of those that close below; base units.

    It begins with the volume of the first candle, as in TA-Lib: only its changes mean something
    (J. Granville, Granville's New Key to Stock Market Profits, 1963).
    """

    def start(self) -> None:
        """Nothing seen."""
        self._seen = 0
        self._close = 0.0
        self._sum = LongSum()

    def update(self, candle: Bar) -> Mapping[str, float] | None:
        """See `Indicator.update`."""
        close, before = candle.close, self._close
        self._close = close
        if close > before or not self._seen:
            self._seen = 1
            return {self.name: self._sum.add(candle.volume)}
        return {self.name: self._sum.add(-candle.volume) if close < before else self._sum.value}

    def over(self, columns: Columns) -> Mapping[str, Sequence[float]] | None:
        """See `Indicator.over`."""
        from processors.indicator_columns import column_of, obv_of, undefined

        (found,) = undefined(len(columns.closes), 1)
        obv_of(column_of(columns.closes), column_of(columns.volumes), found)
        return {self.name: found.tolist()}

    def snapshot(self) -> State:
        """Whether there was a candle, its close, the sum."""
        return (self._seen, self._close, *self._sum.snapshot())

    def restore(self, state: State) -> None:
        """See `Indicator.restore`."""
        self._seen, self._close = int(state[0]), state[1]
        self._sum.restore(*state[2:])
