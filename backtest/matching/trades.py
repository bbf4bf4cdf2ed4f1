"""Fills by trades: an order is filled by what others have traded.

- A market order is filled whole by the next trade, at its price; so is a stop, by the trade after the one
  that has reached it.
- A limit that is placed beyond the market is filled whole at the price of the next trade, as that of a taker;
  `post_only` is refused there.
- A limit that waits is filled whole at its own price when a trade goes through it: all that stood there was
  taken. A trade at its price fills no more of it than that trade's size; of several orders the one that was
  placed first has it first. Which side the taker was on does not matter: whoever sells at the price of a bid
  meets it, and whoever buys there cannot have done so while the bid stood.
- A trade that is filled upon stays what it was: others are not moved by it.
"""

from __future__ import annotations

from decimal import Decimal

from backtest.account import decimal_of
from backtest.broker import Broker
from backtest.history import Trades
from backtest.matching.danger import bounds, first_dangerous, liquidate
from backtest.matching.moments import Moment, Rows
from backtest.matching.search import first_reaching, follow, touched
from backtest.orders import ZERO, Order
from schemas.records import Micros


class TradeMatching:
    """See `moments.Matching`.

    Args:
        broker: Of the run.
        trades: Of one market.
        rows: How far they have come.
        latency: After which an order reaches the market, µs.
    """

    def __init__(self, broker: Broker, trades: Trades, rows: Rows, latency: Micros) -> None:
        self.market = trades.market
        self.rows = rows
        self._broker, self._trades, self._latency = broker, trades, latency
        self._found = (0, 0)

    @property
    def seeks(self) -> bool:
        """See `moments.Matching`."""
        return not self.rows.told

    def value(self, until: Moment) -> None:
        """See `moments.Matching`."""
        done = self.rows.before(until)
        if done > self.rows.valued:
            self.rows.valued = done
            self._broker.last[self.market] = float(self._trades.prices[done - 1])

    def bounds(self, since: Moment, until: Moment) -> tuple[float, float] | None:
        """See `moments.Matching`."""
        prices = self._trades.prices
        return bounds(prices, prices, self.rows.before(since), self.rows.before(until))

    def find(self, since: Moment, until: Moment) -> Moment | None:
        """See `moments.Matching`."""
        start, stop = self.rows.before(since), self.rows.before(until)
        if start >= stop:
            return None
        found = stop
        for order in self._orders():
            first = self._first_row(order, start)
            if first < found:
                found = self._first(order, first, found)
        prices = self._trades.prices
        found = first_dangerous(self._broker, self.market, prices, prices, start, found, calm=self.rows.calm)
        self._found = (start, found)
        return (int(self.rows.times[found]), self.rows.rank) if found < stop else None

    def act(self) -> Moment:
        """See `moments.Matching`."""
        start, found = self._found
        moment = (int(self.rows.times[found]), self.rows.rank)
        self._follow(start, found)
        self.rows.done = found + 1
        self.value(moment)
        self.look(found)
        return moment

    def pass_to(self, since: Moment, until: Moment) -> None:
        """See `moments.Matching`."""
        self._follow(self.rows.before(since), self.rows.before(until))

    def look(self, row: int) -> None:
        """Have executed what a trade fills."""
        time, price = int(self._trades.times[row]), float(self._trades.prices[row])
        liquidate(self._broker, self.market, price, price, time)
        due = [
            order
            for order in self._orders()
            if touched(order, price) and order.placed + self._latency <= time
        ]
        if due:
            exact, left = decimal_of(price), decimal_of(float(self._trades.sizes[row]))
            for order in due:
                if order.is_open:
                    left -= self._meet(order, exact, left, time)

    def _orders(self) -> list[Order]:
        return [order for order in self._broker.open if order.market == self.market]

    def _first_row(self, order: Order, start: int) -> int:
        return max(start, self.rows.since(order.placed + self._latency)) if self._latency else start

    def _first(self, order: Order, start: int, stop: int) -> int:
        if not order.waits and (order.limit is None or not order.resting):
            return start
        return first_reaching(order, self._trades.prices, start, stop)

    def _follow(self, start: int, stop: int) -> None:
        for order in self._orders():
            if order.kind == "trailing" and order.waits:
                follow(self._broker, order, self._trades.prices, self._first_row(order, start), stop)

    def _meet(self, order: Order, price: Decimal, size: Decimal, time: Micros) -> Decimal:
        """Look at an order with a trade; returns how much of the trade's size it has had."""
        broker, limit = self._broker, order.limit
        if order.waits:
            if order.reached(price):
                broker.trigger(order)
            elif order.kind == "trailing":
                broker.follow(order, price)
            return ZERO
        if limit is None:
            broker.execute(order, None, price, time, False)
            return ZERO
        had = ZERO
        if price == limit:
            had = self._share(order, price, size, time)
        elif order.reached(price):
            if order.post_only and not order.resting:
                broker.refuse(order, "post_only: it would be filled at once")
            else:
                broker.execute(order, None, limit if order.resting else price, time, order.resting)
        if order.is_open and not order.resting:
            if order.time_in_force == "gtc":
                order.resting = True
            else:
                broker.expire(order)
        return had

    def _share(self, order: Order, price: Decimal, size: Decimal, time: Micros) -> Decimal:
        """Fill a limit by a trade at its price."""
        units = self._broker.rules(order.market).size(size)
        at_once = order.time_in_force != "gtc"
        if order.time_in_force == "fok":
            self._broker.settle_size(order, price, time)
            if units < order.left:
                return ZERO
        fill = self._broker.execute(order, units, price, time, not at_once) if units else None
        return ZERO if fill is None else fill.size
