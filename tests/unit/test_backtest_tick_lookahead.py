"""What a strategy can see of trades, quotes and books: nothing that is to come, in any hook."""

import gc
from collections.abc import Iterator
from decimal import Decimal
from random import Random
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

import msgspec
import numpy as np
import pytest

from backtest.bars import Bars
from backtest.book_view import BookView
from backtest.engine import run
from backtest.history import Books, History, Quotes, Trades
from backtest.lines import Line
from backtest.orders import Fill
from backtest.strategy import ClosedCandle, Strategy
from backtest.terms import Fills
from backtest.ticks import QuoteTick, TradeTick
from backtest.timers import Timer
from schemas.records import BookUpdate, Signal
from tests.backtest_events import book, books_of, quotes_of, trades_of
from tests.backtest_runs import BEGAN, MARKET, terms_of

ROWS = 40
TRAIL = 50


def past() -> History:
    """Rows of one market, a second apart, with prices of which each is there once."""
    random = Random(4)
    prices = [100 + random.randrange(10**6) / 10**5 for _ in range(6 * ROWS)]
    trades = [(20 * n + 1, prices[n], 1) for n in range(ROWS)]
    quotes = [(20 * n + 2, 200 + prices[n + ROWS], 1, 300 + prices[n + 2 * ROWS], 1) for n in range(ROWS)]
    books = [
        book(20 * n + 3, [(200 + prices[n + 3 * ROWS], 1)], [(300 + prices[n + 4 * ROWS], 1)])
        for n in range(ROWS)
    ]
    return History(trades=[trades_of(trades)], quotes=[quotes_of(quotes)], books=[books_of(books)])


def future_of(history: History) -> dict[str, int]:
    """When each price is known at first, µs."""
    trades, quotes, books = history.trades[0], history.quotes[0], history.books[0]
    found = dict(zip(map(repr, trades.prices.tolist()), trades.times.tolist(), strict=True))
    for prices in (quotes.bids, quotes.asks):
        found |= dict(zip(map(repr, prices.tolist()), quotes.times.tolist(), strict=True))
    for time, update in zip(books.times.tolist(), books.updates, strict=True):
        found |= dict.fromkeys(map(repr, (*update.bid_prices, *update.ask_prices)), time)
    return found


def reachable(thing: object) -> Iterator[object]:
    """All that hangs on an object: attributes, contents, and what closures hold; no globals, no code."""
    seen, waiting = {id(thing)}, [thing]
    while waiting:
        found = waiting.pop()
        yield found
        inner = gc.get_referents(found)
        if isinstance(found, msgspec.Struct):  # those without garbage collection have no referents
            inner = [getattr(found, name) for name in found.__struct_fields__]
        if isinstance(found, FunctionType):
            inner = [cell.cell_contents for cell in found.__closure__ or ()]
        for each in inner:
            if id(each) not in seen and not isinstance(each, type | ModuleType | BuiltinFunctionType):
                seen.add(id(each))
                waiting.append(each)


class _Curious(Strategy):
    """Looks at everything that it can reach, whenever it is called."""

    def begin(self, future: dict[str, int], *, hearing: bool) -> None:
        self.future, self.hearing = future, hearing
        self.calls: dict[str, int] = {}
        self.found: list[object] = []

    def look(self, hook: str) -> None:
        self.calls[hook] = self.calls.get(hook, 0) + 1
        now = self.desk.now  # type: ignore[attr-defined]
        future, self.future = self.future, {}
        for each in reachable(self):
            if isinstance(each, Bars | Trades | Quotes | Books | History | np.ndarray):
                self.found.append((hook, type(each)))
            elif isinstance(each, Decimal):
                # Of orders and fills; a trailing stop stands TRAIL beside a price.
                near = (str(each), str(each - TRAIL), str(each + TRAIL))
                if any(future.get(text, 0) > now for text in near):
                    self.found.append((hook, now, each))
            elif isinstance(each, float) and future.get(repr(each), 0) > now:
                self.found.append((hook, now, each))
            elif isinstance(each, BookUpdate):
                self.found.append((hook, each))
        self.future = future

    def on_start(self) -> None:
        self.line("sma(2)")
        self.watch("moving_average_crossover(1,2)")
        self.every("50s")
        self.at(BEGAN + 205_000_000)
        self.look("start")

    def on_candle(self, candle: ClosedCandle) -> None:
        self.buy(candle.market, 1, trail=TRAIL)
        self.sell(candle.market, 1, limit=candle.close * 1.01)
        self.look("candle")

    def on_indicator(self, market: str, spec: str, line: Line) -> None:
        self.look("indicator")

    def on_signal(self, signal: Signal) -> None:
        self.look("signal")

    def on_timer(self, timer: Timer) -> None:
        self.buy(MARKET, 1)
        self.look("timer")

    def on_fill(self, fill: Fill) -> None:
        self.look("fill")

    def on_stop(self) -> None:
        self.look("stop")


class _CuriousHearing(_Curious):
    """Hears of each tick, besides."""

    def on_trade(self, trade: TradeTick) -> None:
        self.look("trade")

    def on_quote(self, quote: QuoteTick) -> None:
        self.look("quote")

    def on_book(self, book: BookView) -> None:
        self.look("book")


@pytest.mark.parametrize("fills", ["candle", "trade", "quote", "book"])
@pytest.mark.parametrize("kind", [_Curious, _CuriousHearing])
def test_nothing_that_a_strategy_reaches_holds_what_is_to_come(fills: Fills, kind: type[_Curious]) -> None:
    history, strategy = past(), kind()
    strategy.begin(future_of(history), hearing=kind is _CuriousHearing)
    terms = terms_of(100_000, leverage=3)
    found = run(strategy, history, _with(terms, fills=fills, latency=1_500_000))
    assert strategy.found == []
    hooks = {"start", "candle", "indicator", "signal", "timer", "fill", "stop"}
    assert set(strategy.calls) == hooks | ({"trade", "quote", "book"} if strategy.hearing else set())
    assert len(found.fills) > 5


def test_the_search_finds_what_is_within_reach() -> None:
    history, strategy = past(), _Curious()

    def closure() -> object:
        return history

    for hidden in (closure, [{"deep": (history.trades[0].prices,)}]):
        strategy.begin({}, hearing=False)
        strategy.found = [hidden]
        assert any(isinstance(each, np.ndarray) for each in reachable(strategy))


@pytest.mark.parametrize("fills", ["candle", "trade", "quote", "book"])
def test_a_future_that_is_changed_changes_nothing_before_it(fills: Fills) -> None:
    history = past()
    cut = BEGAN + 400_000_000
    other = History(
        trades=[_changed(history.trades[0], cut, "prices")],
        quotes=[_changed(history.quotes[0], cut, "bids", "asks")],
        books=[Books(MARKET, history.books[0].times, _swapped(history.books[0], cut))],
    )
    found = []
    for each in (history, other):
        strategy = _Curious()
        strategy.begin({}, hearing=False)
        done = run(strategy, each, _with(terms_of(100_000, leverage=3), fills=fills))
        found.append([(fill.time, fill.size, fill.price) for fill in done.fills if fill.time < cut])
    assert len(found[0]) > 5
    assert found[0] == found[1]


def _with(terms: Any, **options: Any) -> Any:
    return type(terms)(**{name: getattr(terms, name) for name in terms.__dataclass_fields__} | options)


def _changed(rows: Any, since: int, *columns: str) -> Any:
    changed = {name: getattr(rows, name) for name in rows.__dataclass_fields__}
    for name in columns:
        column = changed[name].copy()
        column[rows.times >= since] *= 1.1
        changed[name] = column
    return type(rows)(**changed)


def _swapped(books: Books, since: int) -> list[BookUpdate]:
    random = Random(7)
    return [
        update
        if time < since
        else book(
            (time - BEGAN) / 1_000_000, [(random.randrange(200, 250), 1)], [(random.randrange(300, 350), 1)]
        )
        for time, update in zip(books.times.tolist(), books.updates, strict=True)
    ]
