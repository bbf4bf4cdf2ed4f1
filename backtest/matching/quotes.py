"""Fills by quotes: an order meets the best bid or ask that stands when it arrives, and those that follow.

- A market order crosses the spread: it takes the ask, or the bid, up to the size that stands there. The rest
  waits for the next quote, whose size is a new one.
- A limit that reaches the other side as it arrives takes it likewise, up to its price; the rest waits, and so
  does a limit that does not reach it. When the other side comes to its price, it is filled there up to the
  size of each quote.
- A stop looks at the price it would be filled at, a buy at the ask, a sell at the bid, and is at the market
  with the quote that reaches it.
- Of several orders, the one that was placed first takes first; what it has taken, the others do not get from
  the same quote.
"""

from __future__ import annotations

from backtest.broker import Broker
from backtest.history import Numbers, Quotes
from backtest.matching.danger import bounds, first_dangerous, liquidate
from backtest.matching.moments import ARRIVAL, Moment, Rows
from backtest.matching.offers import Offers, meet
from backtest.matching.search import first_offer, first_reaching, follow, touched
from backtest.orders import Order
from schemas.records import Micros


class QuoteMatching:
    """See `moments.Matching`.

    Args:
        broker: Of the run.
        quotes: Of one market.
        rows: How far they have come.
        latency: After which an order reaches the market, µs.
    """

    def __init__(self, broker: Broker, quotes: Quotes, rows: Rows, latency: Micros) -> None:
        self.market = quotes.market
        self.rows = rows
        self._broker, self._quotes, self._latency = broker, quotes, latency
        self._met: set[int] = set()
        self._stands = -1
        self._bids, self._asks = Offers(()), Offers(())
        self._start = 0
        self._found: tuple[Moment, int, Order | None] = ((0, 0), 0, None)

    @property
    def seeks(self) -> bool:
        """See `moments.Matching`."""
        return not self.rows.told

    def value(self, until: Moment) -> None:
        """See `moments.Matching`; the price is half way between bid and ask, of a quote that has both."""
        done = self.rows.before(until)
        while self.rows.valued < done:
            done -= 1
            middle = (float(self._quotes.bids[done]) + float(self._quotes.asks[done])) / 2
            if middle == middle:
                self._broker.last[self.market] = middle
                break
        self.rows.valued = max(self.rows.valued, self.rows.before(until))

    def bounds(self, since: Moment, until: Moment) -> tuple[float, float] | None:
        """See `moments.Matching`."""
        bids, asks = self._quotes.bids, self._quotes.asks
        return bounds(bids, asks, self.rows.before(since), self.rows.before(until))

    def find(self, since: Moment, until: Moment) -> Moment | None:
        """See `moments.Matching`."""
        start, stop = self.rows.before(since), self.rows.before(until)
        found, coming, arriving = stop, until, None
        for order in self._orders():
            if order.number in self._met:
                found = self._first(order, start, found)
                continue
            arrival = order.placed + self._latency
            moment = since if arrival <= since[0] else (arrival, ARRIVAL)
            if moment < coming:
                coming, arriving = moment, order
        quotes = self._quotes
        found = first_dangerous(
            self._broker, self.market, quotes.bids, quotes.asks, start, found, calm=self.rows.calm
        )
        if found < stop and (moment := (int(self.rows.times[found]), self.rows.rank)) < coming:
            coming, arriving = moment, None
        self._start, self._found = start, (coming, found, arriving)
        return coming if coming < until else None

    def act(self) -> Moment:
        """See `moments.Matching`."""
        moment, row, arriving = self._found
        if arriving is None:
            self._follow(self._start, row)
            self.rows.done = row + 1
            self.value(moment)
            self.look(row)
            return moment
        self._met.add(arriving.number)
        stands = self.rows.before(moment) - 1
        if stands >= 0:
            self._stand(stands)
            self._meet(arriving, moment[0])
        return moment

    def pass_to(self, since: Moment, until: Moment) -> None:
        """See `moments.Matching`."""
        self._follow(self.rows.before(since), self.rows.before(until))

    def look(self, row: int) -> None:
        """Have executed what a quote fills."""
        time = int(self.rows.times[row])
        bid, ask = float(self._quotes.bids[row]), float(self._quotes.asks[row])
        liquidate(self._broker, self.market, bid, ask, time)
        for order in self._orders():
            if order.number in self._met and touched(order, ask if order.side == "buy" else bid):
                self._stand(row)
                if order.is_open:
                    self._meet(order, time)

    def _orders(self) -> list[Order]:
        return [order for order in self._broker.open if order.market == self.market]

    def _prices(self, order: Order) -> Numbers:
        return self._quotes.asks if order.side == "buy" else self._quotes.bids

    def _first(self, order: Order, start: int, stop: int) -> int:
        if not order.waits:
            if order.limit is None:
                sizes = self._quotes.ask_sizes if order.side == "buy" else self._quotes.bid_sizes
                return first_offer(sizes, start, stop)
            if not order.resting:
                return min(start, stop)
        return first_reaching(order, self._prices(order), start, stop)

    def _follow(self, start: int, stop: int) -> None:
        for order in self._orders():
            if order.kind == "trailing" and order.waits and order.number in self._met:
                follow(self._broker, order, self._prices(order), start, stop)

    def _stand(self, row: int) -> None:
        """Let a quote be the one that stands."""
        if row == self._stands:
            return
        self._stands = row
        quotes = self._quotes
        bid, ask = float(quotes.bids[row]), float(quotes.asks[row])
        self._bids = Offers([(bid, float(quotes.bid_sizes[row]))])
        self._asks = Offers([(ask, float(quotes.ask_sizes[row]))])

    def _meet(self, order: Order, time: Micros) -> None:
        meet(self._broker, order, self._asks if order.side == "buy" else self._bids, time)
