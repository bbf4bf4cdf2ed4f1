"""Whatever is ordered: nothing gets lost, and the curve is what the fills say."""

from collections.abc import Mapping
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backtest.account import Account
from backtest.broker import Broker
from backtest.engine import DIGITS
from backtest.matching.candles import CandleMatching
from backtest.orders import Conditions, Fill
from backtest.strategy import exact
from tests.backtest_runs import MARKET, Prices, bars_of, play, terms_of

OTHER = "test:C/B"
CENTS = st.integers(5_000, 20_000).map(lambda cents: cents / 100)
FEES = st.sampled_from(["0", "0.0004", "0.001", "0.01"])
LOTS = st.sampled_from(["1", "0.1", "0.00001"])


@st.composite
def candles(draw: st.DrawFn, count: int) -> list[Prices]:
    found = []
    for _ in range(count):
        low, first, last, high = sorted(draw(st.lists(CENTS, min_size=4, max_size=4)))
        found.append((first, high, low, last) if draw(st.booleans()) else (last, high, low, first))
    return found


ORDER = st.fixed_dictionaries(
    {
        "market": st.sampled_from([MARKET, OTHER]),
        "side": st.sampled_from(["buy", "sell"]),
        "size": st.one_of(st.none(), st.integers(1, 9_999).map(lambda number: number / 100)),
        "kind": st.sampled_from(["market", "limit", "stop"]),
        "price": CENTS,
        "reduce_only": st.booleans(),
    }
)


@settings(max_examples=50, deadline=None)
@given(
    candles(12),
    candles(12),
    st.lists(st.lists(ORDER, max_size=3), min_size=12, max_size=12),
    st.tuples(FEES, FEES, FEES, LOTS, st.sampled_from(["1", "3"])),
)
def test_cash_positions_and_fees_reconcile_to_the_last_digit(
    first: list[Prices],
    second: list[Prices],
    orders: list[list[dict[str, Any]]],
    chosen: tuple[str, str, str, str, str],
) -> None:
    fee, maker_fee, slippage, lot, leverage = chosen
    terms = terms_of(10_000, fee, maker_fee, slippage, lot, leverage)
    with localcontext() as context:
        context.prec = DIGITS
        account = Account(terms.capital)
        broker = Broker(account, terms)
        matching = CandleMatching(broker)

        def filled(fill: Fill) -> None:
            prices = {MARKET: 101.07, OTHER: 99.99} | broker.last
            worth = account.cash + sum(account.size(name) * exact(prices[name]) for name in prices)
            assert worth == account.equity(prices)
            assert worth == account.capital + account.realized + account.unrealized(prices) - account.fees
            assert fill.size % terms.lot == 0
            rate = terms.costs.maker_fee if fill.maker else terms.costs.fee
            assert fill.fee == fill.size * fill.price * rate
            held = sum(each.signed_size for each in broker.fills if each.market == fill.market)
            assert account.size(fill.market) == held

        broker.listener = filled
        for one, other, placed in zip(bars_of(first), bars_of(second, OTHER), orders, strict=True):
            for candle in (one, other):
                matching.take(candle)
                broker.last[candle.market] = candle.close
            for order in placed:
                size, kind = order["size"], order["kind"]
                named: dict[str, Any] = {} if kind == "market" else {kind: exact(order["price"])}
                broker.place(
                    order["market"],
                    order["side"],
                    one.close_time,
                    None if size is None else exact(size),
                    Decimal(1) if size is None else None,
                    Conditions(**named, reduce_only=order["reduce_only"]),
                )
        left = sum((lot.fee for each in account.positions.values() for lot in each.lots), Decimal(0))
        assert sum((trade.fee for trade in account.trades), left) == account.fees
        assert sum((trade.profit for trade in account.trades), -left) == account.realized - account.fees


@settings(max_examples=40, deadline=None)
@given(candles(15), st.dictionaries(st.integers(0, 14), ORDER, max_size=8), FEES)
def test_the_curve_is_a_plain_recomputation_from_the_fills(
    prices: list[Prices], orders: Mapping[int, dict[str, Any]], fee: str
) -> None:
    def act(order: dict[str, Any]) -> Any:
        given = {} if order["kind"] == "market" else {order["kind"]: order["price"]}
        return lambda strategy: getattr(strategy, order["side"])(MARKET, order["size"], **given)

    booked: list[tuple[int, Fill]] = []
    acts = {number: act(order) for number, order in orders.items()}
    run, strategy = play(
        prices, acts, terms_of(fee=fee), lambda strategy, fill: booked.append((len(strategy.seen), fill))
    )
    assert [fill for _, fill in booked] == run.fills
    expected = Fraction(10_000)
    for number, candle in enumerate(strategy.seen):
        done = [fill for at, fill in booked if at <= number]
        cash = 10_000 - sum(
            Fraction(fill.signed_size) * Fraction(fill.price) + Fraction(fill.fee) for fill in done
        )
        units = sum(Fraction(fill.signed_size) for fill in done)
        expected = cash + units * Fraction(str(candle.close))
        assert run.equity[number] == pytest.approx(float(expected), rel=1e-12)
        assert run.exposed[number] == bool(units)
    assert Fraction(run.final_equity) == expected
