"""What happens at an event that is told: orders are looked at, then the strategy is called."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import repeat
from math import inf
from typing import Any, Final, TypeAlias

from backtest.bars import Bars, ClosedCandle
from backtest.book_view import BookView
from backtest.broker import Broker
from backtest.curve import Steps
from backtest.desk import SimulatedDesk
from backtest.events import FundingDue
from backtest.folding import Folded
from backtest.matching.books import BookMatching
from backtest.matching.candles import CandleMatching
from backtest.matching.moments import Moment, Rows
from backtest.strategy import Strategy
from backtest.ticks import QuoteTick, TradeTick
from backtest.timers import FAR
from backtest.watches import record_of
from infra.order_book import OrderBook
from schemas.records import BookUpdate, Micros

_SAFE: Final = (-inf, inf)
Look: TypeAlias = Callable[[int], object]
"""Has executed what a row fills."""


class Tellers:
    """Makes the functions that are called with each event.

    Args:
        strategy: Is told.
        desk: Of the run.
        broker: Of the run.
        steps: Of its account.
    """

    def __init__(self, strategy: Strategy, desk: SimulatedDesk, broker: Broker, steps: Steps) -> None:
        self._strategy, self._desk, self._broker, self._steps = strategy, desk, broker, steps
        self._before: dict[str, int] = {}
        """Fills that there were before the newest candle of a market was looked at for more."""

    def hears(self, hook: str) -> bool:
        """Whether a strategy has overridden a hook."""
        return getattr(type(self._strategy), hook) is not getattr(Strategy, hook)

    def candles(
        self,
        folded: Folded,
        rank: int,
        walk: Callable[[ClosedCandle], object] | None,
        values_until: Micros,
        payments: deque[FundingDue],
    ) -> Callable[[ClosedCandle], None]:
        """For candles that close.

        Args:
            folded: The candles of one market.
            rank: Of their closing.
            walk: If orders of the market are filled by them as they are told; see `path`.
            values_until: Until when their closes are the last known prices, µs: the others are those of what
                fills orders.
            payments: Its funding, if orders are filled by them: what was filled at an open is held from then.
        """
        bars, desk, broker = folded.bars, self._desk, self._broker
        market, closed = bars.market, desk.closed
        pending, guards, last = broker.open, broker.margin.guards, broker.last
        feeds, watches = desk.feeds[market], desk.watches[market]
        grow, on_candle = _ahead(desk, bars), self._strategy.on_candle
        hears_values = self.hears("on_indicator")
        incomplete, values = folded.incomplete, values_until >= FAR

        def tell(candle: ClosedCandle) -> None:
            desk.now = candle.close_time
            if walk is not None:
                closed[market] = candle.close_time
                guard = guards.get(market) if guards else None
                # As `Margin.threatened` says, which is a call that every candle would pay for.
                near = guard is not None and (candle.low <= guard[0] or candle.high >= guard[1])
                if pending or near:
                    walk(candle)
            if values or candle.close_time < values_until:
                last[market] = candle.close
            if payments and payments[0][0] <= candle.close_time:
                self._fund(market, candle, rank, payments)
            grow()
            for feed in feeds:
                feed.take(candle)
            on_candle(candle)
            if hears_values:
                self._values(market)
            if watches:
                self._signals(candle, candle.open_time not in incomplete)

        return tell

    def alone(
        self,
        folded: Folded,
        rank: int,
        walk: Callable[[ClosedCandle], object],
        between: Callable[[Moment], None],
    ) -> Callable[[], None]:
        """For the candles of one market beside which nothing is told: as `candles` does, in one loop.

        Args:
            folded: The candles.
            rank: Of their closing.
            walk: See `path`; it alone books.
            between: Lets happen what comes before a moment.
        """
        bars, desk, broker = folded.bars, self._desk, self._broker
        market, closed, incomplete = bars.market, desk.closed, folded.incomplete
        timers, pending, guards, last = desk.timers.heap, broker.open, broker.margin.guards, broker.last
        feeds, watches = desk.feeds[market], desk.watches[market]
        grow, on_candle = _ahead(desk, bars), self._strategy.on_candle
        hears_values = self.hears("on_indicator")

        def play() -> None:
            low, high = _SAFE
            for candle in bars:
                if timers:
                    between((candle.close_time, rank))
                desk.now = closed[market] = candle.close_time
                if pending or candle.low <= low or candle.high >= high:
                    walk(candle)
                    low, high = guards.get(market, _SAFE)
                last[market] = candle.close
                grow()
                if feeds:
                    for feed in feeds:
                        feed.take(candle)
                on_candle(candle)
                if hears_values:
                    self._values(market)
                if watches:
                    self._signals(candle, candle.open_time not in incomplete)

        return play

    def path(self, market: str, rank: int, matching: CandleMatching) -> Callable[[ClosedCandle], None]:
        """For candles that fill the orders of a market, while there are any, or positions in danger."""
        broker, steps, before = self._broker, self._steps, self._before
        fills, account, withdrawals = broker.fills, broker.account, self._desk.late[market]

        def walk(candle: ClosedCandle) -> None:
            while withdrawals and withdrawals[0][0] <= candle.open_time:
                broker.cancel(withdrawals.pop(0)[1])
            before[market] = done = len(fills)
            matching.take(candle)
            if len(fills) > done:
                steps.add((candle.close_time, rank), len(fills), account.cash)

        return walk

    def paths(self, market: str, walk: Callable[[ClosedCandle], object]) -> Callable[[ClosedCandle], None]:
        """For candles of several markets, each looked at for fills before any of its time is told."""
        desk, pending, guards = self._desk, self._broker.open, self._broker.margin.guards

        def look(candle: ClosedCandle) -> None:
            desk.now = desk.closed[market] = candle.close_time
            if pending or guards:
                walk(candle)

        return look

    def trades(self, rows: Rows, look: Look | None, *, values: bool) -> Callable[[TradeTick], None]:
        """For trades, if the strategy hears of them.

        Args:
            rows: How far they have come.
            look: If they fill orders.
            values: Whether they are the last known prices.
        """
        desk, on_trade, last = self._desk, self._strategy.on_trade, self._broker.last
        pending, guards = self._broker.open, self._broker.margin.guards

        def tell(trade: TradeTick) -> None:
            desk.now = trade.time
            rows.done += 1
            if values:
                last[trade.market] = trade.price
            if look is not None and (pending or guards):
                self._look(look, rows.done - 1, rows.rank)
            on_trade(trade)

        return tell

    def quotes(self, rows: Rows, look: Look | None) -> Callable[[QuoteTick], None]:
        """For quotes, if the strategy hears of them; with `look`, they fill orders, and value positions."""
        desk, on_quote, last = self._desk, self._strategy.on_quote, self._broker.last
        pending, guards = self._broker.open, self._broker.margin.guards

        def tell(quote: QuoteTick) -> None:
            desk.now = quote.time
            rows.done += 1
            if look is not None:
                middle = (quote.bid + quote.ask) / 2
                if middle == middle:
                    last[quote.market] = middle
                if pending or guards:
                    self._look(look, rows.done - 1, rows.rank)
            on_quote(quote)

        return tell

    def books(
        self, rows: Rows, book: OrderBook, market: str, matching: BookMatching | None
    ) -> Callable[[BookUpdate], None]:
        """For changes of a book; `matching` if orders of the market are filled by it."""
        desk, broker, on_book = self._desk, self._broker, self._strategy.on_book
        times, hears, view = rows.times, self.hears("on_book"), BookView(market, book)

        def tell(update: BookUpdate) -> None:
            desk.now = time = int(times[rows.done])
            rows.done += 1
            book.apply(update)
            if matching is not None:
                middle = view.middle
                if middle is not None:
                    broker.last[market] = middle
                matching.renew()
                if broker.open or broker.margin.guards:
                    self._look(matching.look, time, rows.rank)
            if hears:
                view.time = time
                on_book(view)

        return tell

    def funding(self, market: str, rank: int) -> Callable[[FundingDue], None]:
        """For payments of funding, if orders are filled by what is finer than candles."""
        desk, broker, steps = self._desk, self._broker, self._steps

        def tell(payment: FundingDue) -> None:
            desk.now = time = payment[0]
            if broker.fund(market, *payment):
                steps.add((time, rank), len(broker.fills), broker.account.cash)

        return tell

    def _fund(self, market: str, candle: ClosedCandle, rank: int, payments: deque[FundingDue]) -> None:
        """Book the funding that was due while a candle ran, of what was held by the times of the fills."""
        broker, fills = self._broker, self._broker.fills
        while payments and payments[0][0] <= candle.close_time:
            due = payments[0][0]
            held = broker.account.size(market)
            for fill in fills[self._before.get(market, len(fills)) :]:
                if fill.market == market and fill.time > due:
                    held -= fill.signed_size
            if broker.fund(market, *payments.popleft(), held):
                self._steps.add((candle.close_time, rank), len(fills), broker.account.cash)

    def _look(self, look: Look, row: int, rank: int) -> None:
        fills, steps = self._broker.fills, self._steps
        done = len(fills)
        look(row)
        if len(fills) > done:
            steps.add((self._desk.now, rank), len(fills), self._broker.account.cash)

    def _values(self, market: str) -> None:
        for spec, line in self._desk.lines[market]:
            if line[0] == line[0]:
                self._strategy.on_indicator(market, spec, line)

    def _signals(self, candle: ClosedCandle, complete: bool) -> None:
        record = record_of(candle, complete)
        for watch in tuple(self._desk.watches[candle.market]):
            signal = watch.take(record)
            if signal is not None:
                self._strategy.on_signal(signal)


def _ahead(desk: SimulatedDesk, bars: Bars) -> Callable[[], object]:
    """Take over the lines whose indicators can be computed by columns; returns what lets them grow by one."""
    rows: list[Any] = []
    for feed in tuple(desk.feeds[bars.market]):
        columns = feed.indicator.over(bars)
        if columns is not None:
            desk.feeds[bars.market].remove(feed)
            rows.append(map(feed.line.add, columns[feed.output]))
    return zip(*rows, strict=True).__next__ if rows else repeat(None).__next__
