"""The loop of a run: tells the strategy of one event after the other, and lets orders be filled in between.

What is to come stands in this module's objects alone; none of them can be reached from a strategy.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final, TypeVar

from backtest.bars import Bars, ClosedCandle
from backtest.broker import Broker
from backtest.curve import Steps
from backtest.desk import SimulatedDesk
from backtest.events import (
    BOOK,
    CANDLE,
    FUNDING,
    PATH,
    QUOTE,
    TRADE,
    Event,
    FundingDue,
    Ranks,
    check_times,
    merged,
    of_books,
    of_candles,
    of_funding,
    of_quotes,
    of_trades,
    payments_of,
)
from backtest.folding import candles_of
from backtest.history import Books, Funding, History, Quotes, Trades
from backtest.matching.books import BookMatching
from backtest.matching.candles import CandleMatching
from backtest.matching.moments import ARRIVAL, Matching, Moment, Rows
from backtest.matching.quotes import QuoteMatching
from backtest.matching.trades import TradeMatching
from backtest.strategy import Strategy
from backtest.tellers import Look, Tellers
from backtest.terms import Fills, Terms
from backtest.timers import FAR
from infra.order_book import OrderBook
from schemas.errors import ConfigurationError
from schemas.identity import split_key
from schemas.records import Micros

R = TypeVar("R", Trades, Quotes, Books, Funding)
_LONG_AGO: Final = -(1 << 62)
_FINEST_FIRST: Final[tuple[Fills, ...]] = ("book", "quote", "trade", "candle")


class Loop:
    """One run.

    Args:
        strategy: Fresh.
        history: What it runs over.
        terms: Under what.
        broker: Of the run.

    Raises:
        ConfigurationError: There is nothing to run over, a market comes twice, or what orders are to be
            filled by is not there.
        ValidationError: Rows are not in the order of their times.
    """

    def __init__(self, strategy: Strategy, history: History, terms: Terms, broker: Broker) -> None:
        self.history = _without_empty(history)
        markets = self.history.markets
        if not markets:
            raise ConfigurationError("there is nothing to run over: no candles, trades, quotes or books")
        self.folded = {market: candles_of(self.history, market, terms.interval) for market in markets}
        self.filled_by = {market: _fills_of(self.history, market, terms.fills) for market in markets}
        self.ranks = Ranks(markets)
        self.steps = Steps([(_LONG_AGO, 0)], cash=[broker.account.cash])
        self._strategy, self._terms, self._broker = strategy, terms, broker
        self._desk = SimulatedDesk(broker.account, broker, markets, terms.latency)
        self._matchings: dict[str, Matching] = {}
        self._silent: list[Matching] = []
        """Of what fills orders without being told."""
        self._alone: Callable[[], None] | None = None
        """Plays the candles of one market, if there is nothing else to be told of."""
        self._clock: Moment = (0, ARRIVAL)

    @property
    def bars(self) -> list[Bars]:
        """The candles of each market."""
        return [each.bars for each in self.folded.values()]

    @property
    def candle_ranks(self) -> list[int]:
        """The ranks of their closing."""
        return [self.ranks.of(CANDLE, market) for market in self.folded]

    def play(self) -> None:
        """Run to the end; called once."""
        strategy, desk, broker = self._strategy, self._desk, self._broker
        begin, end = self._span()
        self._clock = (begin, ARRIVAL)
        desk.now = begin
        strategy.attach(desk)
        strategy.on_start()
        broker.listener = strategy.on_fill
        rows = self._rows()
        pending, guards = broker.open, broker.margin.guards
        timers, withdrawals = desk.timers.heap, desk.withdrawals
        silent = self._silent = [each for each in self._matchings.values() if not each.rows.told]
        if self._alone is not None:
            self._alone()
        elif self._matchings or self._terms.latency:
            orders, noticed = broker.orders, -1
            always = bool(self._terms.latency) or any(each.seeks for each in self._matchings.values())
            for time, rank, tell, item in merged(rows):
                # What is told fills orders as it is told: nothing lies in between but their arrival.
                if timers or withdrawals or ((pending or guards) and (always or len(orders) > noticed)):
                    self._between((time, rank))
                    noticed = len(orders)
                self._clock = (time, rank)
                for matching in silent:
                    matching.value(self._clock)
                tell(item)
        else:
            for time, rank, tell, item in merged(rows):
                if timers:
                    self._between((time, rank))
                tell(item)
        self._between((end, self.ranks.end))
        strategy.on_stop()

    def _span(self) -> tuple[Micros, Micros]:
        """When it begins and ends, µs."""
        rows: list[Trades | Quotes | Books | Funding] = [
            *self.history.trades,
            *self.history.quotes,
            *self.history.books,
            *self.history.funding,
        ]
        spans = [check_times(each.times, f"{type(each).__name__.lower()} of {each.market}") for each in rows]
        spans += [(each.open_times[0], each.open_times[-1] + each.length) for each in self.bars]
        return int(min(first for first, _ in spans)), int(max(last for _, last in spans))

    def _between(self, until: Moment) -> None:
        """Let happen all that nobody is told of before it does: fills, withdrawals, timers."""
        desk, broker, matchings = self._desk, self._broker, self._matchings
        while True:
            since, chosen = self._clock, until
            act: Callable[[], object] | None = None
            waiting = self._waiting()
            if broker.margin.guards:
                self._judge(waiting, since, until)
            for matching in waiting:
                found = matching.find(since, chosen)
                if found is not None:
                    chosen, act = found, matching.act
            while desk.withdrawals and desk.withdrawals[0][1].market not in matchings:
                withdrawal = desk.withdrawals.popleft()
                desk.late[withdrawal[1].market].append(withdrawal)
            if desk.withdrawals:
                moment = (desk.withdrawals[0][0], ARRIVAL)
                if moment <= chosen and moment < until:
                    chosen, act = moment, self._withdraw
            if desk.timers.heap:
                moment = (max(desk.timers.next, desk.now), self.ranks.timer)
                if moment < chosen:
                    chosen, act = moment, self._ring
            for matching in waiting:
                if act != matching.act:
                    matching.pass_to(since, chosen)
            if act is None:
                return
            self._clock, desk.now = chosen, chosen[0]
            for matching in self._silent:
                matching.value(chosen)
            act()
            if len(broker.fills) > self.steps.fills[-1]:
                self.steps.add(chosen, len(broker.fills), broker.account.cash)

    def _rows(self) -> list[Iterable[Event]]:
        """All events that are told; on the way, what fills the orders of each market is set up."""
        tellers = Tellers(self._strategy, self._desk, self._broker, self.steps)
        rows: list[Iterable[Event]] = []
        by_candle = CandleMatching(self._broker, self._terms.latency)
        for market, folded in self.folded.items():
            fills = self.filled_by[market]
            rank = self.ranks.of(CANDLE, market)
            walk: Callable[[ClosedCandle], object] | None = None
            if fills == "candle":
                self._desk.closed[market] = _LONG_AGO
                path = self.ranks.of(PATH, market) if len(self.folded) > 1 else rank
                walk = tellers.path(market, path, by_candle)
                if path != rank:
                    rows.append(of_candles(folded.bars, path, tellers.paths(market, walk)))
                    walk = None
            payments: deque[FundingDue] = deque()
            funding = _of(self.history.funding, market)
            if funding is not None and fills == "candle":
                payments.extend(payments_of(funding))
            elif funding is not None:
                paid = self.ranks.of(FUNDING, market)
                rows.append(of_funding(funding, paid, tellers.funding(market, paid)))
            finer = self._finer(market, fills, tellers)
            until = int(self._matchings[market].rows.times[0]) if market in self._matchings else FAR
            if walk is not None and not (payments or finer or self._terms.latency):
                self._alone = tellers.alone(folded, rank, walk, self._between)
                continue
            tell = tellers.candles(folded, rank, walk, until, payments)
            rows += [of_candles(folded.bars, rank, tell), *finer]
        return rows

    def _finer(self, market: str, fills: Fills, tellers: Tellers) -> list[Iterable[Event]]:
        """The events of one market that are told besides its candles."""
        broker, latency, told = self._broker, self._terms.latency, []
        traded: tuple[Trades, Rows] | None = None
        look: Look | None = None
        trades, quotes = _of(self.history.trades, market), _of(self.history.quotes, market)
        books = _of(self.history.books, market)
        if trades is not None:
            rows = Rows(trades.times, self.ranks.of(TRADE, market), tellers.hears("on_trade"))
            traded = trades, rows
            if fills == "trade":
                by_trade = TradeMatching(broker, trades, rows, latency)
                self._matchings[market], look = by_trade, by_trade.look
        if books is not None and (fills == "book" or tellers.hears("on_book")):
            rows = Rows(books.times, self.ranks.of(BOOK, market), True)
            book, by_book = OrderBook(*split_key(market)), None
            if fills == "book":
                by_book = BookMatching(broker, book, rows, traded, self._terms)
                self._matchings[market], look = by_book, by_book.trade
            told.append(of_books(books, rows.rank, tellers.books(rows, book, market, by_book)))
        if traded is not None and traded[1].told:
            tell_trade = tellers.trades(traded[1], look, values=fills == "trade")
            told.append(of_trades(traded[0], traded[1].rank, tell_trade))
        if quotes is not None:
            rows = Rows(quotes.times, self.ranks.of(QUOTE, market), tellers.hears("on_quote"))
            look = None
            if fills == "quote":
                by_quote = QuoteMatching(broker, quotes, rows, latency)
                self._matchings[market], look = by_quote, by_quote.look
            if rows.told:
                told.append(of_quotes(quotes, rows.rank, tellers.quotes(rows, look)))
        return told

    def _waiting(self) -> list[Matching]:
        """Those that have open orders, or a position that can be liquidated."""
        if not self._matchings:
            return []
        markets = dict.fromkeys(order.market for order in self._broker.open)
        markets.update(dict.fromkeys(self._broker.margin.guards))
        return [self._matchings[market] for market in markets if market in self._matchings]

    def _judge(self, waiting: list[Matching], since: Moment, until: Moment) -> None:
        """Spare the search for what liquidates several positions, where even the worst prices do not."""
        last, worst = self._broker.last, {}
        for each in waiting:
            found = each.bounds(since, until)
            if found is not None:
                known = last.get(each.market, found[0])
                worst[each.market] = (min(found[0], known), max(found[1], known))
        calm = len(self._broker.margin.guards) > 1 and self._broker.margin.is_safe(worst)
        for each in waiting:
            each.rows.calm = calm

    def _withdraw(self) -> None:
        self._broker.cancel(self._desk.withdrawals.popleft()[1])

    def _ring(self) -> None:
        timers = self._desk.timers
        timer = timers.take()
        self._strategy.on_timer(timer)
        timers.put_back(timer)


def _of(rows: Iterable[R], market: str) -> R | None:
    return next((each for each in rows if each.market == market), None)


def _fills_of(history: History, market: str, wanted: Fills | None) -> Fills:
    """By what the orders of a market are filled."""
    there = {
        "book": _of(history.books, market),
        "quote": _of(history.quotes, market),
        "trade": _of(history.trades, market),
        "candle": True,
    }
    if wanted is None:
        return next(each for each in _FINEST_FIRST if there[each] is not None)
    if there[wanted] is None:
        raise ConfigurationError(f"there are no {wanted}s of {market} to fill its orders by")
    return wanted


def _without_empty(history: History) -> History:
    """The rows in which there is something.

    Raises:
        ConfigurationError: A market has two rows of one kind.
    """
    for rows in (history.bars, history.trades, history.quotes, history.books, history.funding):
        if len({each.market for each in rows}) < len(rows):
            raise ConfigurationError("each market is given once")
    return replace(
        history,
        bars=[each for each in history.bars if len(each)],
        trades=[each for each in history.trades if len(each)],
        quotes=[each for each in history.quotes if len(each)],
        books=[each for each in history.books if len(each)],
        funding=[each for each in history.funding if len(each.times)],
    )
