"""What instruments ask of orders, and what executions cost: the arithmetic stands beside each case."""

from dataclasses import replace
from decimal import Decimal
from math import nan
from typing import Any

import pytest

from backtest.account import Account
from backtest.broker import Broker
from backtest.costs import Costs
from backtest.fees import FeeMeter, read_fees
from backtest.matching.candles import CandleMatching
from backtest.orders import AT_MARKET, Conditions, Order, OrderState, Side
from backtest.targets import order_to
from backtest.terms import Terms
from schemas.errors import ConfigurationError
from schemas.records import Instrument
from tests.backtest_runs import BEGAN, MARKET, Prices, bars_of

DAY = 86_400_000_000
CALM: Prices = (100, 101, 99, 100)
TIERS = """
[[test]]
volume = 0
taker = 0.002
maker = 0.001
[[test]]
volume = 1000
taker = 0.001
maker = -0.0001
"""


def broker_of(costs: Costs | None = None, capital: int = 10_000, **listed: float | None) -> Broker:
    """A broker that knows the last price of 100; `listed` are the rules of the instrument."""
    terms = Terms(Decimal(capital), costs or Costs())
    rules: dict[str, Any] = {"tick_size": None, "lot_size": None, "min_notional": None} | listed
    instrument = Instrument(
        "test", "A/B", "AB", "A", "B", "spot", "trading", multiplier=1.0, event_time=BEGAN, **rules
    )
    broker = Broker(Account(terms.capital), terms, {MARKET: instrument} if listed else None)
    broker.last[MARKET] = 100.0
    return broker


def place(broker: Broker, side: Side, size: object, **how: object) -> Order:
    named = {name: Decimal(str(price)) for name, price in how.items()}
    conditions = Conditions(**named) if how else AT_MARKET  # type: ignore[arg-type]
    units = None if size is None else Decimal(str(size))
    return broker.place(MARKET, side, BEGAN, units, None if units else Decimal(1), conditions)


def filled(broker: Broker, candle: Prices = CALM, volume: float = 1.0) -> list[Decimal]:
    """Prices that a candle fills orders at."""
    bars = bars_of([candle])
    (found,) = replace(bars, volumes=[volume])
    CandleMatching(broker).take(found)
    return [fill.price for fill in broker.fills]


def test_sizes_are_cut_to_the_lot_of_the_instrument() -> None:
    broker = broker_of(lot_size=0.05)
    # 1.27 / 0.05 = 25.4: 25 lots; 0.04 is less than one.
    assert place(broker, "buy", 1.27).size == Decimal("1.25")
    assert place(broker, "buy", 0.04).reason == "0.04 is less than a lot of 0.05"
    order = place(broker, "buy", None)
    filled(broker, (333, 333, 333, 333))
    # 10,000 - 1.25 * 333 = 9,583.75 / 333 = 28.78
    assert order.size == Decimal("28.75")


def test_a_market_without_an_instrument_has_the_lot_of_the_terms() -> None:
    assert place(broker_of(), "buy", 1.27).size == 1
    assert place(broker_of(tick_size=0.5), "buy", 1.27).size == 1


def test_prices_are_rounded_to_the_tick_so_that_nothing_is_worse_or_sooner_than_asked() -> None:
    broker = broker_of(tick_size=0.25)
    for side, price, rounded in (("buy", 98.3, "98.25"), ("sell", 101.3, "101.5"), ("buy", 98.5, "98.5")):
        for kind in ("limit", "take_profit"):
            order = place(broker, side, 1, **{kind: price})  # type: ignore[arg-type]
            assert (order.limit if kind == "limit" else order.trigger) == Decimal(rounded)
    assert place(broker, "buy", 1, stop=101.3).trigger == Decimal("101.5")
    assert place(broker, "sell", 1, stop=98.3).trigger == Decimal("98.25")
    # 100 - 2.6 = 97.4: down to 97.25 to sell; 100 * 1.026 = 102.6: up to 102.75 to buy.
    assert place(broker, "sell", 1, trail=2.6).trigger == Decimal("97.25")
    assert place(broker, "buy", 1, trail_part=0.026).trigger == Decimal("102.75")
    assert place(broker, "sell", 1, trail=120.1).trigger == Decimal("-20.25")
    order = place(broker, "buy", 1, limit=0.2)
    assert (order.state, order.reason) == (OrderState.REFUSED, "its price is less than a tick of 0.25")


def test_orders_below_the_smallest_value_are_refused_and_told() -> None:
    broker = broker_of(min_notional=500, lot_size=1)
    told = "its value is below the market's minimum of 500"
    # 4 * 100 at the last price; 5 * 99 at their own.
    for order in (
        place(broker, "buy", 4),
        place(broker, "buy", 5, limit=99),
        place(broker, "sell", 5, take_profit=99),
    ):
        assert (order.state, order.reason) == (OrderState.REFUSED, told)
    assert place(broker, "buy", 5).is_open
    assert place(broker, "buy", 5, limit=100).is_open
    # A part is known when it is filled: 450 / 100 = 4 units.
    poor = broker_of(capital=450, min_notional=500, lot_size=1)
    order = place(poor, "buy", None)
    assert order.is_open
    assert filled(poor) == []
    assert (order.state, order.reason) == (OrderState.REFUSED, told)


def test_what_only_reduces_may_be_as_small_as_it_is() -> None:
    broker = broker_of(min_notional=500, lot_size=1)
    place(broker, "buy", 5)
    filled(broker)
    order = broker.place(MARKET, "sell", BEGAN, Decimal(1), None, Conditions(reduce_only=True))
    assert order.is_open
    assert len(filled(broker)) == 2


def test_a_target_within_a_lot_or_the_smallest_order_is_reached() -> None:
    broker = broker_of(lot_size=0.5, min_notional=150)
    place(broker, "buy", 2)
    filled(broker)

    def ordered(size: str) -> Decimal | None:
        order = order_to(broker, MARKET, Decimal(size), None, BEGAN)
        if order is None:
            return None
        broker.cancel(order)
        return order.sign * order.size

    # 0.4 is less than a lot; 1 * 100 is less than 150; 1.5 * 100 is not.
    assert [ordered(size) for size in ("2.4", "3", "3.5")] == [None, None, Decimal("1.5")]
    # Half a unit less, and none, only reduce; 2 long to half a unit short is an order of 2.5.
    assert [ordered(size) for size in ("1.5", "0", "-0.5")] == [Decimal("-0.5"), -2, Decimal("-2.5")]


def test_slippage_by_ticks_and_by_part_add_up_and_stay_on_ticks() -> None:
    costs = Costs(slippage=Decimal("0.001"), slippage_ticks=Decimal(2))
    broker = broker_of(costs, tick_size=0.25)
    place(broker, "buy", 1)
    place(broker, "sell", 1)
    # 100 + 0.1 + 2 * 0.25 = 100.6, against the buyer 100.75; 99.4, against the seller 99.25.
    assert filled(broker) == [Decimal("100.75"), Decimal("99.25")]
    unlisted = broker_of(costs)
    place(unlisted, "buy", 1)
    with pytest.raises(ConfigurationError, match="tick size"):
        filled(unlisted)


def test_slippage_never_makes_a_price_less_than_a_tick() -> None:
    broker = broker_of(Costs(slippage_ticks=Decimal(10)), tick_size=0.25)
    place(broker, "sell", 1)
    assert filled(broker, (1, 1, 1, 1)) == [Decimal("0.25")]


@pytest.mark.parametrize(
    ("size", "volume", "price"),
    [
        (4, 400.0, "101"),  # 0.1 * sqrt(4 / 400) = 0.01
        (36, 400.0, "103"),  # 0.1 * sqrt(36 / 400) = 0.03
        (2, 400.0, "100.7071067812"),  # 0.1 * sqrt(0.005) = 0.00707106781187, to twelve digits ...812
        (50, 10.0, "110"),  # more than all of it: 0.1
        (1, 0.0, "110"),
    ],
)
def test_slippage_by_volume_grows_with_the_root_of_the_share(size: int, volume: float, price: str) -> None:
    broker = broker_of(Costs(impact=Decimal("0.1")))
    place(broker, "buy", size)
    assert filled(broker, CALM, volume) == [Decimal(price)]


def test_slippage_by_volume_of_a_part_is_that_of_the_size_before_it() -> None:
    broker = broker_of(Costs(impact=Decimal("0.1")))
    order = place(broker, "buy", None)
    # 100 units at 100 are a quarter of 400: 0.1 * 0.5 = 0.05; 10,000 / 105 = 95.2
    assert filled(broker, CALM, 400.0) == [105]
    assert order.size == 95
    place(broker, "sell", 1)
    with pytest.raises(ConfigurationError, match="volumes"):
        filled(broker, CALM, nan)


def test_limits_pay_no_slippage_of_any_kind() -> None:
    broker = broker_of(
        Costs(Decimal(0), Decimal(0), Decimal("0.01"), Decimal(2), Decimal("0.1")), tick_size=0.25
    )
    place(broker, "buy", 1, limit=99)
    place(broker, "sell", 1, limit=100)
    assert filled(broker) == [100, 99]


def test_fees_fall_with_what_was_traded_in_thirty_days() -> None:
    meter = FeeMeter(Decimal("0.005"), Decimal("0.004"), read_fees(TIERS, "here"))

    def rates(now: int) -> list[str]:
        return [str(meter.rate(MARKET, now, maker)) for maker in (False, True)]

    assert rates(0) == ["0.002", "0.001"]
    meter.count(MARKET, 0, Decimal(600))
    meter.count("test:C/B", 10 * DAY, Decimal(399))
    assert rates(20 * DAY) == ["0.002", "0.001"]
    meter.count(MARKET, 20 * DAY, Decimal(1))
    # 600 + 399 + 1 on this venue; after 30 days the 600 are gone.
    assert rates(30 * DAY - 1) == ["0.001", "-0.0001"]
    assert rates(30 * DAY) == ["0.002", "0.001"]
    assert meter.rate("elsewhere:A/B", 0, False) == Decimal("0.005")


def test_a_fill_pays_the_tier_that_stands_before_it() -> None:
    broker = broker_of(Costs(schedule=read_fees(TIERS, "here")))
    for size in (10, 10):
        place(broker, "buy", size)
    place(broker, "sell", 5, limit=101)
    filled(broker)
    # 1,000 * 0.002; then 1,000 were traded: 1,000 * 0.001, and -5 * 101 * 0.0001 for what has waited.
    assert [fill.fee for fill in broker.fills] == [2, 1, Decimal("-0.0505")]
    # 10,000 - 2,000 - 3 + 505 + 0.0505
    assert broker.account.cash == Decimal("8502.0505")
    assert broker.account.fees == Decimal("2.9495")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x =", "expected"),
        ("[test]\nvolume = 0", "expected"),
        ("[[test]]\nvolume = 0\ntaker = 0", "maker"),
        ("[[test]]\nvolume = 5\ntaker = 0\nmaker = 0", "rise from 0"),
        (TIERS.replace("1000", "0"), "rise from 0"),
        (TIERS.replace("1000", "nan"), "rise from 0"),
        (TIERS.replace("0.002", "2"), "parts"),
        (TIERS.replace("0.002", "nan"), "parts"),
    ],
)
def test_a_schedule_that_is_none_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"fees\.toml.*{message}"):
        read_fees(text, "fees.toml")
