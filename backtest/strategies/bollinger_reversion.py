"""Bollinger bands, traded back to their middle."""

from kandle import ClosedCandle, Fill, NotNegative, Order, Period, Positive, Sizer, SizingRule, Strategy


class BollingerReversion(Strategy):
    """Buys a close below the lower band and sells at the middle; short from a close above the upper band.

    At the close of each candle, with the bands that hold it: a long position is closed by a close at the
    middle band or above, a short one by a close there or below; without a position, a close below the lower
    band buys and one above the upper band sells short, all at the market. The stop of a position lies `stop`
    half-widths of the bands, as they are then, behind the close that opens it; 0: it has none, and cannot be
    sized by risk.
    """

    period: Period = 20
    deviations: Positive = 2.0
    stop: NotNegative = 1.0
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
        self.levels: dict[str, float | None] = {}
        self.stops: dict[str, Order] = {}

    def on_candle(self, candle: ClosedCandle) -> None:
        """Enter outside of the bands, leave at the middle."""
        market, close = candle.market, candle.close
        upper, middle, lower = (band[0] for band in self.bands[market])
        held = self.position(market)
        if (held > 0 and close >= middle) or (held < 0 and close <= middle):
            self.close(market)
        elif not held and (close < lower or close > upper):
            below = close < lower
            reach = self.stop * (upper - middle)
            self.levels[market] = level = (close - reach if below else close + reach) if reach else None
            self.sizer.go(market, "buy" if below else "sell", close, level)

    def on_fill(self, fill: Fill) -> None:
        """Keep a stop for what is held."""
        market, held = fill.market, self.position(fill.market)
        stop = self.stops.pop(market, None)
        if stop is not None:
            self.cancel(stop)
        level = self.levels.get(market)
        if held and level is not None and level > 0.0:
            order = self.sell if held > 0 else self.buy
            self.stops[market] = order(market, abs(held), stop=level, reduce_only=True)
