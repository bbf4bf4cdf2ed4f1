"""Fills by quotes, checked by hand; every case is run with quotes heard of one by one, and not."""

from decimal import Decimal
from math import nan
from typing import Any

import pytest

from backtest.history import History
from backtest.orders import OrderState
from tests.backtest_events import buy, by_quotes, play_events, quotes_of, sell, told
from tests.backtest_runs import MARKET, terms_of

# second, bid, its size, ask, its size
FIRST: tuple[float, ...] = (1, 99, 6, 101, 4)


def test_a_market_order_takes_the_quote_that_stands_and_waits_with_the_rest() -> None:
    rows = [FIRST, (3, 99, 6, 102, 5), (4, 98, 2, 103, 50)]
    # 4 at 101 as it arrives, 5 of the next ask, 1 of the one after
    assert by_quotes(rows, {2: buy(10)}) == [(2, 4, 101, False), (3, 5, 102, False), (4, 1, 103, False)]
    assert by_quotes(rows, {2: sell(7)}) == [(2, 6, 99, False), (3, 1, 99, False)]


def test_two_orders_share_what_stands() -> None:
    def two(strategy: Any) -> None:
        strategy.buy(MARKET, 3)
        strategy.buy(MARKET, 3)

    assert by_quotes([FIRST, (3, 99, 6, 102, 5)], {2: two}) == [
        (2, 3, 101, False),
        (2, 1, 101, False),
        (3, 2, 102, False),
    ]


def test_before_the_first_quote_an_order_waits_for_it() -> None:
    assert by_quotes([FIRST, (3, 99, 6, 102, 5)], {0: buy(2)}) == [(1, 2, 101, False)]


def test_a_side_without_a_quote_fills_nothing() -> None:
    rows = [FIRST, (2, 99, 6, nan, 0), (4, 99, 6, 105, 3)]
    assert by_quotes(rows, {3: buy(2)}) == [(4, 2, 105, False)]
    assert by_quotes(rows, {3: sell(2)}) == [(3, 2, 99, False)]


def test_slippage_makes_the_price_worse_and_a_limit_has_none() -> None:
    terms = terms_of(1_000_000, fee="0.001", slippage="0.01")
    run, _ = play_events(History(quotes=[quotes_of([FIRST])]), {2: buy(1), 3: buy(1, limit=101)}, terms)
    # 101 * 1.01 = 102.01, with a fee of 0.10201; 101, with one of 0.101
    assert [(fill.price, fill.fee) for fill in run.fills] == [
        (Decimal("102.01"), Decimal("0.10201")),
        (101, Decimal("0.101")),
    ]


def test_a_limit_is_filled_at_its_price_when_the_other_side_comes_to_it() -> None:
    rows = [FIRST, (3, 98, 6, 100.5, 4), (4, 98, 6, 100, 4), (5, 97, 6, 99, 1), (6, 97, 6, 99.5, 9)]
    # 4 of 10 at second 4, one at second 5 and the last 5 at second 6, all at the limit
    assert by_quotes(rows, {2: buy(10, limit=100)}) == [
        (4, 4, 100, True),
        (5, 1, 100, True),
        (6, 5, 100, True),
    ]
    rows = [FIRST, (3, 99.5, 6, 101, 4), (4, 100.5, 9, 102, 4)]
    assert by_quotes(rows, {2: sell(8, limit=100)}) == [(4, 8, 100, True)]


def test_a_limit_that_reaches_the_other_side_takes_it_and_the_rest_waits_at_its_price() -> None:
    rows = [FIRST, (3, 99, 6, 103, 9), (4, 99, 6, 101.5, 9)]
    # 4 at the ask of 101; the rest is a bid of 102, which an ask of 101.5 meets at 102
    assert by_quotes(rows, {2: buy(10, limit=102)}) == [(2, 4, 101, False), (4, 6, 102, True)]


def test_post_only_is_refused_where_it_would_take() -> None:
    history = History(quotes=[quotes_of([FIRST, (3, 98, 6, 100, 9)])])
    run, strategy = play_events(history, {2: buy(1, limit=101, post_only=True)})
    assert (run.fills, strategy.orders[0].state) == ([], OrderState.REFUSED)
    run, strategy = play_events(history, {2: buy(1, limit=100, post_only=True)})
    assert told(run) == [(3, 1, 100, True)]


@pytest.mark.parametrize(
    ("how", "size", "filled"),
    [
        ({"limit": 101, "time_in_force": "ioc"}, 10, [(2, 4, 101, False)]),
        ({"limit": 100, "time_in_force": "ioc"}, 10, []),
        ({"time_in_force": "ioc"}, 10, [(2, 4, 101, False)]),
        ({"limit": 101, "time_in_force": "fok"}, 10, []),
        ({"limit": 101, "time_in_force": "fok"}, 4, [(2, 4, 101, False)]),
        ({"time_in_force": "fok"}, 5, []),
    ],
)
def test_what_is_not_filled_at_once_expires(how: Any, size: int, filled: list[Any]) -> None:
    rows = [FIRST, (3, 99, 6, 101, 90)]
    assert by_quotes(rows, {2: buy(size, **how)}) == filled


def test_fill_or_kill_of_all_that_is_free_knows_its_size() -> None:
    # 404 buys 4 at 101, which stand there; 505 buys 5
    for capital, filled in ((404, [(2, 4, 101, False)]), (505, [])):
        found = by_quotes([FIRST], {2: buy(time_in_force="fok")}, terms=terms_of(capital))
        assert found == filled


def test_all_that_is_free_is_never_more_than_what_the_next_quotes_cost() -> None:
    # 1010 buys 10 at 101: 4 for 404. Of the 606 left, 5 at 110 are 550; 56 buy none.
    run, _ = play_events(
        History(quotes=[quotes_of([FIRST, (3, 99, 6, 110, 9)])]), {2: buy()}, terms_of(1_010)
    )
    assert told(run) == [(2, 4, 101, False), (3, 5, 110, False)]
    assert run.cash == 56


def test_a_stop_looks_at_the_side_that_it_would_take() -> None:
    rows = [FIRST, (3, 102, 9, 103, 9), (4, 101, 9, 104, 9), (5, 101, 9, 105, 9)]
    # A bid of 102 is no buyer's price; the ask comes to 104 at second 4
    assert by_quotes(rows, {2: buy(1, stop=104)}) == [(4, 1, 104, False)]
    rows = [FIRST, (3, 97, 9, 98, 9), (4, 96, 9, 97, 9)]
    assert by_quotes(rows, {2: sell(1, stop=96)}) == [(4, 1, 96, False)]


def test_a_stop_limit_is_a_limit_once_the_quote_comes_to_its_stop() -> None:
    rows = [FIRST, (3, 101, 9, 104, 9), (4, 101, 9, 103, 9)]
    assert by_quotes(rows, {2: buy(1, stop=102, limit=103)}) == [(4, 1, 103, True)]
    assert by_quotes(rows, {2: buy(1, stop=102, limit=104)}) == [(3, 1, 104, False)]


def test_a_trailing_stop_follows_the_bid_to_sell() -> None:
    rows = [FIRST, (3, 104, 9, 200, 9), (4, nan, 0, 200, 9), (5, 102.1, 9, 200, 9), (6, 102, 9, 200, 9)]
    assert by_quotes(rows, {2: sell(1, trail=2)}) == [(6, 1, 102, False)]


def test_an_order_meets_the_quote_that_stands_when_it_arrives() -> None:
    rows = [FIRST, (3, 99, 6, 102, 5), (4, 99, 6, 103, 5)]
    # It arrives before what happens at its time: at second 3 it meets the quote of second 1 still.
    for latency, expected in ((0, (2, 101)), (1.0, (3, 101)), (1.5, (3.5, 102)), (2.5, (4.5, 103))):
        found = by_quotes(rows, {2: buy(1), 6: sell(1)}, latency=round(latency * 1_000_000))
        assert found[0] == (expected[0], 1, expected[1], False)


def test_candles_are_of_middle_prices_without_volume() -> None:
    rows = [(1, 99, 6, 101, 4), (30, 109, 6, 111, 4), (61, 89, 1, 91, 1)]
    run, _ = play_events(History(quotes=[quotes_of(rows)]), {2: buy(1)}, terms_of(1_000))
    bars = run.bars[0]
    assert (bars.opens, bars.highs, bars.closes) == ([100, 90], [110, 90], [110, 90])
    assert all(volume != volume for volume in bars.volumes)
    assert run.equity.tolist() == [1_000 - 101 + 110, 1_000 - 101 + 90]
