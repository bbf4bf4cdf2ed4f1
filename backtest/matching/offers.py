"""What stands against orders: the levels of the other side, which get less as orders take them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from decimal import Decimal

from backtest.account import decimal_of
from backtest.broker import Broker
from backtest.orders import ZERO, Order
from backtest.rules import Rules
from schemas.records import Micros


class Offers:
    """One side of a market, best price first; levels are read as far as they are needed.

    Args:
        levels: Price and size of each, the best first.
    """

    def __init__(self, levels: Iterable[tuple[float, float]]) -> None:
        self._more = iter(levels)
        self._read: deque[list[Decimal]] = deque()

    @property
    def best(self) -> tuple[Decimal, Decimal] | None:
        """Price and size of the best level; None if nothing is left."""
        if not self._read and not self._next():
            return None
        price, size = self._read[0]
        return price, size

    def take(self, size: Decimal) -> None:
        """Take from the best level; all of it, and it is gone."""
        self._read[0][1] -= size
        if self._read[0][1] <= ZERO:
            self._read.popleft()

    def reach(self, order: Order, size: Decimal, rules: Rules) -> bool:
        """Whether the levels that an order reaches hold a size, each in whole lots."""
        at = 0
        while size > ZERO:
            if at == len(self._read) and not self._next():
                return False
            price, there = self._read[at]
            if not order.reached(price):
                return False
            size -= rules.size(there)
            at += 1
        return True

    def _next(self) -> bool:
        for price, size in self._more:
            if size > 0.0:
                self._read.append([decimal_of(price), decimal_of(size)])
                return True
        return False


def meet(broker: Broker, order: Order, offers: Offers, time: Micros) -> None:
    """Let an order meet what stands against it.

    A trigger looks at the best price. What is then at the market, or at a limit that is reached, takes level
    by level, in whole lots: as a taker at the price of each, as a limit that had waited at its own.
    """
    best = offers.best
    if order.waits:
        if best is None:
            return
        if not order.reached(best[0]):
            if order.kind == "trailing":
                broker.follow(order, best[0])
            return
        broker.trigger(order)
    if best is not None and order.reached(best[0]):
        if order.post_only and not order.resting:
            broker.refuse(order, "post_only: it would be filled at once")
            return
        if order.time_in_force == "fok":
            broker.settle_size(order, best[0], time)
        if order.time_in_force != "fok" or offers.reach(order, order.left, broker.rules(order.market)):
            _take(broker, order, offers, time)
    if order.is_open:
        if order.time_in_force != "gtc":
            broker.expire(order)
        elif order.limit is not None:
            order.resting = True


def _take(broker: Broker, order: Order, offers: Offers, time: Micros) -> None:
    rules = broker.rules(order.market)
    while order.is_open and (best := offers.best) is not None and order.reached(best[0]):
        price, there = best
        units = rules.size(there)
        if not units:
            offers.take(there)
            continue
        limit = order.limit
        maker = order.resting and limit is not None
        fill = broker.execute(order, units, limit if maker and limit is not None else price, time, maker)
        if fill is None:
            return
        offers.take(fill.size)
        # The first level has settled the size of an order of a part; what the next ones cost more is cut.
        order.fit = order.fit or order.part is not None
