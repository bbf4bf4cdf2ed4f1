"""Fills by trades, checked by hand; every case is run with trades heard of one by one, and not."""

from decimal import Decimal
from typing import Any

import pytest

from backtest.history import History
from backtest.orders import OrderState
from tests.backtest_events import Act, buy, by_trades, play_events, sell, told, trades_of
from tests.backtest_runs import BEGAN, MARKET, terms_of

# second, price, size
QUIET = [(1, 100, 5), (2, 100, 5)]


def test_a_market_order_is_filled_whole_by_the_next_trade() -> None:
    # Placed at second 2, after the trade of that second; the trade of second 3 has a size of 1 alone.
    assert by_trades([*QUIET, (3, 101, 1), (4, 99, 9)], {2: buy(10)}) == [(3, 10, 101, False)]


def test_slippage_and_fees_are_those_of_a_taker() -> None:
    terms = terms_of(1_000_000, fee="0.001", maker_fee="0.0001", slippage="0.01")
    run, _ = play_events(History(trades=[trades_of([*QUIET, (3, 200, 1)])]), {2: buy(10)}, terms)
    # 200 * 1.01 = 202; 10 * 202 * 0.001 = 2.02
    assert [(fill.price, fill.fee) for fill in run.fills] == [(Decimal("202.00"), Decimal("2.02"))]


def test_a_limit_that_waits_is_filled_whole_at_its_price_by_a_trade_through_it() -> None:
    rows = [*QUIET, (3, 100, 1), (4, 98.9, 0.1), (5, 98, 50)]
    assert by_trades(rows, {2: buy(10, limit=99)}) == [(4, 10, 99, True)]
    rows = [*QUIET, (3, 100, 1), (4, 101.5, 0.1)]
    assert by_trades(rows, {2: sell(10, limit=101)}) == [(4, 10, 101, True)]


def test_a_trade_at_its_price_fills_no_more_of_it_than_its_size() -> None:
    rows = [*QUIET, (3, 100, 9), (4, 99, 4), (5, 99, 3), (6, 99.5, 9), (7, 99, 9)]
    # 4 + 3, and 3 of 10 are left for the 9 of second 7
    assert by_trades(rows, {2: buy(10, limit=99)}) == [
        (4, 4, 99, True),
        (5, 3, 99, True),
        (7, 3, 99, True),
    ]


def test_whole_lots_are_filled_in_part() -> None:
    rows = [*QUIET, (3, 100, 9), (4, 99, 2.7), (5, 99, 0.9), (6, 99, 1)]
    # of 2.7 two whole ones, of 0.9 none
    assert by_trades(rows, {2: buy(3, limit=99)}) == [(4, 2, 99, True), (6, 1, 99, True)]
    assert by_trades(rows, {2: buy(3, limit=99)}, lot=Decimal("0.1")) == [
        (4, 2.7, 99, True),
        (5, 0.3, 99, True),
    ]


def test_orders_share_a_trade_in_the_order_of_their_placing() -> None:
    rows = [*QUIET, (3, 100, 1), (4, 99, 5)]

    def two(strategy: Any) -> None:
        strategy.buy(MARKET, 3, limit=99)
        strategy.buy(MARKET, 4, limit=99)

    assert by_trades(rows, {2: two}) == [(4, 3, 99, True), (4, 2, 99, True)]


def test_a_limit_beyond_the_market_takes_at_the_price_of_the_next_trade() -> None:
    rows = [*QUIET, (3, 100, 1), (4, 97, 9)]
    assert by_trades(rows, {2: buy(10, limit=103)}) == [(3, 10, 100, False)]
    assert by_trades(rows, {2: sell(10, limit=98)}) == [(3, 10, 100, False)]


def test_post_only_is_refused_beyond_the_market_and_waits_else() -> None:
    rows = [*QUIET, (3, 100, 1), (4, 98, 9)]
    history = History(trades=[trades_of(rows)])
    run, strategy = play_events(history, {2: buy(10, limit=103, post_only=True)})
    assert (run.fills, strategy.orders[0].state) == ([], OrderState.REFUSED)
    assert by_trades(rows, {2: buy(10, limit=99, post_only=True)}) == [(4, 10, 99, True)]


@pytest.mark.parametrize(
    ("how", "third", "filled"),
    [
        ("ioc", (3, 99, 4), [(3, 4, 99, False)]),  # at its price: as much as was traded, the rest expires
        ("fok", (3, 99, 4), []),  # not all of 10
        ("fok", (3, 99, 10), [(3, 10, 99, False)]),
        ("ioc", (3, 98, 1), [(3, 10, 98, False)]),  # through its price
        ("fok", (3, 98, 1), [(3, 10, 98, False)]),
        ("ioc", (3, 100, 50), []),
    ],
)
def test_what_is_not_filled_at_once_expires(how: str, third: Any, filled: list[Any]) -> None:
    rows = [*QUIET, third, (4, 90, 100)]
    assert by_trades(rows, {2: buy(10, limit=99, time_in_force=how)}) == filled
    run, strategy = play_events(History(trades=[trades_of(rows)]), {2: buy(10, limit=99, time_in_force=how)})
    whole = sum(size for _, size, _, _ in filled) == 10
    assert strategy.orders[0].state is (OrderState.FILLED if whole else OrderState.EXPIRED)
    assert strategy.orders[0].filled == sum(fill.size for fill in run.fills)


def test_fill_or_kill_of_all_that_is_free_knows_its_size() -> None:
    # 1000 buys 10 at 99 (10.1), of which 9 were traded, or 10
    for traded, filled in ((9, []), (10, [(3, 10, 99, False)])):
        rows = [*QUIET, (3, 99, traded)]
        terms = terms_of(1_000)
        assert by_trades(rows, {2: buy(limit=99, time_in_force="fok")}, terms=terms) == filled


def test_a_stop_is_at_the_market_after_the_trade_that_reaches_it() -> None:
    rows = [*QUIET, (3, 101.9, 1), (4, 102, 1), (5, 104, 1), (6, 103, 1)]
    assert by_trades(rows, {2: buy(1, stop=102)}) == [(5, 1, 104, False)]
    rows = [*QUIET, (3, 98.1, 1), (4, 97, 1), (5, 96, 1)]
    assert by_trades(rows, {2: sell(1, stop=98)}) == [(5, 1, 96, False)]


def test_a_stop_limit_waits_at_its_limit_after_its_stop() -> None:
    rows = [*QUIET, (3, 102, 1), (4, 104, 1), (5, 103, 0.5), (6, 102.5, 9)]
    # Reached at second 3; at 104 it waits at 103; half a unit is no lot; through it at second 6
    assert by_trades(rows, {2: buy(2, stop=102, limit=103)}) == [(6, 2, 103, True)]


def test_take_profit_and_trailing_stops() -> None:
    rows = [*QUIET, (3, 104, 1), (4, 105, 1), (5, 103, 1), (6, 102.9, 1), (7, 101, 1)]
    assert by_trades(rows, {2: sell(1, take_profit=105)}) == [(5, 1, 103, False)]
    # Follows 104 and 105 at a distance of 2: 103 is reached by the trade of second 5
    assert by_trades(rows, {2: sell(1, trail=2)}) == [(6, 1, 102.9, False)]
    # 2 % of 105 are 2.1: 102.9 is reached by the trade of second 6, no sooner
    assert by_trades(rows, {2: sell(1, trail_part=0.02)}) == [(7, 1, 101, False)]


def test_an_order_and_its_withdrawal_take_their_time() -> None:
    rows = [*QUIET, (3, 101, 1), (4, 102, 1), (5, 103, 1)]
    for latency, filled in ((0, 3), (900_000, 3), (1_000_000, 3), (1_000_001, 4), (2_500_000, 5)):
        assert by_trades(rows, {2: buy(1)}, latency=latency) == [(filled, 1, 98 + filled, False)]

    def change_of_mind(strategy: Any) -> None:
        strategy.cancel(strategy.orders[0])

    acts = {2: buy(10, limit=99), 3.5: change_of_mind}
    rows = [*QUIET, (3, 100, 1), (4, 98, 1), (5, 97, 1)]
    assert by_trades(rows, acts) == []
    assert by_trades(rows, acts, latency=400_000) == []
    assert by_trades(rows, acts, latency=600_000) == [(4, 10, 99, True)]


def test_what_is_ordered_at_a_fill_is_looked_at_from_the_next_trade_on() -> None:
    def turn(strategy: Any, fill: Any) -> None:
        if fill.side == "buy":
            strategy.sell(MARKET, fill.size)

    rows = [*QUIET, (3, 101, 1), (3, 102, 1), (3, 103, 1)]
    assert by_trades(rows, {2: buy(2)}, filled=turn) == [(3, 2, 101, False), (3, 2, 102, False)]


def test_a_short_position_is_liquidated_by_the_trade_that_uses_its_margin_up() -> None:
    rows = [*QUIET, (3, 100, 1), (4, 149, 1), (5, 150, 1), (6, 140, 1)]
    run, _ = play_events(History(trades=[trades_of(rows)]), {2: sell(20)}, terms_of(1_000, leverage=3))
    # 1000 + 20 * 100 = 3000 of cash; nothing is left at 3000 / 20 = 150
    assert told(run) == [(3, 20, 100, False), (5, 20, 150, False)]
    assert run.final_equity == 0


@pytest.mark.parametrize("hearing", [False, True])
def test_short_positions_in_two_markets_are_liquidated_together(hearing: bool) -> None:
    other = "test:C/B"
    first = [*QUIET, (3, 100, 1), (5, 120, 1), (8, 119, 1)]
    second = [*QUIET, (3, 100, 1), (4, 129, 1), (6, 129.9, 1), (7, 130, 1), (8, 90, 1)]
    history = History(trades=[trades_of(first), trades_of(second, other)])
    acts: dict[float, Act] = {2: lambda both: (both.sell(MARKET, 10), both.sell(other, 10))}
    run, _ = play_events(history, acts, terms_of(500, leverage=5), hearing=hearing)
    # 500 + 2 * 10 * 100 = 2500 of cash; nothing is left once both prices together are 250: 120 and 130
    assert told(run) == [(3, 10, 100, False)] * 2 + [(7, 10, 120, False), (7, 10, 130, False)]
    assert run.final_equity == 0


def test_the_equity_is_sampled_at_the_close_of_the_candles_of_the_trades() -> None:
    rows = [(1, 100, 1), (30, 110, 1), (59, 120, 1), (61, 130, 1), (119, 90, 1), (185, 95, 1)]
    run, _ = play_events(History(trades=[trades_of(rows)]), {1: buy(2)}, terms_of(1_000))
    # Bought at 110; worth 120, 90 and 95 at the closes. No candle in the minute without trades.
    assert [(time - BEGAN) // 60_000_000 for time in run.times.tolist()] == [1, 2, 4]
    assert run.equity.tolist() == [1_020, 960, 970]
    assert run.exposed.tolist() == [True, True, True]
    assert run.bars[0].highs == [120, 130, 95]
