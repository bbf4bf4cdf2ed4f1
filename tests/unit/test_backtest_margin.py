"""Funding, interest, margin and liquidation, checked by hand: the arithmetic stands beside each case."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal, localcontext
from math import nan
from typing import Any

import pytest

from backtest.account import Account
from backtest.broker import Broker
from backtest.costs import Costs
from backtest.orders import Conditions, Fill, OrderState, Side
from backtest.terms import Terms
from schemas.errors import ConfigurationError
from schemas.records import Instrument
from tests.backtest_runs import BEGAN, MARKET, MINUTE, Act, Prices, bars_of, flat, play, reconciled, terms_of

OTHER = "test:C/B"
CALM: Prices = (100, 101, 99, 100)


def margin_terms(leverage: object = 5, maintenance: object = "0.05", **more: object) -> Terms:
    return replace(terms_of(leverage=leverage, **more), maintenance=Decimal(str(maintenance)))


def buy(size: object, **more: Any) -> Act:
    return lambda strategy: strategy.buy(MARKET, size, **more)


def sell(size: object, **more: Any) -> Act:
    return lambda strategy: strategy.sell(MARKET, size, **more)


def liquidations(run: Any) -> list[tuple[Any, Any]]:
    return [(fill.price, fill.signed_size) for fill in run.fills if fill.order.kind == "liquidation"]


def test_funding_is_paid_by_longs_and_received_by_shorts() -> None:
    for side, received in (("buy", "-1.05"), ("sell", "1.05")):
        broker = Broker(Account(Decimal(10_000)), Terms())
        broker.last[MARKET] = 100.0
        assert broker.fund(MARKET, BEGAN, 0.0001, 105.0) == 0
        order = broker.place(MARKET, side, BEGAN, Decimal(100))  # type: ignore[arg-type]
        broker.execute(order, None, Decimal(100), BEGAN, False)
        # 100 * 105 * 0.0001 = 1.05
        assert broker.fund(MARKET, BEGAN, 0.0001, 105.0) == Decimal(received)
        # Without a mark at the last price: 100 * 100 * -0.0003 = -3
        assert abs(broker.fund(MARKET, BEGAN + 1, -0.0003, nan)) == 3
        account = broker.account
        sign = 1 if side == "sell" else -1
        assert account.funding == sign * (Decimal("1.05") - 3)
        assert [payment.amount for payment in account.payments] == [
            Decimal(received),
            sign * Decimal(-3),
        ]
        assert account.cash == 10_000 + sign * (10_000 + Decimal("1.05") - 3)
        assert reconciled(account, {MARKET: 123.4})


def test_interest_of_a_short_is_paid_when_it_is_bought_back() -> None:
    terms = replace(terms_of(fee="0.001"), borrowing=Decimal("0.0365"))
    day = 1440 * MINUTE
    bars = bars_of(flat(100, 100, 90, 80), length=day)
    run, _ = play([bars], {0: sell(10), 1: buy(4), 2: buy(6)}, terms)
    # 0.0365 a year are 0.0001 a day of the value at entry: 4 * 100 * 0.0001 for one day, 6 * 100 * 0.0001
    # for two. Fees: 1 for selling, 4 * 90 * 0.001 and 6 * 80 * 0.001 for buying.
    assert [trade.interest for trade in run.trades] == [Decimal("0.04"), Decimal("0.12")]
    assert [trade.profit for trade in run.trades] == [
        40 - Decimal("0.4") - Decimal("0.36") - Decimal("0.04"),
        120 - Decimal("0.6") - Decimal("0.48") - Decimal("0.12"),
    ]
    # 10,000 + 40 + 120 - 1 - 0.84 - 0.16
    assert run.final_equity == Decimal("10158") == run.cash


@pytest.mark.parametrize(
    ("act", "candle", "price", "time"),
    [
        # Cash 10,000 - 500 * 100 = -40,000. 500 * p - 40,000 = 0.05 * 500 * p: p = 40,000 / 475 = 84.21...
        (buy(500), (100, 101, 84.2, 90), "84.2105263157", 2 * MINUTE),
        (buy(500), (100, 101, 84.3, 90), None, 0),
        # It opens beyond it: at the open.
        (buy(500), (80, 90, 79, 90), "80", MINUTE),
        # Cash 60,000; 60,000 - 500 * p = 0.05 * 500 * p: p = 60,000 / 525 = 114.285714...
        (sell(500), (100, 114.3, 99, 100), "114.285714286", 2 * MINUTE),
        (sell(500), (100, 114.2, 99, 100), None, 0),
        (sell(500), (130, 131, 99, 100), "130", MINUTE),
    ],
)
def test_what_the_margin_does_not_carry_is_liquidated_where_the_price_comes_to_it(
    act: Act, candle: Prices, price: str | None, time: int
) -> None:
    quiet: Prices = (100, 100, 100, 100)
    run, strategy = play([quiet, candle, quiet], {0: act}, margin_terms())
    # Filled at the open of this very candle when it opens at 100; else before it.
    if candle[0] != 100:
        run, strategy = play([quiet, quiet, candle, quiet], {0: act}, margin_terms())
        time += MINUTE
    sign = -1 if run.fills[0].side == "buy" else 1
    if price is None:
        assert liquidations(run) == []
        return
    assert liquidations(run) == [(Decimal(price), sign * 500)]
    assert run.fills[-1].time == BEGAN + time
    assert strategy.position(MARKET) == 0
    assert run.orders[-1].reason == "the equity had fallen to the maintenance margin"
    assert run.final_equity == run.cash == 10_000 + sign * 500 * (100 - Decimal(price))


def test_liquidation_withdraws_orders_and_pays_its_fee() -> None:
    costs = Costs(fee=Decimal("0.001"), liquidation_fee=Decimal("0.01"))
    terms = replace(margin_terms(2, 0), costs=costs)
    run, strategy = play(
        [CALM, CALM, (100, 101, 40, 60)],
        {0: buy(198), 1: sell(198, limit=150)},
        terms,
    )
    # 10,000 - 198 * 100 - 19.8 = -9,819.8; / 198 = 49.594949...; nothing is left there, but fees are paid:
    # 198 * 49.5949494949 * 0.011 = 108.0...
    price = Decimal("49.5949494949")
    assert liquidations(run) == [(price, -198)]
    assert run.fills[-1].fee == 198 * price * Decimal("0.011")
    assert strategy.orders[1].state is OrderState.CANCELLED
    assert strategy.orders[1].reason == "the account was liquidated"
    assert run.final_equity == Decimal("-9819.8") + 198 * price * Decimal("0.989") < -108


def test_an_account_that_owes_carries_nothing_more() -> None:
    run, strategy = play(
        [CALM, CALM, (60, 61, 59, 60), (60, 60, 60, 60)], {0: buy(500), 2: buy(1)}, margin_terms()
    )
    # -40,000 + 500 * 60
    assert (run.final_equity, strategy.position(MARKET)) == (-10_000, 0)
    assert strategy.orders[2].reason == "the account cannot carry it"


def test_a_stop_above_the_price_of_liquidation_comes_first() -> None:
    for stop, sold in ((90, 90), (84, None)):
        run, _ = play(
            [CALM, CALM, (100, 101, 80, 90)], {0: buy(500), 1: sell(500, stop=stop)}, margin_terms()
        )
        assert [fill.price for fill in run.fills[1:]] == [sold or Decimal("84.2105263157")]
        assert bool(liquidations(run)) is (sold is None)


def test_a_stop_at_the_price_of_liquidation_comes_first() -> None:
    # Without maintenance at 40,000 / 500 = 80.
    run, _ = play([CALM, CALM, (100, 101, 79, 90)], {0: buy(500), 1: sell(500, stop=80)}, margin_terms(5, 0))
    assert [fill.order.kind for fill in run.fills] == ["market", "stop"]
    assert run.final_equity == 0


def test_what_is_too_much_with_its_fee_is_liquidated_where_it_was_bought() -> None:
    # Up to 110, which is nearer: 440 * 110 = 48,400, and 968 of fees; 10,000 - 968 = 9,032 are less than
    # 0.19 * 48,400 = 9,196.
    run, _ = play([CALM, (100, 111, 80, 95)], {0: buy(440, stop=110)}, margin_terms(5, "0.19", fee="0.02"))
    assert liquidations(run) == [(110, -440)]


def test_a_part_that_a_stop_has_sold_lets_the_rest_live_longer() -> None:
    run, strategy = play(
        [CALM, CALM, (100, 101, 80, 90)], {0: buy(500), 1: sell(300, stop=90)}, margin_terms()
    )
    # Cash -40,000 + 300 * 90 = -13,000; 13,000 / (200 * 0.95) = 68.4
    assert liquidations(run) == []
    assert strategy.position(MARKET) == 200


def test_the_candle_that_opens_a_position_can_liquidate_it() -> None:
    run, _ = play([CALM, (100, 101, 80, 95)], {0: buy(500)}, margin_terms())
    assert liquidations(run) == [(Decimal("84.2105263157"), -500)]
    # From 100 up to 110, which is nearer, to buy 450, then down: cash 10,000 - 49,500 = -39,500;
    # 39,500 / (450 * 0.95) = 92.39766...
    run, _ = play([CALM, (100, 111, 80, 95)], {0: buy(450, stop=110)}, margin_terms())
    assert liquidations(run) == [(Decimal("92.3976608187"), -450)]


def test_what_is_paid_for_is_never_liquidated() -> None:
    run, _ = play([CALM, CALM, (100, 101, 0.01, 0.01)], {0: buy(100)}, margin_terms(1, "0.5"))
    assert liquidations(run) == []
    assert run.final_equity == 1


def test_a_short_without_leverage_is_liquidated_when_nothing_is_left() -> None:
    run, _ = play([CALM, CALM, (100, 250, 99, 240), CALM], {0: sell(100)})
    # 20,000 - 100 * p = 0
    assert liquidations(run) == [(200, 100)]
    assert run.final_equity == 0


def test_positions_of_several_markets_stand_for_each_other() -> None:
    quiet = flat(100, 100, 100, 100)
    falling: list[Prices] = [*flat(100, 100), (100, 100, 70, 70), (70, 70, 50, 60)]
    markets = [bars_of(falling), bars_of(quiet, market=OTHER)]

    def both(strategy: Any) -> None:
        strategy.buy(MARKET, 200)
        strategy.sell(OTHER, 200)

    run, _ = play(markets, {1: both}, margin_terms())
    # Cash 10,000. 10,000 + 200 * p - 200 * 100 = 0.05 * 200 * (p + 100): p = 11,000 / 190 = 57.894736...
    # The short is closed at its last price.
    price = Decimal("57.8947368421")
    assert liquidations(run) == [(price, -200), (100, 200)]
    assert run.final_equity == 10_000 - 200 * (100 - price)


def test_two_long_positions_on_borrowed_money_are_liquidated_together() -> None:
    falling: list[Prices] = [*flat(100, 100), (100, 100, 70, 70)]
    markets = [bars_of(falling), bars_of(flat(100, 100, 100), market=OTHER)]

    def both(strategy: Any) -> None:
        strategy.buy(MARKET, 300)
        strategy.buy(OTHER, 100)

    run, _ = play(markets, {1: both}, margin_terms(5, 0))
    # Cash 10,000 - 40,000; -30,000 + 100 * 100 + 300 * p = 0: 66.67 is not reached.
    assert liquidations(run) == []
    deeper = [bars_of([*falling[:2], (100, 100, 60, 70)]), markets[1]]
    run, _ = play(deeper, {1: both}, margin_terms(5, 0))
    assert liquidations(run) == [(Decimal("66.6666666666"), -300), (100, -100)]


def test_liquidation_is_at_a_tick_of_the_instrument_and_told_once_all_is_booked() -> None:
    instrument = Instrument(
        *("test", "A/B", "AB", "A", "B"),
        "perpetual",
        "trading",
        0.5,
        None,
        None,
        multiplier=1.0,
        event_time=0,
    )
    terms = margin_terms()
    told: list[tuple[Fill, Decimal]] = []
    for side, price in (("buy", 84), ("sell", Decimal("114.5"))):
        with localcontext() as context:
            context.prec = 60
            broker = Broker(Account(terms.capital), terms, {MARKET: instrument})
            broker.listener = lambda fill, broker=broker: told.append((fill, broker.account.size(MARKET)))
            broker.last[MARKET] = 100.0
            _filled(broker, side, 500)  # type: ignore[arg-type]
            assert broker.danger(MARKET) == price
            broker.liquidate(MARKET, Decimal(price), BEGAN)
        fill, held = told[-1]
        assert [fill.price, held] == [price, 0]


def _filled(broker: Broker, side: Side, size: int) -> None:
    order = broker.place(MARKET, side, BEGAN, Decimal(size), None, Conditions())
    broker.execute(order, None, Decimal(100), BEGAN, False)


def test_funding_brings_the_price_of_liquidation_nearer() -> None:
    broker = Broker(Account(Decimal(10_000)), margin_terms())
    broker.last[MARKET] = 100.0
    _filled(broker, "buy", 500)
    before = broker.margin.guards[MARKET][0]
    broker.fund(MARKET, BEGAN, 0.01, 100.0)
    # 500 more are owed: 40,500 / 475 = 85.263157...
    assert broker.margin.guards[MARKET][0] > before + 1
    assert broker.danger(MARKET) == Decimal("85.2631578947")


@pytest.mark.parametrize(("leverage", "maintenance"), [(5, "0.2"), (1, "1"), (2, "-0.1")])
def test_a_maintenance_margin_is_below_the_initial_one(leverage: int, maintenance: str) -> None:
    with pytest.raises(ConfigurationError, match="maintenance"):
        margin_terms(leverage, maintenance)


def closes(run: Any) -> Sequence[float]:
    found: Sequence[float] = run.equity.tolist()
    return found


def test_the_curve_knows_of_a_liquidation_without_an_order() -> None:
    run, _ = play([CALM, CALM, (100, 101, 80, 90), CALM], {0: buy(500)}, margin_terms())
    left = float(10_000 - 500 * (100 - Decimal("84.2105263157")))
    assert closes(run)[2:] == pytest.approx([left, left])
    assert run.exposed.tolist() == [False, True, False, False]
