"""Market making on quotes, by hand."""

from random import Random

import numpy as np
import pytest

from backtest.engine import Run, run
from backtest.history import History, Quotes
from backtest.strategy import Strategy
from tests.backtest_runs import BEGAN, MARKET, terms_of

SECOND = 1_000_000


def quoted(spec: str, rows: list[tuple[float, float]], **terms: object) -> Run:
    """A run over best bids and asks, a second each, with ten units on each side."""
    times = np.array([BEGAN + number * SECOND for number in range(len(rows))], np.int64)
    bids, asks = (np.array(column, np.float64) for column in zip(*rows, strict=True))
    sizes = np.full(len(rows), 10.0)
    history = History(quotes=[Quotes(MARKET, times, bids, sizes, asks, sizes)])
    return run(Strategy.create(spec), history, terms_of(**terms))


def test_the_spread_is_earned_and_the_position_lowers_both_orders() -> None:
    # Spread 2 %, one unit, two at most. At 99.5 / 100.5 the middle is 100: bid 99, ask 101. The ask falls to
    # 99: bought there. Half of the most is held now, and the middle is 98.9: the centre is 98.9 * 0.995, bid
    # 97.421445 and ask 99.389555. The bid rises beyond that: sold there.
    rows = [(99.5, 100.5), (98.8, 99.0), (99.5, 100.5), (99.5, 100.5)]
    found = quoted("market_maker(spread=0.02,size=1,most=2,skew=1,step=0.01)", rows, maker_fee="0.001")
    (trade,) = found.trades
    assert (float(trade.size), float(trade.entry_price)) == (1.0, 99.0)
    assert float(trade.exit_price) == pytest.approx(99.389555)
    assert [fill.maker for fill in found.fills] == [True, True]
    assert float(found.final_equity) == pytest.approx(10_000 + 0.389555 - 0.001 * (99 + 99.389555))
    placed = [(order.side, round(float(order.limit or 0), 6)) for order in found.orders]
    assert placed[:4] == [("buy", 99.0), ("sell", 101.0), ("buy", 97.421445), ("sell", 99.389555)]


def test_orders_never_stand_within_the_best_bid_and_ask() -> None:
    found = quoted("market_maker(spread=0.001)", [(99.5, 100.5)] * 2)
    assert [float(order.limit or 0) for order in found.orders] == [99.5, 100.5]


def test_orders_stay_while_the_price_hardly_moves() -> None:
    # A tenth of the spread of 2 % is 0.2: quotes within it leave the two orders alone, the last one does not.
    rows = [(99.5, 100.5), (99.6, 100.6), (99.4, 100.4), (99.5, 100.5), (99.9, 100.9)]
    assert len(quoted("market_maker(spread=0.02,step=0.1)", rows[:4]).orders) == 2
    assert len(quoted("market_maker(spread=0.02,step=0.1)", rows).orders) == 4


def test_no_more_is_held_than_the_most_and_nothing_crosses() -> None:
    random, price, rows = Random(2), 100.0, []
    for _ in range(3_000):
        price *= random.uniform(0.999, 1.001)
        rows.append((price * 0.9999, price * 1.0001))
    found = quoted("market_maker(spread=0.0004,size=1,most=3)", rows, lot="0.5")
    held = np.cumsum([float(fill.signed_size) for fill in found.fills])
    assert len(found.trades) > 20
    assert np.abs(held).max() == 3
    assert all(fill.maker for fill in found.fills)
    past = quoted("market_maker(spread=0.0004,size=1,most=3)", rows[:1_000], lot="0.5")
    assert list(found.fills[: len(past.fills)]) == list(past.fills)
    assert len(past.fills) > 10
