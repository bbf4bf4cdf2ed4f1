"""Divergence of the price and the relative strength index."""

from kandle import (
    ClosedCandle,
    Fill,
    NotNegative,
    Order,
    Period,
    Positive,
    Signal,
    Sizer,
    SizingRule,
    Strategy,
    market_key,
)


class RsiDivergence(Strategy):
    """Buys where a lower low comes at a higher index, sells short where a higher high comes at a lower one.

    It trades the signal rule `rsi_divergence(period,left,right,within)`, at the market after the candle at
    which it fires, unless it holds that side already. The stop lies at the low, or high, that diverged; a
    limit takes the profit at `reward` times the distance between entry and stop, 0: never. A signal of the
    other side turns the position. A close that stands beyond the stop already is not traded.
    """

    period: Period = 14
    left: Period = 5
    right: Period = 5
    within: Period = 60
    reward: NotNegative = 2.0
    sizing: SizingRule = "all"
    amount: Positive = 1.0

    def on_start(self) -> None:
        """Watch the rule in every market."""
        self.sizer = Sizer(self, self.sizing, self.amount)
        self.closes: dict[str, float] = {}
        self.levels: dict[str, float] = {}
        self.exits: dict[str, list[Order]] = {}
        for market in self.desk.markets:
            self.watch(f"rsi_divergence({self.period},{self.left},{self.right},{self.within})", market)

    def on_candle(self, candle: ClosedCandle) -> None:
        """Remember the price."""
        self.closes[candle.market] = candle.close

    def on_signal(self, signal: Signal) -> None:
        """Enter, with the swing for the stop."""
        market = market_key(signal.venue, signal.symbol)
        up = signal.direction == "long"
        held, close = self.position(market), self.closes[market]
        level = signal.values["low" if up else "high"]
        if (held > 0 if up else held < 0) or (close <= level if up else close >= level):
            return
        self.levels[market] = level
        self.sizer.go(market, "buy" if up else "sell", close, level)

    def on_fill(self, fill: Fill) -> None:
        """Keep both exits for what is held."""
        market, held = fill.market, self.position(fill.market)
        exits = self.exits.get(market, [])
        if held and any(fill.order is each for each in exits):
            return  # a part of the position has left; the other exit has become smaller by itself
        for order in exits:
            self.cancel(order)
        self.exits[market] = []
        if not held:
            return
        side, level, price = (self.sell if held > 0 else self.buy), self.levels[market], float(fill.price)
        if (price <= level) if held > 0 else (price >= level):
            self.close(market)  # the open has jumped over the stop
            return
        self.exits[market] = [side(market, abs(held), stop=level, reduce_only=True)]
        goal = price + self.reward * (price - level)
        if self.reward and goal > 0.0:
            self.exits[market].append(side(market, abs(held), limit=goal, reduce_only=True))
            self.one_cancels_other(*self.exits[market])
