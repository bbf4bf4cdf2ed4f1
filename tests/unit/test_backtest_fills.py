"""Fills by candles, checked by hand: the arithmetic stands beside each case."""

from decimal import Decimal
from typing import Any

import pytest

from backtest.orders import OrderState
from schemas.errors import ConfigurationError, ValidationError
from tests.backtest_runs import BEGAN, MARKET, MINUTE, Act, Prices, bars_of, flat, play, terms_of

CALM: Prices = (100, 101, 99, 100)


def buy(*size: object, **more: Any) -> Act:
    return lambda strategy: strategy.buy(MARKET, *size, **more)


def sell(*size: object, **more: Any) -> Act:
    return lambda strategy: strategy.sell(MARKET, *size, **more)


def test_a_market_order_is_filled_at_the_next_open() -> None:
    run, _ = play([CALM, (104, 106, 103, 105), (107, 108, 106, 107)], {0: buy(3)})
    (fill,) = run.fills
    assert (fill.price, fill.size, fill.time) == (104, 3, BEGAN + MINUTE)
    # 10,000 - 3 * 104 = 9,688 in cash; at the closes 3 * 100 is not held yet, then 3 * 105 and 3 * 107.
    assert run.cash == 9_688
    assert run.equity.tolist() == [10_000, 9_688 + 315, 9_688 + 321]
    assert run.exposed.tolist() == [False, True, True]


def test_an_order_of_the_last_candle_is_never_filled() -> None:
    run, strategy = play([CALM, CALM], {1: buy(3)})
    assert run.fills == []
    assert strategy.orders[1].is_open


def test_fees_are_paid_when_opening_and_when_closing() -> None:
    acts = {0: buy(10), 1: lambda strategy: strategy.close(MARKET)}
    run, _ = play(flat(100, 100, 110), acts, terms_of(fee="0.001"))
    # 10 * 100 * 0.001 = 1 and 10 * 110 * 0.001 = 1.1; 10 * (110 - 100) - 2.1 = 97.9
    (trade,) = run.trades
    assert (trade.fee, trade.profit) == (Decimal("2.1"), Decimal("97.9"))
    assert trade.profit_part == pytest.approx(97.9 / 1000)
    assert run.final_equity == Decimal("10097.9") == run.cash
    assert run.fees == Decimal("2.1")


def test_all_that_is_free_is_whole_lots_with_the_fee_included() -> None:
    run, _ = play(flat(33, 33), {0: buy()}, terms_of(1_000, fee="0.01"))
    # 33 * 1.01 = 33.33 a unit; 1000 / 33.33 = 30.003: 30 units, 1000 - 30 * 33.33 = 0.1 left
    assert (run.fills[0].size, run.cash) == (30, Decimal("0.10"))
    smaller, _ = play(flat(33, 33), {0: buy()}, terms_of(1_000, fee="0.01", lot="0.001"))
    assert smaller.fills[0].size == Decimal("30.003")  # 30.00300030...


@pytest.mark.parametrize(
    ("candle", "price"),
    [
        ((100, 101, 97, 99), 98),  # falls to it: at its price
        ((100, 101, 98, 99), 98),  # touches it
        ((96, 99, 95, 97), 96),  # opens below it: at the better open
        ((100, 101, 98.5, 99), None),  # does not reach it
    ],
)
def test_a_limit_to_buy(candle: Prices, price: float | None) -> None:
    run, _ = play([CALM, candle], {0: buy(1, limit=98)})
    assert [fill.price for fill in run.fills] == ([] if price is None else [price])


@pytest.mark.parametrize(
    ("candle", "price"),
    [((100, 103, 99, 101), 102), ((104, 105, 103, 104), 104), ((100, 101.9, 99, 100), None)],
)
def test_a_limit_to_sell(candle: Prices, price: float | None) -> None:
    run, _ = play([CALM, candle], {0: sell(1, limit=102)})
    assert [fill.price for fill in run.fills] == ([] if price is None else [price])


@pytest.mark.parametrize(
    ("candle", "price"),
    [
        ((100, 103, 99, 101), 102),  # rises to it: at its price
        ((104, 105, 101, 104), 104),  # opens above it: at the worse open
        ((100, 101.9, 99, 100), None),
    ],
)
def test_a_stop_to_buy(candle: Prices, price: float | None) -> None:
    run, _ = play([CALM, candle], {0: buy(1, stop=102)})
    assert [fill.price for fill in run.fills] == ([] if price is None else [price])


@pytest.mark.parametrize(
    ("candle", "price"),
    [((100, 101, 97, 99), 98), ((96, 99, 95, 97), 96), ((100, 101, 98.5, 99), None)],
)
def test_a_stop_to_sell(candle: Prices, price: float | None) -> None:
    run, _ = play([CALM, candle], {0: sell(1, stop=98)})
    assert [fill.price for fill in run.fills] == ([] if price is None else [price])


def test_orders_wait_until_their_price_comes_and_say_when() -> None:
    run, _ = play([CALM, CALM, (99.5, 100, 97, 99), CALM], {0: buy(1, limit=98)})
    (fill,) = run.fills
    # Somewhere within the third candle: it is known by its close.
    assert (fill.price, fill.time) == (98, BEGAN + 3 * MINUTE)
    gap, _ = play([CALM, CALM, (97, 100, 96, 99)], {0: buy(1, limit=98)})
    assert (gap.fills[0].price, gap.fills[0].time) == (97, BEGAN + 2 * MINUTE)


def test_limits_pay_the_makers_fee_and_no_slippage_stops_and_markets_both() -> None:
    terms = terms_of(fee="0.002", maker_fee="0.001", slippage="0.01")
    wide: Prices = (100, 110, 90, 100)
    acts: dict[int, Act] = {0: buy(1, limit=95), 1: buy(1, stop=105), 2: sell(2)}
    run, _ = play([CALM, wide, wide, wide], acts, terms)
    # 95; 105 * 1.01 = 106.05; 100 * 0.99 = 99
    assert [fill.price for fill in run.fills] == [95, Decimal("106.05"), 99]
    # 95 * 0.001, 106.05 * 0.002, 2 * 99 * 0.002
    assert [fill.fee for fill in run.fills] == [Decimal("0.095"), Decimal("0.2121"), Decimal("0.396")]


def test_where_a_candle_reaches_both_the_stop_came_first() -> None:
    def leave(strategy: Any) -> object:
        target = strategy.sell(MARKET, 5, limit=110, reduce_only=True)
        return target, strategy.sell(MARKET, 5, stop=90, reduce_only=True)

    run, strategy = play([CALM, CALM, (100, 120, 80, 100)], {0: buy(5), 1: leave})
    target, stop = strategy.orders[1]
    assert (stop.state, target.state) == (OrderState.FILLED, OrderState.CANCELLED)
    assert run.fills[-1].price == 90
    assert target.reason == "there is no position to reduce"


def test_an_order_that_is_withdrawn_when_another_is_filled_is_not_filled_by_the_same_candle() -> None:
    def either(strategy: Any) -> object:
        return strategy.buy(MARKET, 1, stop=102), strategy.sell(MARKET, 1, limit=103)

    def filled(strategy: Any, fill: Any) -> None:
        for order in strategy.orders[0]:
            strategy.cancel(order)

    run, strategy = play([CALM, (100, 110, 99, 105)], {0: either}, filled=filled)
    assert [fill.price for fill in run.fills] == [102]
    assert strategy.orders[0][1].state is OrderState.CANCELLED


def test_an_order_placed_when_another_is_filled_waits_for_the_next_candle() -> None:
    def filled(strategy: Any, fill: Any) -> None:
        if fill.side == "buy":
            strategy.sell(MARKET, 1, stop=95)

    run, _ = play([CALM, (100, 101, 90, 100), (94, 96, 93, 95)], {0: buy(1)}, filled=filled)
    assert [fill.price for fill in run.fills] == [100, 94]


def test_reduce_only_is_cut_to_the_position() -> None:
    run, strategy = play(flat(100, 100, 100), {0: buy(3), 1: sell(10, reduce_only=True)})
    assert [fill.signed_size for fill in run.fills] == [3, -3]
    assert strategy.position(MARKET) == 0


def test_reduce_only_without_a_position_is_cancelled() -> None:
    run, strategy = play(flat(100, 100), {0: sell(10, reduce_only=True)})
    assert run.fills == []
    assert strategy.orders[0].state is OrderState.CANCELLED


def test_a_larger_order_turns_a_position() -> None:
    run, strategy = play(flat(100, 100, 110, 104), {0: buy(4), 1: sell(10)}, terms_of(fee="0.001"))
    # Closed: 4 * (110 - 100) = 40, fees 0.4 for opening and 4/10 of 1.1 = 0.44; 6 are short at 110.
    (trade,) = run.trades
    assert (trade.size, trade.profit) == (4, Decimal("39.16"))
    assert strategy.position(MARKET) == -6
    # 10,000 + 40 - 0.4 - 1.1 + 6 * (110 - 104)
    assert run.final_equity == Decimal("10074.5")


def test_lots_are_closed_first_in_first_out() -> None:
    run, _ = play(flat(100, 100, 120, 130), {0: buy(2), 1: buy(3), 2: sell(4)})
    assert [(trade.size, trade.entry_price, trade.profit) for trade in run.trades] == [
        (2, 100, 60),
        (2, 120, 20),
    ]


def test_short_selling_wins_when_prices_fall() -> None:
    acts: dict[int, Act] = {0: sell(10), 1: lambda strategy: strategy.close(MARKET)}
    run, _ = play(flat(100, 100, 80), acts, terms_of(fee="0.01"))
    # -10 * (80 - 100) = 200, less 10 * 100 * 0.01 = 10 and 10 * 80 * 0.01 = 8
    (trade,) = run.trades
    assert (trade.size, trade.profit, run.final_equity) == (-10, 182, 10_182)


@pytest.mark.parametrize(("size", "carried"), [(100, True), (101, False)])
def test_what_the_account_cannot_carry_is_refused(size: int, carried: bool) -> None:
    for act in (buy(size), sell(size)):
        run, strategy = play(flat(100, 100), {0: act})
        assert (len(run.fills) == 1) is carried
        if not carried:
            assert strategy.orders[0].reason == "the account cannot carry it"
            assert run.final_equity == 10_000


def test_the_fee_counts_for_what_can_be_carried() -> None:
    run, _ = play(flat(100, 100), {0: buy(100)}, terms_of(fee="0.0001"))
    assert run.fills == []


def test_leverage_carries_more_and_loses_more() -> None:
    run, _ = play(flat(100, 100, 90), {0: buy()}, terms_of(leverage=5))
    # 5 * 10,000 / 100 = 500 units; 500 * -10 = -5,000
    assert (run.fills[0].size, run.cash, run.final_equity) == (500, -40_000, 5_000)


def test_what_is_bound_is_not_free() -> None:
    run, _ = play(flat(100, 100, 150, 150), {0: buy(60), 1: sell(10, limit=200), 2: buy()})
    # Equity 10,000 + 60 * 50 = 13,000; bound 60 * 100: 7,000 / 150 = 46.6
    assert [fill.size for fill in run.fills] == [60, 46]


def test_a_part_of_a_lot_is_refused() -> None:
    _, strategy = play(flat(100, 100), {0: buy(0.5)})
    assert strategy.orders[0].reason == "0.5 is less than a lot of 1"
    _, strategy = play(flat(20_000, 20_000), {0: buy()})
    assert strategy.orders[0].reason == "what is free buys less than a lot of 1"


@pytest.mark.parametrize(
    "act",
    [
        buy(0),
        buy(-1),
        buy(float("nan")),
        buy(1, limit=0),
        buy(1, limit=-5),
        buy(1, stop=float("inf")),
        buy(1, stop=1, trail=2),
        buy(1, limit=1, take_profit=2),
        buy(1, trail_part=1),
        buy(1, part=0.5),
        buy(1, post_only=True),
        buy(1, limit=98, post_only=True, time_in_force="ioc"),
        buy(1, limit=98, time_in_force="day"),
    ],
)
def test_orders_that_make_no_sense_are_errors(act: Act) -> None:
    with pytest.raises(ValidationError):
        play(flat(100, 100), {0: act})


def test_an_unknown_market_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="test:A/B"):
        play(flat(100, 100), {0: lambda strategy: strategy.buy("elsewhere:X/Y", 1)})


def test_two_markets_share_the_cash() -> None:
    other = "test:C/B"
    markets = [bars_of(flat(100, 100, 100, 110)), bars_of(flat(50, 50, 50, 40), market=other)]
    # Candles of one time come by name: at 0 and 1 the first of both, at 2 and 3 the second.
    run, _ = play(markets, {1: buy(60), 3: lambda strategy: strategy.buy(other)})
    # 10,000 - 6,000 = 4,000 buy 80 at 50; at the end 60 * 110 + 80 * 40
    assert [(fill.market, fill.size) for fill in run.fills] == [(MARKET, 60), (other, 80)]
    assert (run.cash, run.final_equity) == (0, 60 * 110 + 80 * 40)
    assert run.equity.tolist()[-2:] == [60 * 110 + 80 * 50, 60 * 110 + 80 * 40]
