"""What holds however orders are matched: fills of parts, groups, what the account cannot carry."""

from decimal import Decimal

import pytest

from backtest.account import Account
from backtest.broker import Broker
from backtest.orders import CLOSING, ZERO, Conditions, Fill, Order, OrderState, Side
from schemas.errors import ValidationError
from tests.backtest_runs import BEGAN, MARKET, terms_of

HUNDRED = Decimal(100)


def broker_of(capital: object = 10_000, fee: object = 0, leverage: object = 1) -> Broker:
    terms = terms_of(capital, fee, leverage=leverage)
    broker = Broker(Account(terms.capital), terms)
    broker.last[MARKET] = 100.0
    return broker


def place(broker: Broker, side: Side, size: int | None, **how: object) -> Order:
    part = Decimal(1) if size is None else None
    conditions = Conditions(**how)  # type: ignore[arg-type]
    return broker.place(MARKET, side, BEGAN, None if size is None else Decimal(size), part, conditions)


def fill(broker: Broker, order: Order, size: int | None, price: int = 100) -> Fill | None:
    return broker.execute(order, None if size is None else Decimal(size), Decimal(price), BEGAN, False)


def test_parts_of_an_order_add_up_to_it() -> None:
    broker = broker_of(fee="0.001")
    told: list[Fill] = []
    broker.listener = told.append
    order = place(broker, "buy", 10)
    fill(broker, order, 4)
    assert [order.filled, order.left] == [4, 6]
    assert order.state.value == "partly_filled"
    assert order.is_open
    fill(broker, order, 5, 110)
    fill(broker, order, 5, 120)
    assert order.state is OrderState.FILLED
    assert order.filled == 10
    assert broker.open == []
    # 4 * 100 + 5 * 110 + 1 * 120 = 1,070; fees 1.07
    assert [each.size for each in told] == [4, 5, 1]
    assert broker.account.cash == Decimal("8928.93")


def test_what_a_part_buys_is_known_by_its_first_fill() -> None:
    broker = broker_of(1_000)
    order = place(broker, "buy", None)
    fill(broker, order, 4)
    assert [order.size, order.filled] == [10, 4]
    # 600 left of 1,000 carry no 6 at 101.
    assert fill(broker, order, None, 101) is None
    assert (order.state, order.reason) == (OrderState.CANCELLED, "the account cannot carry it")
    assert order.filled == 4


def test_a_fill_of_a_part_makes_the_others_of_a_group_smaller() -> None:
    broker = broker_of()
    fill(broker, place(broker, "buy", 10), None)
    profit, stop, small = (
        place(broker, "sell", 10, limit=Decimal(110)),
        place(broker, "sell", 10, stop=Decimal(90)),
        place(broker, "sell", 3, stop=Decimal(80)),
    )
    broker.group([profit, stop, small])
    fill(broker, profit, 3, 110)
    assert [profit.left, stop.left] == [7, 7]
    assert (small.state, small.reason) == (OrderState.CANCELLED, f"order {profit.number} was filled")
    fill(broker, stop, 2, 90)
    assert [profit.left, stop.left] == [5, 5]
    fill(broker, profit, 1, 110)
    assert [profit.left, stop.left] == [4, 4]
    fill(broker, profit, 5, 110)
    assert (stop.state, broker.account.size(MARKET), broker.open) == (OrderState.CANCELLED, ZERO, [])


def test_what_was_filled_before_counts_for_a_group() -> None:
    broker = broker_of()
    first, second = place(broker, "buy", 5, limit=HUNDRED), place(broker, "buy", 5, stop=Decimal(110))
    fill(broker, first, 2)
    broker.group([first, second])
    assert [first.left, second.left] == [3, 3]
    third, fourth = place(broker, "buy", 5, limit=HUNDRED), place(broker, "buy", 5, stop=Decimal(110))
    fill(broker, third, None)
    broker.group([third, fourth])
    assert fourth.state is OrderState.CANCELLED


def test_orders_of_several_markets_are_no_group() -> None:
    broker = broker_of()
    other = broker.place("test:C/B", "buy", BEGAN, Decimal(1))
    with pytest.raises(ValidationError, match="one market"):
        broker.group([place(broker, "buy", 1), other])


def test_reduce_only_never_opens_by_parts_either() -> None:
    broker = broker_of()
    fill(broker, place(broker, "buy", 5), None)
    order = broker.place(MARKET, "sell", BEGAN, Decimal(8), None, CLOSING)
    fill(broker, order, 4)
    fill(broker, place(broker, "sell", 1), None)
    assert fill(broker, order, 4) is None
    assert order.state is OrderState.CANCELLED
    assert order.filled == 4
    assert broker.account.size(MARKET) == 0


def test_what_fits_is_cut_in_whole_lots() -> None:
    broker = broker_of(1_000)
    order = place(broker, "buy", 40, fit=True)
    fill(broker, order, 6)
    assert order.left == 34
    # At 105 the equity is 1,030, and 600 are bound: 430 / 105 = 4.1.
    found = fill(broker, order, None, 105)
    assert found is not None
    assert [found.size, order.size] == [4, 10]
    assert order.state is OrderState.FILLED
    assert fill(broker, place(broker, "buy", 40, fit=True), None) is None


def test_an_ended_order_stays_as_it_ended() -> None:
    broker = broker_of()
    order = place(broker, "buy", 5)
    fill(broker, order, None)
    broker.cancel(order)
    broker.refuse(order, "never")
    broker.expire(order)
    assert (order.state, order.reason) == (OrderState.FILLED, "")


def test_a_part_of_nothing_that_only_reduces_is_refused() -> None:
    broker = broker_of()
    fill(broker, place(broker, "buy", 100), None)
    order = place(broker, "sell", None, reduce_only=True)
    assert fill(broker, order, None) is None
    assert order.state is OrderState.REFUSED
    assert len(broker.fills) == 1
