"""Moving-average crossover."""

from kandle import ClosedCandle, ConfigurationError, Period, Strategy


class SmaCross(Strategy):
    """Long when the fast average of closes crosses above the slow one, short when it crosses below."""

    fast: Period = 10
    slow: Period = 30

    def start(self) -> None:
        """Refuse averages that cannot cross in this sense."""
        if self.fast >= self.slow:
            raise ConfigurationError(f"sma_cross: fast ({self.fast}) is to be below slow ({self.slow})")

    def on_start(self) -> None:
        """Ask for both averages of every market."""
        self.lines = {
            market: (self.line(f"sma({self.fast})", market), self.line(f"sma({self.slow})", market))
            for market in self.desk.markets
        }

    def on_candle(self, candle: ClosedCandle) -> None:
        """Turn the position at a crossing, with all that is free."""
        fast, slow = self.lines[candle.market]
        side = fast.crossed(slow)
        if side:
            self.close(candle.market)
            order = self.buy if side > 0 else self.sell
            order(candle.market)
