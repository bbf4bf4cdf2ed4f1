"""What a strategy is told, and when."""

from math import nan
from typing import Any

import numpy as np
import pytest

from backtest.bars import Bars, ClosedCandle
from backtest.book_view import BookView
from backtest.engine import run
from backtest.history import Funding, History
from backtest.lines import Line
from backtest.orders import Fill
from backtest.strategy import Strategy
from backtest.ticks import QuoteTick, TradeTick
from backtest.timers import Timer, length_of, text_of
from processors.candles.past import past_candles
from processors.series.book import SeriesBook
from processors.series.plan import SeriesPlan
from schemas.errors import ConfigurationError, ValidationError
from schemas.records import Signal
from tests.backtest_events import book, books_of, buy, play_events, quotes_of, sell, told, trades_of
from tests.backtest_runs import BEGAN, MARKET, MINUTE, bars_of, flat, terms_of

OTHER = "test:C/B"


class _Diary(Strategy):
    """Writes down all that it hears."""

    def begin(self, *asks: str) -> None:
        self.asks = asks
        self.heard: list[tuple[str, float, str]] = []

    def on_start(self) -> None:
        for each in self.asks:
            self.every(each)
        self.line("sma(1)", MARKET)

    def note(self, what: str, time: int, market: str = "") -> None:
        self.heard.append((what, (time - BEGAN) / 1_000_000, market[-3:]))

    def on_trade(self, trade: TradeTick) -> None:
        self.note("trade", trade.time, trade.market)

    def on_quote(self, quote: QuoteTick) -> None:
        self.note("quote", quote.time, quote.market)

    def on_book(self, book: BookView) -> None:
        self.note("book", book.time, book.market)

    def on_candle(self, candle: ClosedCandle) -> None:
        self.note("candle", candle.close_time, candle.market)

    def on_indicator(self, market: str, spec: str, line: Line) -> None:
        assert (spec, line[0]) == ("sma(1)", 100)
        self.note("line", self.desk.now, market)  # type: ignore[attr-defined]

    def on_timer(self, timer: Timer) -> None:
        self.note("timer", timer.due or 0)

    def on_stop(self) -> None:
        self.heard.append(("stop", 0, ""))


def test_events_come_in_the_order_of_their_time_and_of_their_kind() -> None:
    history = History(
        bars=[bars_of(flat(100, 100), OTHER), bars_of(flat(100, 100))],
        trades=[trades_of([(60, 100, 1)]), trades_of([(60, 100, 1), (60, 101, 1)], OTHER)],
        quotes=[quotes_of([(60, 99, 1, 101, 1)])],
        books=[books_of([book(59.5, [(99, 1)], [(101, 1)]), book(60, [(98, 1)], [])])],
    )
    strategy = _Diary()
    strategy.begin("30s", "1m")
    run(strategy, history, terms_of())
    assert strategy.heard == [
        ("timer", 30, ""),
        ("book", 59.5, "A/B"),
        ("trade", 60, "A/B"),
        ("trade", 60, "C/B"),
        ("trade", 60, "C/B"),
        ("book", 60, "A/B"),
        ("quote", 60, "A/B"),
        ("candle", 60, "A/B"),
        ("line", 60, "A/B"),
        ("candle", 60, "C/B"),
        ("timer", 60, ""),
        ("timer", 60, ""),
        ("timer", 90, ""),
        ("candle", 120, "A/B"),
        ("line", 120, "A/B"),
        ("candle", 120, "C/B"),
        ("timer", 120, ""),
        ("timer", 120, ""),
        ("stop", 0, ""),
    ]


def test_of_an_event_the_fills_come_first() -> None:
    heard: list[tuple[str, float]] = []

    class _Order(Strategy):
        def on_trade(self, trade: TradeTick) -> None:
            heard.append(("trade", trade.price))
            if trade.price == 100:
                self.buy(trade.market, 1)

        def on_fill(self, fill: Fill) -> None:
            heard.append(("fill", float(fill.price)))

    run(_Order(), History(trades=[trades_of([(1, 100, 1), (2, 101, 1)])]), terms_of())
    assert heard == [("trade", 100), ("fill", 101), ("trade", 101)]


def test_ticks_say_what_the_rows_say() -> None:
    seen: list[Any] = []

    class _Reader(Strategy):
        def on_trade(self, trade: TradeTick) -> None:
            seen.append(trade)

        def on_quote(self, quote: QuoteTick) -> None:
            seen.append(quote)

        def on_book(self, book: BookView) -> None:
            seen.append((book.best_bid, book.best_ask, book.middle, book.bids(2), book.asks(1)))

    rows = [(1, 100, 2, 1), (2, 101, 3, -1), (3, 102, 4, 0)]
    history = History(
        trades=[trades_of(rows)],
        quotes=[quotes_of([(4, 99, 1, nan, 0)])],
        books=[
            books_of(
                [
                    book(5, [(99, 1), (98, 2), (97, 3)], [(101, 4), (102, 5)]),
                    book(6, [], [(101, 0), (102, 0)], delta=True),
                ]
            )
        ],
    )
    run(_Reader(), history, terms_of())
    assert seen[:3] == [
        TradeTick(MARKET, BEGAN + 1_000_000, 100, 2, "buy"),
        TradeTick(MARKET, BEGAN + 2_000_000, 101, 3, "sell"),
        TradeTick(MARKET, BEGAN + 3_000_000, 102, 4, None),
    ]
    assert (seen[3].bid, seen[3].bid_size, seen[3].ask_size) == (99, 1, 0)
    assert seen[4] == ((99, 1), (101, 4), 100, [(99, 1), (98, 2)], [(101, 4)])
    assert seen[5] == ((99, 1), None, None, [(99, 1), (98, 2)], [])


def test_timers_fire_while_nothing_comes_and_can_be_stopped() -> None:
    fired: list[float] = []

    class _Clock(Strategy):
        def on_start(self) -> None:
            self.often, self.once = self.every("20s"), self.at(BEGAN + 45_000_000)

        def on_timer(self, timer: Timer) -> None:
            assert timer.due is not None
            fired.append((timer.due - BEGAN) / 1_000_000)
            if timer is self.once:
                self.often.stop()
                self.at(BEGAN)  # over: at once

        def on_candle(self, candle: ClosedCandle) -> None:
            self.at(candle.close_time + 500_000)

    run(_Clock(), [bars_of(flat(1, 1))], terms_of())
    # The timer of the last candle lies behind the end.
    assert fired == [20, 40, 45, 0, 60.5]


def test_timers_that_ask_for_what_is_over_without_end_are_refused() -> None:
    class _Hasty(Strategy):
        def on_start(self) -> None:
            self.at(BEGAN)

        def on_timer(self, timer: Timer) -> None:
            self.at(BEGAN)

    with pytest.raises(ValidationError, match="would never end"):
        run(_Hasty(), [bars_of(flat(1, 1))], terms_of())


def test_lengths_of_time_are_written_in_one_unit() -> None:
    lengths = {
        "250ms": 250_000,
        "30s": 30_000_000,
        "5m": 300_000_000,
        "4h": 14_400_000_000,
        "1d": 86_400_000_000,
    }
    for text, length in lengths.items():
        assert (length_of(text), text_of(length)) == (length, text)
    assert text_of(1) == "1us"
    for wrong in ("5", "0s", "1w", "-1s", "1.5h", "5 m"):
        with pytest.raises(ValidationError, match="250ms"):
            length_of(wrong)


def _walk(count: int) -> list[tuple[float, float, float, int]]:
    random = np.random.default_rng(5)
    prices = np.round(100 * np.exp(np.cumsum(random.normal(0, 0.002, count))), 2)
    seconds = np.cumsum(random.integers(0, 30, count)) + 1
    rows = zip(seconds.tolist(), prices.tolist(), random.integers(1, 9, count).tolist(), strict=True)
    return [(second, price, size, 1 if size % 2 else -1) for second, price, size in rows]


def test_candles_values_and_signals_are_those_of_the_live_processors() -> None:
    trades = trades_of(_walk(3_000))
    live = past_candles(
        trades.times,
        trades.prices,
        trades.sizes,
        (trades.sides == 1).astype(np.int64),
        np.zeros(len(trades), np.int64),
        ["1m"],
    )
    book = SeriesBook(SeriesPlan.of(["rsi(14)"], ["moving_average_crossover(3,10)", "rsi_level"]))
    records = []
    for candle in live:
        venue, symbol = MARKET.split(":")
        records += book.fold(type(candle)(**{**_fields(candle), "venue": venue, "symbol": symbol}))
    values = [each.value for each in records if not isinstance(each, Signal)]
    signals = [each for each in records if isinstance(each, Signal)]

    class _Reader(Strategy):
        def on_start(self) -> None:
            self.values: list[float] = []
            self.signals: list[Signal] = []
            self.candles: list[ClosedCandle] = []
            self.line("rsi(14)")
            self.watch("moving_average_crossover(3,10)")
            self.watch("rsi_level")

        def on_candle(self, candle: ClosedCandle) -> None:
            self.candles.append(candle)

        def on_indicator(self, market: str, spec: str, line: Line) -> None:
            self.values.append(line[0])

        def on_signal(self, signal: Signal) -> None:
            assert self.candles[-1].close_time == signal.event_time
            self.signals.append(signal)

    reader = _Reader()
    run(reader, History(trades=[trades]), terms_of())
    assert len(signals) > 20
    assert reader.signals == signals
    assert reader.values == values
    assert [(each.open_time, each.high, each.close, each.volume) for each in reader.candles] == [
        (each.open_time, each.high, each.close, each.volume) for each in live
    ]


def _fields(record: Any) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__struct_fields__}


def test_funding_is_paid_at_its_time_and_shows_in_the_curve() -> None:
    funding = Funding(
        MARKET,
        np.array([BEGAN + MINUTE, BEGAN + MINUTE + 1], np.int64),
        np.array([0.01, -0.001]),
        np.array([nan, 200.0]),
    )
    candles = [bars_of(flat(100, 100, 100))]
    # Bought by a trade of second 1. 10 * 100 * 0.01 = 10 are paid, 10 * 200 * 0.001 = 2 are received.
    trades = [trades_of([(1, 100, 1), (179, 100, 1)])]
    found, _ = play_events(History(candles, trades, funding=[funding]), {0.5: buy(10)}, terms_of(2_000))
    assert found.equity.tolist() == [1_990, 1_992, 1_992]
    assert found.final_equity == 1_992


def test_by_candles_funding_is_paid_for_what_was_filled_before_it_was_due() -> None:
    candles = [(100, 100, 100, 100), (100, 101, 94, 100), (100, 100, 100, 100), (100, 100, 100, 100)]
    funding = Funding(
        MARKET,
        np.array([BEGAN + 90_000_000, BEGAN + 2 * MINUTE, BEGAN + 4 * MINUTE], np.int64),
        np.array([0.01, 0.02, 0.04]),
        np.array([100.0, 100.0, 100.0]),
    )
    acts = {0.5: buy(10), 1: buy(5, limit=95), 121: sell(15)}
    found, _ = play_events(History([bars_of(candles)], funding=[funding]), acts, terms_of(2_000))
    assert told(found) == [(60, 10, 100, False), (120, 5, 95, True), (180, 15, 100, False)]
    # 10 since second 60: 10 * 100 * 0.01 = 10 at second 90. 5 more by second 120: 15 * 100 * 0.02 = 30. The
    # gain of the 5 is 25. None is held at second 240.
    assert found.equity.tolist() == [2_000, 1_985, 1_985, 1_985]


def test_of_several_finer_rows_the_finest_fills_unless_another_is_asked_for() -> None:
    history = History(
        bars=[bars_of(flat(100, 107))],
        trades=[trades_of([(1, 100, 9), (2, 101, 9)])],
        quotes=[quotes_of([(1, 102, 9, 103, 9)])],
        books=[books_of([book(1, [(104, 9)], [(105, 9)])])],
    )
    for fills, price in (("candle", 107), ("trade", 101), ("quote", 103), ("book", 105), (None, 105)):
        found, _ = play_events(history, {1.5: buy(1)}, fills=fills)
        assert [float(fill.price) for fill in found.fills] == [price]


def test_by_candles_an_order_is_looked_at_from_the_candle_that_opens_after_it_arrives() -> None:
    history = History(bars=[bars_of(flat(100, 101, 102, 103))])
    for latency, price in ((0, 101), (30_000_000, 101), (30_000_001, 102)):
        found, _ = play_events(history, {30: buy(1)}, latency=latency)
        assert [float(fill.price) for fill in found.fills] == [price]

    def regret(strategy: Any) -> None:
        strategy.cancel(strategy.orders[0])

    # Withdrawn while the candle runs that reaches it: too late with candles, which do not say when
    rows = [(100, 100, 100, 100), (100, 100, 95, 100), (100, 100, 95, 100)]
    for second, latency, count in ((59, 1_000_000, 0), (59, 1_000_001, 1), (60, 0, 0), (90, 0, 1)):
        acts = {0.5: buy(1, limit=96), second: regret}
        found, _ = play_events(History(bars=[bars_of(rows)]), acts, latency=latency)
        assert len(found.fills) == count


def test_rows_that_cannot_be_run_over_are_refused() -> None:
    trades = trades_of([(2, 100, 1), (1, 100, 1)])
    empty = Bars(MARKET, [], MINUTE, [], [], [], [], [])
    for history, error, message in (
        (History(), ConfigurationError, "nothing to run over"),
        (History(bars=[empty]), ConfigurationError, "nothing to run over"),
        (History(trades=[trades]), ValidationError, "trades of test:A/B fall"),
        (History(trades=[trades, trades]), ConfigurationError, "once"),
        (History(quotes=[quotes_of([(1, nan, 0, 101, 1)])]), ConfigurationError, "no price"),
    ):
        with pytest.raises(error, match=message):
            play_events(history, {})
    with pytest.raises(ConfigurationError, match="no interval 7m"):
        play_events(History(trades=[trades_of([(1, 1, 1)])]), {}, interval="7m")
