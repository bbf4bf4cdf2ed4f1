"""Stochastic oscillator."""

from collections.abc import Mapping

from processors.extremes import Extremes
from processors.indicator import Bar, Indicator, Period, State
from processors.indicators.sma import Sma


class Stochastic(Indicator):
    """Where the close stands between the lowest and the highest price of the last `k` candles, 0 to 100.

    `k` is that place, averaged over `smooth` candles, `d` the average of `k` over `d` candles: the slow form
    of G. Lane. Both appear together, at candle `k + smooth + d - 2`, as in TA-Lib. Prices that have not moved
    in the window give the place 0, as there.
    """

    outputs = ("k", "d")
    k: Period = 14
    smooth: Period = 3
    d: Period = 3

    def start(self) -> None:
        """An empty window."""
        self._extremes = Extremes(self.k)
        self._k, self._d = Sma(self.smooth), Sma(self.d)

    def update(self, candle: Bar) -> Mapping[str, float] | None:
        """See `Indicator.update`."""
        extremes = self._extremes
        if not extremes.push(candle.high, candle.low):
            return None
        hundredth = (extremes.highest - extremes.lowest) / 100.0
        k = self._k.take((candle.close - extremes.lowest) / hundredth if hundredth else 0.0)
        if k is None:
            return None
        d = self._d.take(k)
        return None if d is None else {"k": k, "d": d}

    def snapshot(self) -> State:
        """Sizes of the windows of `k` and `d`, those windows, highs, lows."""
        k, d = self._k.snapshot(), self._d.snapshot()
        return (len(k), len(d), *k, *d, *self._extremes.snapshot())

    def restore(self, state: State) -> None:
        """See `Indicator.restore`."""
        k, d = 2 + int(state[0]), 2 + int(state[0]) + int(state[1])
        self._k.restore(state[2:k])
        self._d.restore(state[k:d])
        self._extremes.restore(state[d:])
