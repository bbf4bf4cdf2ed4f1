"""Market making on quotes: a limit on either side, which leans against what is held."""

from decimal import Decimal

from kandle import NotNegative, Order, Positive, QuoteTick, Strategy


class MarketMaker(Strategy):
    """Keeps a bid and an ask around the middle of the market, and earns the spread where both are filled.

    At each quote that has both sides, with `mid` in the middle of them and `q` the position over `most`:

        centre = mid * (1 - skew * spread / 2 * q)
        bid    = centre * (1 - spread / 2), the best bid at the highest
        ask    = centre * (1 + spread / 2), the best ask at the lowest

    Both are post-only limits of `size` units, cut to what is left until `most` is held, long or short. An
    order is replaced once it stands more than `step` of the spread from where it should.

    Attributes:
        spread: Between bid and ask, as a part of the price.
        size: Of an order, units.
        most: That is held, units.
        skew: Half spreads by which both orders are lower when `most` is held.
        step: Part of the spread.
    """

    spread: Positive = 0.001
    size: Positive = 1.0
    most: Positive = 5.0
    skew: NotNegative = 1.0
    step: NotNegative = 0.1

    def on_start(self) -> None:
        """No orders yet."""
        self.orders: dict[tuple[str, str], Order] = {}

    def on_quote(self, quote: QuoteTick) -> None:
        """Bring both orders to where they should stand."""
        if not (quote.bid > 0.0 and quote.ask > 0.0):
            return
        mid = (quote.bid + quote.ask) / 2
        held = float(self.position(quote.market))
        centre = mid * (1 - self.skew * self.spread / 2 * held / self.most)
        bid = min(centre * (1 - self.spread / 2), quote.bid)
        ask = max(centre * (1 + self.spread / 2), quote.ask)
        away = self.step * self.spread * mid
        self._keep(quote.market, "buy", bid, min(self.size, self.most - held), away)
        self._keep(quote.market, "sell", ask, min(self.size, self.most + held), away)

    def _keep(self, market: str, side: str, price: float, size: float, away: float) -> None:
        """Have one order at about a price, or none where there is no room for it."""
        order = self.orders.get((market, side))
        if order is not None and order.is_open:
            limit = order.limit or Decimal(0)
            if size > 0.0 and abs(float(limit) - price) <= away:
                return
            self.cancel(order)
        if size > 0.0 and price > 0.0:
            place = self.buy if side == "buy" else self.sell
            self.orders[market, side] = place(market, size, limit=price, post_only=True)
