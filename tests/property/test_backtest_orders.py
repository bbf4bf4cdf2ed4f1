"""Whatever is ordered, funded and liquidated: nothing gets lost, and a slow account of it agrees."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from backtest.account import Account
from backtest.bars import ClosedCandle
from backtest.broker import Broker
from backtest.costs import Costs
from backtest.engine import DIGITS
from backtest.matching.candles import CandleMatching
from backtest.orders import AT_MARKET, Conditions, Fill, Order, OrderState
from backtest.targets import order_to
from backtest.terms import Terms
from tests.backtest_runs import BEGAN, MARKET, MINUTE, reconciled
from tests.order_reference import Candle, Reference

PRICES = st.integers(90, 110)
ENDED = {OrderState.FILLED, OrderState.CANCELLED, OrderState.REFUSED, OrderState.EXPIRED}


@st.composite
def candles(draw: st.DrawFn) -> Candle:
    low, first, last, high = sorted(draw(st.lists(PRICES, min_size=4, max_size=4)))
    return (first, high, low, last) if draw(st.booleans()) else (last, high, low, first)


@st.composite
def orders(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(["market", "limit", "stop", "stop_limit", "take_profit", "trailing"]))
    found: dict[str, Any] = {
        "kind": kind,
        "side": draw(st.sampled_from([1, -1])),
        "size": draw(st.integers(1, 60)),
        "reduce_only": draw(st.integers(0, 3)) == 0,
    }
    if kind in ("limit", "stop_limit"):
        found["limit"] = draw(PRICES)
        found["kept"] = draw(st.sampled_from(["gtc", "gtc", "ioc", "fok"]))
        found["post_only"] = kind == "limit" and found["kept"] == "gtc" and draw(st.booleans())
    if kind in ("stop", "stop_limit", "take_profit"):
        found["trigger"] = draw(PRICES)
    if kind == "trailing":
        found["trail"] = draw(st.integers(1, 15))
    return found


STEPS = st.fixed_dictionaries(
    {
        "candle": candles(),
        "orders": st.lists(orders(), max_size=4),
        "grouped": st.booleans(),
        "cancelled": st.integers(1, 60),
        "funding": st.sampled_from([0, 0, 1, -2]),
    }
)
TERMS = st.tuples(
    st.sampled_from(["0", "0.001", "0.01"]),
    st.sampled_from(["0", "0.0005", "-0.0001"]),
    st.sampled_from([(1, "0"), (3, "0"), (3, "0.1"), (5, "0.15")]),
)


def conditions(given: Mapping[str, Any]) -> Conditions:
    if given["kind"] == "market" and not given["reduce_only"]:
        return AT_MARKET
    trigger = "take_profit" if given["kind"] == "take_profit" else "stop"
    named = {"limit": given.get("limit"), trigger: given.get("trigger"), "trail": given.get("trail")}
    return Conditions(
        **{name: None if price is None else Decimal(price) for name, price in named.items()},  # type: ignore[arg-type]
        time_in_force=given.get("kept", "gtc"),
        post_only=given.get("post_only", False),
        reduce_only=given["reduce_only"],
    )


class Desk:
    """A broker and the reference beside it, which do the same."""

    def __init__(self, fee: str, maker_fee: str, leverage: int, maintenance: str, **costs: str) -> None:
        charged = replace(
            Costs(Decimal(fee), Decimal(maker_fee)),
            **{name: Decimal(each) for name, each in costs.items() if name != "borrowing"},  # type: ignore[arg-type]
        )
        terms = Terms(Decimal(4_000), charged, Decimal(1), Decimal(leverage), Decimal(maintenance))
        self.broker = Broker(Account(terms.capital, Decimal(costs.get("borrowing", "0"))), terms)
        self.broker.listener = self.filled
        self.reference = Reference(
            Fraction(4_000), leverage, Fraction(maintenance), Fraction(fee), Fraction(maker_fee)
        )
        self.now = BEGAN

    def filled(self, fill: Fill) -> None:
        """Nothing is lost by a fill, and no order goes beyond what it may."""
        account, order = self.broker.account, fill.order
        assert reconciled(account, {MARKET: 101.07})
        assert fill.size > 0
        assert order.filled <= order.size
        if order.reduce_only and order.kind != "liquidation":
            assert abs(account.size(MARKET)) == abs(account.size(MARKET) - fill.signed_size) - fill.size
        if order.limit is not None:
            assert (fill.price - order.limit) * order.sign <= 0

    def step(self, given: Mapping[str, Any]) -> None:
        first, high, low, last = map(float, given["candle"])
        candle = ClosedCandle(MARKET, self.now, self.now + MINUTE, first, high, low, last, 100.0)
        self.now += MINUTE
        broker, reference = self.broker, self.reference
        CandleMatching(broker).take(candle)
        reference.take(given["candle"])
        broker.last[MARKET] = last
        placed = []
        for each in given["orders"]:
            side = "buy" if each["side"] > 0 else "sell"
            size = Decimal(each["size"])
            placed.append(broker.place(MARKET, side, self.now, size, None, conditions(each)))  # type: ignore[arg-type]
            reference.place(each)
        if given["grouped"] and len(placed) > 1:
            broker.group(placed)
            for wish in reference.wishes[-len(placed) :]:
                wish.group = placed[0].number
        if given["cancelled"] <= len(broker.orders):
            broker.cancel(broker.orders[given["cancelled"] - 1])
            reference.cancel(given["cancelled"])
        if given["funding"]:
            broker.fund(MARKET, self.now, given["funding"] / 1000, last)
            reference.fund(Fraction(given["funding"], 1000), given["candle"][3])

    def check(self) -> None:
        """What holds at all times."""
        broker = self.broker
        assert reconciled(broker.account, {MARKET: 98.76})
        assert [order for order in broker.orders if order.is_open] == broker.open
        for order in broker.orders:
            assert order.is_open is not (order.state in ENDED)
            assert (order.state is OrderState.FILLED) is (order.left == 0)
        for group in groups_of(broker.orders):
            assert sum(order.state is OrderState.FILLED for order in group) <= 1


def groups_of(placed: Sequence[Order]) -> list[list[Order]]:
    numbers = {order.group for order in placed} - {0}
    return [[order for order in placed if order.group == number] for number in numbers]


@settings(max_examples=150, deadline=None)
@given(st.lists(STEPS, max_size=14), TERMS)
def test_a_slow_account_agrees_until_something_is_liquidated(
    steps: Sequence[Mapping[str, Any]], terms: tuple[str, str, tuple[int, str]]
) -> None:
    fee, maker_fee, (leverage, maintenance) = terms
    with localcontext() as context:
        context.prec = DIGITS
        desk = Desk(fee, maker_fee, leverage, maintenance)
        for each in steps:
            desk.step(each)
            desk.check()
            broker, reference = desk.broker, desk.reference
            ours: list[object] = [
                (fill.order.number, fill.signed_size, fill.price, fill.maker)
                for fill in broker.fills
                if fill.order.kind != "liquidation"
            ]
            forced = [fill for fill in broker.fills if fill.order.kind == "liquidation"]
            if reference.liquidated is not None or forced:
                (fill,) = forced
                assert reference.liquidated is not None
                # It was noticed at the next whole price, or at the open.
                assert abs(fill.price - reference.liquidated) < 1
                return
            assert ours == reference.fills
            assert [order.state.value for order in broker.orders] == [wish.state for wish in reference.wishes]
            assert Fraction(broker.account.cash) == reference.cash


@settings(max_examples=100, deadline=None)
@given(st.lists(STEPS, max_size=14), TERMS, st.sampled_from(["0", "0.01"]), st.sampled_from(["0", "0.1"]))
def test_nothing_is_lost_with_slippage_interest_and_liquidation(
    steps: Sequence[Mapping[str, Any]],
    terms: tuple[str, str, tuple[int, str]],
    slippage: str,
    impact: str,
) -> None:
    fee, maker_fee, (leverage, maintenance) = terms
    with localcontext() as context:
        context.prec = DIGITS
        more = {"slippage": slippage, "impact": impact, "liquidation_fee": "0.003", "borrowing": "0.1"}
        desk = Desk(fee, maker_fee, leverage, maintenance, **more)
        for each in steps:
            desk.step(each)
            desk.check()
            account = desk.broker.account
            held = account.size(MARKET)
            assert held == sum(fill.signed_size for fill in desk.broker.fills)
            paid = sum((fill.signed_size * fill.price + fill.fee for fill in desk.broker.fills), Decimal(0))
            assert account.cash == account.capital - paid + account.funding - account.interest
            assert account.funding == sum((each.amount for each in account.payments), Decimal(0))
            assert account.interest == sum((each.interest for each in account.trades), Decimal(0))
            # Where an account has less than nothing, nothing is held any more, but for what was paid since.
            if held and account.cash + held * Decimal(each["candle"][3]) <= 0:
                assert account.payments[-1].amount < 0
                assert account.payments[-1].time == desk.now


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(candles(), st.lists(st.integers(-30, 30), max_size=3)), max_size=10))
def test_the_last_target_asked_for_is_held_after_the_next_open(
    steps: Sequence[tuple[Candle, Sequence[int]]],
) -> None:
    desk = Desk("0.001", "0", 5, "0.05")
    broker, wanted = desk.broker, 0
    for prices, targets in steps:
        desk.step({"candle": prices, "orders": [], "grouped": False, "cancelled": 99, "funding": 0})
        assert broker.account.size(MARKET) == wanted
        for size in (*targets, *targets[-1:]):
            order_to(broker, MARKET, Decimal(size), None, desk.now)
            wanted = size
        in_flight = sum(order.sign * order.left for order in broker.open)
        assert broker.account.size(MARKET) + in_flight == wanted
