"""What is known of one market while an order of another is filled: nothing of the same candle's close."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np

from backtest.bars import ClosedCandle
from backtest.engine import run
from backtest.history import Funding, History, Trades
from backtest.orders import Order
from backtest.strategy import Strategy
from backtest.terms import Fills
from backtest.ticks import TradeTick
from tests.backtest_events import play_events
from tests.backtest_runs import BEGAN, MINUTE, bars_of, flat, play, terms_of

FIRST, SECOND = "test:A/B", "test:B/B"


class _Regret(Strategy):
    """Orders in the second market, and withdraws what the first one's candle speaks against."""

    def on_start(self) -> None:
        self.order: Order | None = None

    def on_candle(self, candle: ClosedCandle) -> None:
        if candle.market == SECOND and self.order is None:
            self.order = self.buy(SECOND, 10)
        elif candle.market == FIRST and self.order is not None:
            self.cancel(self.order)


def test_the_close_of_one_market_withdraws_no_order_that_the_open_of_another_has_filled() -> None:
    rows = [(100.0, 100.0, 100.0, 100.0), (100.0, 100.0, 90.0, 90.0), (90.0, 90.0, 90.0, 90.0)]
    found = run(_Regret(), [bars_of(rows, market) for market in (FIRST, SECOND)], terms_of())
    # Placed at the first close, filled at the next open, 100; that it falls to 90 is known a minute later.
    assert [(fill.market, float(fill.price), fill.time) for fill in found.fills] == [
        (SECOND, 100, BEGAN + MINUTE)
    ]


def test_a_shorter_candle_withdraws_no_order_of_a_longer_one_that_is_open() -> None:
    short = bars_of([(100.0, 100.0, 90.0, 90.0)] * 8, FIRST)
    rows = [(100.0, 100.0, 100.0, 100.0), (100.0, 100.0, 90.0, 90.0)]
    found = run(_Regret(), [short, bars_of(rows, SECOND, 4 * MINUTE)], terms_of())
    assert [(float(fill.price), fill.time) for fill in found.fills] == [(100, BEGAN + 4 * MINUTE)]


def test_trades_that_are_heard_withdraw_no_order_of_a_candle_that_is_open() -> None:
    class _Listening(_Regret):
        def on_candle(self, candle: ClosedCandle) -> None:
            self.order = self.order or self.buy(FIRST, 10)

        def on_trade(self, trade: TradeTick) -> None:
            if self.order is not None:
                self.cancel(self.order)

    times = np.array([BEGAN + 90_000_000], np.int64)
    trades = Trades(FIRST, times, np.array([90.0]), np.array([1.0]), np.array([-1], np.int8))
    history = History([bars_of(flat(100, 100, 90), FIRST)], [trades])
    wanted: tuple[tuple[Fills, int], ...] = (("candle", 100), ("trade", 90))
    for fills, price in wanted:
        found = run(_Listening(), history, replace(terms_of(), fills=fills))
        assert [fill.price for fill in found.fills] == [price]


def test_an_order_is_sized_before_the_others_close() -> None:
    """1,000 of 10,000 are free at the open of the second; at the first one's close it would be 9,100."""
    rows = [(100.0,) * 4, (100.0,) * 4, (100.0, 190.0, 100.0, 190.0), (190.0,) * 4]
    acts = {1: lambda desk: desk.buy(FIRST, 90), 3: lambda desk: desk.buy(SECOND)}
    found, _ = play([bars_of(rows, FIRST), bars_of(flat(100, 100, 100, 100), SECOND)], acts)
    assert [(fill.market, fill.size) for fill in found.fills] == [(FIRST, 90), (SECOND, 10)]


def test_funding_of_one_market_heeds_its_own_fills_alone() -> None:
    """10 of the first, from its second open on; they are sold on the path of the third."""

    def turn(strategy: Any) -> None:
        strategy.sell(FIRST, 10, limit=105)
        strategy.buy(SECOND, 1)

    rows = [(100.0,) * 4, (100.0,) * 4, (100.0, 110.0, 100.0, 110.0)]
    due = np.array([BEGAN + 2 * MINUTE + 1], np.int64)
    funding = Funding(FIRST, due, np.array([0.001]), np.array([100.0]))
    history = History([bars_of(rows, FIRST), bars_of(rows, SECOND)], funding=[funding])
    found, _ = play_events(history, {60: lambda strategy: strategy.buy(FIRST, 10), 120: turn})
    assert [fill.market for fill in found.fills] == [FIRST, FIRST, SECOND]
    # A sale on the path bears the time of the close, which is later: all ten pay 100 x 0.001.
    assert [payment.amount for payment in found.payments] == [Decimal(-1)]
