"""Moving average convergence and divergence, traded at its crossings."""

from kandle import ClosedCandle, ConfigurationError, Period, Positive, Sizer, SizingRule, Strategy


class Macd(Strategy):
    """Long when the MACD crosses above its signal line, short when it crosses below.

    At the close of a crossing candle the position is turned at the market; between crossings it is held.
    There is no stop: `sizing` is any rule but risk (G. Appel, Technical Analysis: Power Tools for Active
    Investors, 2005).
    """

    fast: Period = 12
    slow: Period = 26
    signal: Period = 9
    sizing: SizingRule = "all"
    amount: Positive = 1.0

    def start(self) -> None:
        """Refuse averages that are no MACD, and sizes that need a stop."""
        if self.fast >= self.slow:
            raise ConfigurationError(f"macd: fast ({self.fast}) is to be below slow ({self.slow})")
        if self.sizing == "risk":
            raise ConfigurationError("macd has no stop: size it by another rule than risk")

    def on_start(self) -> None:
        """Ask for both lines of every market."""
        spec = f"macd({self.fast},{self.slow},{self.signal})"
        self.sizer = Sizer(self, self.sizing, self.amount)
        self.lines = {
            market: (self.line(f"{spec}.macd", market), self.line(f"{spec}.signal", market))
            for market in self.desk.markets
        }

    def on_candle(self, candle: ClosedCandle) -> None:
        """Turn the position at a crossing."""
        macd, signal = self.lines[candle.market]
        side = macd.crossed(signal)
        if side:
            self.sizer.go(candle.market, "buy" if side > 0 else "sell", candle.close)
