"""Moving average convergence and divergence."""

from collections.abc import Mapping, Sequence

import numpy as np

from processors.indicator import Bar, Columns, Indicator, Period, State
from processors.indicators.ema import Ema
from schemas.errors import ConfigurationError


class Macd(Indicator):
    """A fast exponential average of the closes less a slow one, its own average, and their difference.

    As TA-Lib computes it: the fast average begins late enough to be defined together with the slow one, at
    candle `slow`, and the three outputs appear together, at candle `slow + signal - 1` (G. Appel, Technical
    Analysis: Power Tools for Active Investors, 2005).
    """

    outputs = ("macd", "signal", "histogram")
    fast: Period = 12
    slow: Period = 26
    signal: Period = 9

    def start(self) -> None:
        """Nothing seen.

        Raises:
            ConfigurationError: The fast average is not the faster one.
        """
        if self.fast >= self.slow:
            raise ConfigurationError(f"{self.name} needs fast < slow, got {self.fast} and {self.slow}")
        self._left_out = 0  # by the fast average
        self._fast, self._slow, self._signal = Ema(self.fast), Ema(self.slow), Ema(self.signal)

    def update(self, candle: Bar) -> Mapping[str, float] | None:
        """See `Indicator.update`."""
        slow = self._slow.take(candle.close)
        if self._left_out < self.slow - self.fast:
            self._left_out += 1
            return None
        fast = self._fast.take(candle.close)
        if fast is None or slow is None:
            return None
        macd = fast - slow
        signal = self._signal.take(macd)
        if signal is None:
            return None
        return {"macd": macd, "signal": signal, "histogram": macd - signal}

    def over(self, columns: Columns) -> Mapping[str, Sequence[float]] | None:
        """See `Indicator.over`."""
        from processors.indicator_columns import column_of, ema_of, undefined

        closes = column_of(columns.closes)
        fast, slow, signal = undefined(len(closes), 3)
        left_out = self.slow - self.fast
        ema_of(closes, self.slow, slow)
        ema_of(closes[left_out:], self.fast, fast[left_out:])
        macd = fast - slow
        ema_of(macd, self.signal, signal)
        macd[np.isnan(signal)] = np.nan
        return dict(zip(self.outputs, map(np.ndarray.tolist, (macd, signal, macd - signal)), strict=True))

    def snapshot(self) -> State:
        """Closes left out, then the fast, the slow and the signal's average."""
        return (
            self._left_out,
            *self._fast.snapshot(),
            *self._slow.snapshot(),
            *self._signal.snapshot(),
        )

    def restore(self, state: State) -> None:
        """See `Indicator.restore`."""
        self._left_out = int(state[0])
        self._fast.restore(state[1:3])
        self._slow.restore(state[3:5])
        self._signal.restore(state[5:])
