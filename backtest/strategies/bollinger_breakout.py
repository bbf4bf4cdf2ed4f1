"""Bollinger bands, followed where the close leaves them."""

from kandle import ClosedCandle, Period, Positive, Sizer, SizingRule, Strategy


class BollingerBreakout(Strategy):
    """Long from a close above the upper band until one below the middle; short from one below the lower band.

    At the close of each candle, with the bands that hold it: above the upper band the position becomes long,
    below the lower one short, at the market. Else a long position is closed by a close below the middle band,
    a short one by a close above it. Sizing by risk takes the middle band for the stop (J. Bollinger,
    Bollinger on Bollinger Bands, 2001, his first method).
    """

    period: Period = 20
    deviations: Positive = 2.0
    sizing: SizingRule = "all"
    amount: Positive = 1.0

    def on_start(self) -> None:
        """Ask for the bands of every market."""
        spec = f"bollinger({self.period},{self.deviations})"
        self.sizer = Sizer(self, self.sizing, self.amount)
        self.bands = {
            market: [self.line(f"{spec}.{name}", market) for name in ("upper", "middle", "lower")]
            for market in self.desk.markets
        }

    def on_candle(self, candle: ClosedCandle) -> None:
        """Follow the close out of the bands, leave at the middle."""
        market, close = candle.market, candle.close
        upper, middle, lower = (band[0] for band in self.bands[market])
        held = self.position(market)
        if close > upper and held <= 0:
            self.sizer.go(market, "buy", close, middle)
        elif close < lower and held >= 0:
            self.sizer.go(market, "sell", close, middle)
        elif (held > 0 and close < middle) or (held < 0 and close > middle):
            self.close(market)
