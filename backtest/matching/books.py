"""Fills by order books: what stands in the book is taken, and a limit waits in its queue.

- A market order takes the other side level by level. What the book cannot give waits for its next change.
  What was taken is there again with the next change of the book, which does not know of the order.
- A limit takes what it reaches as it arrives, up to its price; the rest joins the queue at its price, behind,
  or as `Queue` says, the size that stands there. A trade at its price is had by those ahead first, what is
  left by the order; a trade through its price fills it whole. When the other side of the book comes to
  its price, it is filled up to the size of those levels.
- How much stands ahead falls with each trade at the price, and is never more than what the book still shows
  there. `proportional` besides takes what vanishes without a trade for withdrawn evenly, ahead and behind.
- A stop looks at the best price of the side it would take.
- Of several orders, the one that was placed first takes first.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from math import nan
from typing import Final, Literal

import msgspec

from backtest.account import decimal_of
from backtest.broker import Broker
from backtest.history import Trades
from backtest.matching.danger import liquidate
from backtest.matching.moments import ARRIVAL, Moment, Rows
from backtest.matching.offers import Offers, meet
from backtest.matching.search import first_reaching
from backtest.orders import ZERO, Order
from backtest.terms import Terms
from infra.order_book import OrderBook
from schemas.records import Micros

_LEVELS: Final = 16
"""Read of a side at first; eight times as many each time when they do not suffice."""


class _Place(msgspec.Struct):
    """Where a limit stands in the queue at its price.

    Attributes:
        ahead: Size that comes first, base units.
        shown: Size that the book showed there at its last change.
        traded: What was traded there since.
    """

    ahead: Decimal
    shown: Decimal
    traded: Decimal = ZERO


class BookMatching:
    """See `moments.Matching`.

    Args:
        broker: Of the run.
        book: Of one market.
        rows: How far its changes have come; each is told.
        trades: Of the same market, and how far they have come; None without any.
        terms: Of the run.
    """

    def __init__(
        self, broker: Broker, book: OrderBook, rows: Rows, trades: tuple[Trades, Rows] | None, terms: Terms
    ) -> None:
        self.market = f"{book.venue}:{book.symbol}"
        self.rows = rows
        self._broker, self._book, self._trades, self._terms = broker, book, trades, terms
        self._met: set[int] = set()
        self._places: dict[int, _Place] = {}
        self._bids, self._asks = Offers(()), Offers(())
        self._found: tuple[Moment, int, Order | None] = ((0, 0), 0, None)

    @property
    def seeks(self) -> bool:
        """See `moments.Matching`: all changes of the book are told."""
        return self._trades is not None and not self._trades[1].told

    def value(self, until: Moment) -> None:
        """See `moments.Matching`; each change of the book is told, and values by itself."""

    def bounds(self, since: Moment, until: Moment) -> tuple[float, float] | None:
        """See `moments.Matching`; none: each change of the book is told."""
        return None

    def find(self, since: Moment, until: Moment) -> Moment | None:
        """See `moments.Matching`."""
        coming, arriving, row = until, None, 0
        for order in self._orders():
            if order.number in self._met:
                continue
            arrival = order.placed + self._terms.latency
            moment = since if arrival <= since[0] else (arrival, ARRIVAL)
            if moment < coming:
                coming, arriving = moment, order
        if self._trades is not None:
            trades, rows = self._trades
            start, stop = rows.before(since), rows.before(until)
            row = stop
            for order in self._orders() if start < stop else ():
                if order.resting and order.number in self._met:
                    row = first_reaching(order, trades.prices, start, row)
            if row < stop and (moment := (int(rows.times[row]), rows.rank)) < coming:
                coming, arriving = moment, None
        self._found = (coming, row, arriving)
        return coming if coming < until else None

    def act(self) -> Moment:
        """See `moments.Matching`."""
        moment, row, arriving = self._found
        if arriving is not None:
            self._met.add(arriving.number)
            if self.rows.done:
                self._meet(arriving, moment[0])
        elif self._trades is not None:
            self.trade(row)
            self._trades[1].done = row + 1
        return moment

    def pass_to(self, since: Moment, until: Moment) -> None:
        """See `moments.Matching`; trailing stops follow the book, whose changes are all looked at."""

    def renew(self) -> None:
        """Take notice that the book has changed: nothing of it is taken yet."""
        self._bids, self._asks = Offers(self._walk("bid")), Offers(self._walk("ask"))

    def look(self, time: Micros) -> None:
        """Have executed what a change of the book fills."""
        bid, ask = (nan if best is None else best[0] for best in (self._book.best_bid, self._book.best_ask))
        liquidate(self._broker, self.market, bid, ask, time)
        for order in self._orders():
            if order.is_open and order.number in self._met:
                self._move_up(order)
                self._meet(order, time)

    def trade(self, row: int) -> None:
        """Have executed what a trade fills."""
        if self._trades is None:
            return
        trades, _ = self._trades
        time, price = int(trades.times[row]), decimal_of(float(trades.prices[row]))
        whole = size = decimal_of(float(trades.sizes[row]))
        for order in self._orders():
            place = self._places.get(order.number)
            if place is None or not order.is_open or order.limit is None or not order.reached(price):
                continue
            if price != order.limit:
                self._broker.execute(order, None, order.limit, time, True)
                continue
            place.traded += whole
            eaten = min(place.ahead, size)
            place.ahead -= eaten
            units = self._broker.rules(order.market).size(size - eaten)
            fill = self._broker.execute(order, units, price, time, True) if units else None
            if fill is not None:
                size -= fill.size

    def _orders(self) -> list[Order]:
        return [order for order in self._broker.open if order.market == self.market]

    def _walk(self, side: Literal["bid", "ask"]) -> Iterator[tuple[float, float]]:
        """The levels of a side, best first; to be read before the next change."""
        read, count = 0, _LEVELS
        while True:
            levels = self._book.top(count)[0 if side == "bid" else 1]
            yield from levels[read:]
            if len(levels) < count:
                return
            read, count = count, 8 * count

    def _meet(self, order: Order, time: Micros) -> None:
        meet(self._broker, order, self._asks if order.side == "buy" else self._bids, time)
        if order.resting and order.is_open:
            if order.number not in self._places:
                shown = self._shown(order)
                self._places[order.number] = _Place(ZERO if self._terms.queue == "front" else shown, shown)
        else:
            self._places.pop(order.number, None)

    def _move_up(self, order: Order) -> None:
        place = self._places.get(order.number)
        if place is None:
            return
        shown, left = self._shown(order), place.shown - place.traded
        if self._terms.queue == "proportional" and shown < left:
            place.ahead *= shown / left
        place.ahead = min(place.ahead, shown)
        place.shown, place.traded = shown, ZERO

    def _shown(self, order: Order) -> Decimal:
        side: Literal["bid", "ask"] = "bid" if order.side == "buy" else "ask"
        return decimal_of(self._book.size_at(side, float(order.limit or ZERO)))
