"""Orders with conditions, filled by candles and checked by hand: the arithmetic stands beside each case."""

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


def prices_of(run: Any) -> list[Decimal]:
    return [fill.price for fill in run.fills]


@pytest.mark.parametrize(
    ("held", "candle", "first"),
    [
        (5, (100, 120, 80, 100), 80),  # long: to the low first, however near the high is
        (5, (100, 111, 80, 100), 80),
        (-5, (100, 120, 89, 100), 110),  # short: to the high first
        (0, (100, 115, 80, 100), 110),  # nothing held: 15 up, 20 down, so up first
        (0, (100, 120, 85, 100), 90),  # 20 up, 15 down
        (0, (100, 120, 80, 101), 90),  # as near, and it rises: the low first
        (0, (100, 120, 80, 99), 110),  # as near, and it falls: the high first
    ],
)
def test_the_path_goes_against_what_is_held_else_to_the_nearer_extreme(
    held: int, candle: Prices, first: int
) -> None:
    def around(strategy: Any) -> object:
        return strategy.buy(MARKET, 1, stop=110), strategy.sell(MARKET, 1, stop=80 if held > 0 else 90)

    enter = {0: buy(5) if held > 0 else sell(5)} if held else {}
    run, _ = play([CALM, CALM, candle], {**enter, 1: around})
    assert prices_of(run)[len(enter)] == first


def test_a_bracket_is_left_by_its_stop_when_a_candle_reaches_both() -> None:
    for enter, leave, stop, profit in ((buy, sell, 95, 105), (sell, buy, 105, 95)):

        def both(strategy: Any, leave: Any = leave, stop: int = stop, profit: int = profit) -> object:
            target = leave(5, limit=profit, reduce_only=True)(strategy)
            return target, leave(5, stop=stop, reduce_only=True)(strategy)

        run, _ = play([CALM, CALM, (100, 106, 94, 100)], {0: enter(5), 1: both})
        assert prices_of(run) == [100, stop]


@pytest.mark.parametrize(
    ("candles", "price", "maker"),
    [
        # Falls to 98, and 98 is not below the limit: filled there.
        ([(100, 101, 96, 99)], 98, False),
        # Opens at 96, below the limit: waits in the book, and is filled when the next candle rises to 97.
        ([(96, 96.5, 95, 96), (96, 98, 95, 97)], 97, True),
        # Opens at 96, falls to 94, rises to 99: filled on its way up.
        ([(96, 99, 94, 98)], 97, True),
        # Opens between stop and limit: filled at the open.
        ([(97.5, 99, 96, 98)], 97.5, False),
        # Never falls to 98.
        ([(100, 101, 98.5, 99)], None, False),
        # Opens below the limit, and never comes back to it.
        ([(96, 96.5, 95, 96), (95, 96.9, 94, 95)], None, False),
    ],
)
def test_a_stop_limit_to_sell(candles: list[Prices], price: float | None, maker: bool) -> None:
    run, strategy = play([CALM, CALM, *candles], {0: buy(5), 1: sell(5, stop=98, limit=97)})
    assert [(fill.price, fill.maker) for fill in run.fills[1:]] == ([] if price is None else [(price, maker)])
    if price is None:
        opened = candles[0][2] <= 98
        assert strategy.orders[1].state is (OrderState.TRIGGERED if opened else OrderState.OPEN)


@pytest.mark.parametrize(
    ("last", "price"),
    [
        (100, 101),  # up to 103 by 102, then down to the close by 101
        (102, None),  # down to 102 alone
    ],
)
def test_a_stop_limit_to_buy_below_its_stop_waits_for_the_way_back(last: float, price: float | None) -> None:
    # From 100 to 99, which is nearer, then to 103: 102 is reached, but the limit is 101.
    run, _ = play([CALM, (100, 103, 99, last)], {0: buy(1, stop=102, limit=101)})
    assert prices_of(run) == ([] if price is None else [price])


def test_a_stop_limit_pays_as_what_it_is_when_filled() -> None:
    terms = terms_of(fee="0.002", maker_fee="0.001", slippage="0.01")
    run, _ = play([CALM, CALM, (100, 101, 96, 99)], {0: buy(5), 1: sell(5, stop=98, limit=97)}, terms)
    # At once, so as a taker, but no worse than its price: 5 * 98 * 0.002
    assert (run.fills[1].price, run.fills[1].fee) == (98, Decimal("0.98"))
    candles: list[Prices] = [CALM, CALM, (96, 99, 94, 98)]
    run, _ = play(candles, {0: buy(5), 1: sell(5, stop=98, limit=97)}, terms)
    # It has waited: 5 * 97 * 0.001
    assert (run.fills[1].price, run.fills[1].fee) == (97, Decimal("0.485"))


@pytest.mark.parametrize(
    ("candle", "price"),
    [
        ((100, 106, 99, 104), 105),  # rises to it
        ((107, 108, 106, 107), 107),  # opens above it: at the better open
        ((100, 104.9, 99, 104), None),
    ],
)
def test_a_take_profit_to_sell(candle: Prices, price: float | None) -> None:
    run, _ = play([CALM, CALM, candle], {0: buy(5), 1: sell(5, take_profit=105)})
    assert prices_of(run)[1:] == ([] if price is None else [price])


@pytest.mark.parametrize(
    ("candle", "price"),
    [((100, 101, 94, 99), 95), ((93, 94, 92, 93), 93), ((100, 101, 95.5, 99), None)],
)
def test_a_take_profit_to_buy(candle: Prices, price: float | None) -> None:
    run, _ = play([CALM, candle], {0: buy(1, take_profit=95)})
    assert prices_of(run) == ([] if price is None else [price])


def test_a_take_profit_is_a_market_order_with_its_fee_and_slippage() -> None:
    terms = terms_of(fee="0.002", maker_fee="0.001", slippage="0.01")
    run, _ = play([CALM, (100, 106, 99, 104)], {0: sell(1, take_profit=105)}, terms)
    # 105 * 0.99 = 103.95; 103.95 * 0.002
    assert (run.fills[0].price, run.fills[0].fee) == (Decimal("103.95"), Decimal("0.2079"))


@pytest.mark.parametrize(
    ("candles", "price"),
    [
        # At the close of 100 it stands at 97. The open of 101 makes it 98; then 100, 104: 101; 103 is above.
        # The next candle falls from 103 through 101.
        ([(101, 104, 100, 103), (103, 103, 100, 102)], 101),
        # 101: 98; the low of 100 does not reach it; 110: 107; the close of 105 does.
        ([(101, 110, 100, 105)], 107),
        # Falls from 101 to 97 at once, by 98.
        ([(101, 110, 97, 105)], 98),
        # It never steps back: 104 has made it 101, and 102 leaves it there; opens below it.
        ([(101, 104, 100, 103), (102, 102, 101.5, 102), (96, 97, 95, 96)], 96),
        ([(101, 104, 100, 103), (103, 103.5, 101.5, 103)], None),
    ],
)
def test_a_trailing_stop_to_sell_follows_the_highest_price(
    candles: list[Prices], price: float | None
) -> None:
    run, _ = play([CALM, CALM, *candles], {0: buy(5), 1: sell(5, trail=3)})
    assert prices_of(run)[1:] == ([] if price is None else [price])


def test_a_trailing_stop_to_buy_follows_the_lowest_price_by_a_part() -> None:
    # 100 * 1.1 = 110; short, so up to 101 first; 80 * 1.1 = 88; the close of 85 is below.
    # The next candle rises from 85 to 90, by 88.
    candles: list[Prices] = [CALM, CALM, (100, 101, 80, 85), (85, 90, 84, 89)]
    run, strategy = play(candles, {0: sell(5), 1: buy(5, trail_part=0.1)})
    assert prices_of(run) == [100, 88]
    assert run.fills[1].time == BEGAN + 4 * MINUTE
    assert strategy.orders[1].trigger == 88


def test_one_that_is_filled_cancels_the_other() -> None:
    def bracket(strategy: Any) -> object:
        profit = strategy.sell(MARKET, 5, limit=110)
        stop = strategy.sell(MARKET, 5, stop=90)
        strategy.one_cancels_other(profit, stop)
        return profit, stop

    run, strategy = play([CALM, CALM, (100, 120, 99, 100), (100, 101, 80, 90)], {0: buy(5), 1: bracket})
    profit, stop = strategy.orders[1]
    assert prices_of(run) == [100, 110]
    assert (profit.state, stop.state) == (OrderState.FILLED, OrderState.CANCELLED)
    assert stop.reason == f"order {profit.number} was filled"
    assert strategy.position(MARKET) == 0
    # Both within one candle: long, so to the low first.
    run, strategy = play([CALM, CALM, (100, 120, 80, 100)], {0: buy(5), 1: bracket})
    assert prices_of(run) == [100, 90]
    assert strategy.orders[1][0].state is OrderState.CANCELLED


def test_the_other_stays_when_one_is_refused_or_withdrawn() -> None:
    def either(strategy: Any) -> object:
        dear = strategy.buy(MARKET, 500, stop=102)
        cheap, third = strategy.buy(MARKET, 1, limit=98), strategy.buy(MARKET, 1, limit=50)
        strategy.one_cancels_other(dear, cheap, third)
        strategy.cancel(third)
        return dear, cheap

    run, strategy = play([CALM, (100, 103, 100, 102), (102, 102, 97, 100)], {0: either})
    # 500 * 102 = 51,000 are more than there is.
    assert strategy.orders[0][0].state is OrderState.REFUSED
    assert prices_of(run) == [98]


def test_groups_that_make_no_sense_are_errors() -> None:
    def alone(strategy: Any) -> None:
        order = strategy.buy(MARKET, 1, limit=98)
        with pytest.raises(ValidationError, match="two orders"):
            strategy.one_cancels_other(order)
        strategy.one_cancels_other(order, strategy.buy(MARKET, 1, stop=102))
        with pytest.raises(ValidationError, match="one group"):
            strategy.one_cancels_other(order, strategy.buy(MARKET, 1, limit=97))

    play([CALM], {0: alone})


@pytest.mark.parametrize("kept", ["ioc", "fok"])
def test_what_is_to_be_filled_at_once_is_looked_at_the_next_open_alone(kept: str) -> None:
    # The open of 100 does not reach 98; the low of 97 comes too late.
    run, strategy = play([CALM, (100, 101, 97, 99)], {0: buy(1, limit=98, time_in_force=kept)})
    assert run.fills == []
    assert strategy.orders[0].state is OrderState.EXPIRED
    assert strategy.orders[0].reason == f"{kept}: not filled at once"
    run, _ = play([CALM, (97, 101, 96, 99)], {0: buy(1, limit=98, time_in_force=kept)})
    assert prices_of(run) == [97]


def test_a_stop_limit_to_be_filled_at_once_is_looked_at_when_its_stop_is_reached() -> None:
    acts: dict[int, Act] = {0: buy(1, stop=102, limit=101, time_in_force="ioc")}
    run, strategy = play([CALM, CALM, (100, 103, 99, 100)], acts)
    assert (run.fills, strategy.orders[0].state) == ([], OrderState.EXPIRED)
    acts = {0: buy(1, stop=102, limit=103, time_in_force="ioc")}
    run, _ = play([CALM, CALM, (100, 103, 99, 100)], acts)
    assert prices_of(run) == [102]


def test_post_only_is_refused_where_it_would_take_and_waits_where_it_would_not() -> None:
    for opened in (98, 97):
        run, strategy = play([CALM, (opened, 101, 96, 99)], {0: buy(1, limit=98, post_only=True)})
        assert (run.fills, strategy.orders[0].state) == ([], OrderState.REFUSED)
        assert strategy.orders[0].reason == "post_only: it would be filled at once"
    run, _ = play([CALM, (100, 101, 99, 99), (97, 99, 96, 98)], {0: buy(1, limit=98, post_only=True)})
    assert [(fill.price, fill.maker) for fill in run.fills] == [(97, True)]


def test_a_limit_that_is_filled_as_it_arrives_takes() -> None:
    terms = terms_of(fee="0.002", maker_fee="0.001", slippage="0.01")
    run, _ = play([CALM, (97, 99, 96, 98)], {0: buy(1, limit=98)}, terms)
    # 97 * 0.002; a limit pays no slippage.
    assert (run.fills[0].price, run.fills[0].fee, run.fills[0].maker) == (97, Decimal("0.194"), False)


def test_reduce_only_holds_for_stops_and_limits_that_have_waited() -> None:
    acts: dict[int, Act] = {0: buy(5), 1: sell(9, stop=95, reduce_only=True), 2: sell(3)}
    run, strategy = play([CALM, CALM, CALM, (100, 101, 94, 95)], acts)
    # 3 of 5 were sold at the open; of 9 two are left to reduce.
    assert [(fill.signed_size, fill.price) for fill in run.fills] == [(5, 100), (-3, 100), (-2, 95)]
    assert (strategy.orders[1].size, strategy.orders[1].state) == (2, OrderState.FILLED)


def target(size: object) -> Act:
    return lambda strategy: strategy.target(MARKET, size)


def part(wanted: object) -> Act:
    return lambda strategy: strategy.target_part(MARKET, wanted)


def test_a_target_orders_what_is_missing() -> None:
    acts = {0: target(5), 1: target(2), 2: target(-4), 3: target(-4), 4: target(0)}
    run, strategy = play(flat(100, 100, 100, 100, 100, 100), acts)
    # +5; 2 - 5; -4 - 2; nothing; 0 + 4
    assert [fill.signed_size for fill in run.fills] == [5, -3, -6, 4]
    assert strategy.orders[3] is None


def test_a_target_asked_for_twice_is_ordered_once() -> None:
    def twice(strategy: Any) -> object:
        return [strategy.target(MARKET, size) for size in (5, 5, 7, 1)]

    _, strategy = play(flat(100, 100, 100), {0: twice})
    # 5 on the way; none; 2 more; then 6 too many are on the way.
    assert [order and order.sign * order.size for order in strategy.orders[0]] == [5, None, 2, -6]
    assert strategy.position(MARKET) == 1


def test_limits_and_stops_that_wait_do_not_count_for_a_target() -> None:
    def waiting(strategy: Any) -> object:
        strategy.buy(MARKET, 3, limit=90)
        strategy.buy(MARKET, 3, stop=110)
        strategy.buy(MARKET, 2, limit=100, time_in_force="ioc")
        return strategy.target(MARKET, 5)

    _, strategy = play(flat(100, 100), {0: waiting})
    assert strategy.orders[0].size == 3


def test_a_target_of_the_equity_counts_at_the_last_prices() -> None:
    acts = {0: part(0.5), 1: part(0.5), 2: part(-0.25)}
    run, _ = play(flat(100, 100, 125, 125), acts)
    # 10,000 / 2 / 100 = 50, which are still half at the next close of 100. At that of 125 the equity is
    # 5,000 + 50 * 125 = 11,250; -0.25 * 11,250 / 125 = -22.5: 22 short, so 72 are sold.
    assert [fill.signed_size for fill in run.fills] == [50, -72]


def test_what_a_target_cannot_carry_is_cut_off() -> None:
    run, strategy = play(flat(100, 100), {0: part(1)}, terms_of(fee="0.01"))
    # 100 units at 101 with the fee are 10,100; 10,000 / 101 = 99.0 buys 99.
    assert run.fills[0].size == 99
    assert (strategy.orders[0].size, strategy.orders[0].state) == (99, OrderState.FILLED)
    run, _ = play(flat(100, 100, 100), {0: part(-1), 1: part(1)}, terms_of(fee="0.01"))
    # 99 short for 9,900 - 99 in cash beyond 10,000; equity 9,901: 99.01 wanted, so 99 + 99 are ordered.
    # Closing costs 99; 9,802 / 101 = 97.04 can be carried: 99 + 97.
    assert [fill.signed_size for fill in run.fills] == [-99, 196]


def test_a_target_of_the_equity_needs_a_price() -> None:
    later = bars_of(flat(50), market="test:C/B", began=BEGAN + MINUTE)
    with pytest.raises(ConfigurationError, match="no price of test:C/B"):
        play(
            [bars_of(flat(100)), later],
            {0: lambda strategy: strategy.target_part("test:C/B", 1)},
        )
