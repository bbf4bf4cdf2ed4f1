"""Fills by trades and quotes are those of a plain account of them, however the run is cut."""

from collections.abc import Sequence
from math import nan
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from backtest.engine import Run
from backtest.history import History
from tests.backtest_events import SECOND, play_events, quotes_of, trades_of
from tests.backtest_reference import FAR, Wish, quote_fills, trade_fills
from tests.backtest_runs import BEGAN, MARKET, terms_of

PRICES = st.integers(96, 104).map(float)
LAST = 150.0
"""Second of the last row: a run begins and ends with its rows, wherever candles do."""
SECONDS = st.integers(0, 90).map(float)
SIZES = st.integers(0, 4).map(float)
LATENCIES = st.sampled_from([0.0, 0.5, 1.0, 7.0])


@st.composite
def trade_rows(draw: st.DrawFn) -> list[tuple[float, float, float]]:
    times = sorted(draw(st.lists(SECONDS, min_size=1, max_size=30)))
    return [(0.0, 100.0, 1.0), *((time, draw(PRICES), draw(SIZES)) for time in times), (LAST, 100.0, 1.0)]


@st.composite
def quote_rows(draw: st.DrawFn) -> list[tuple[float, float, float, float, float]]:
    times = sorted(draw(st.lists(SECONDS, min_size=1, max_size=20)))
    rows = [(0.0, 99.0, 2.0, 101.0, 2.0)]
    for time in times:
        bid, bid_size, ask_size = draw(PRICES), draw(SIZES), draw(SIZES)
        ask = bid + draw(st.integers(1, 3))
        rows.append((time, bid if bid_size else nan, bid_size, ask if ask_size else nan, ask_size))
    return [*rows, (LAST, 99.0, 2.0, 101.0, 2.0)]


HOW = st.one_of(
    st.just({}),
    st.fixed_dictionaries(
        {"limit": PRICES},
        optional={"time_in_force": st.sampled_from(["ioc", "fok"])},
    ),
    st.fixed_dictionaries({"limit": PRICES, "post_only": st.just(True)}),
    st.fixed_dictionaries({"stop": PRICES}, optional={"limit": PRICES}),
    st.fixed_dictionaries({"take_profit": PRICES}),
    st.fixed_dictionaries({"trail": st.integers(1, 3)}),
    st.fixed_dictionaries({"time_in_force": st.sampled_from(["ioc", "fok"])}),
)
ORDERS = st.lists(
    st.tuples(st.sampled_from(["buy", "sell"]), st.integers(1, 6), SECONDS, HOW, st.integers(0, 40)),
    min_size=1,
    max_size=6,
    unique_by=lambda order: order[2],
)


def _wishes(orders: Sequence[Any]) -> list[Wish]:
    taken = {placed for _, _, placed, _, _ in orders}
    found = []
    for number, (side, size, placed, how, patience) in enumerate(
        sorted(orders, key=lambda order: order[2]), start=1
    ):
        gives_up = placed + patience + 0.25 if patience else FAR
        assert gives_up not in taken
        found.append(Wish(number, side, size, placed, dict(how), gives_up))
    return found


def _acts(wishes: Sequence[Wish]) -> dict[float, Any]:
    """A timer for each order, and for each withdrawal."""
    acts: dict[float, Any] = {}
    placed: dict[int, Any] = {}

    def place(wish: Wish) -> Any:
        def act(strategy: Any) -> None:
            placed[wish.number] = getattr(strategy, wish.side)(MARKET, wish.size, **wish.how)

        return act

    def withdraw(wishes: list[Wish]) -> Any:
        return lambda strategy: [strategy.cancel(placed[wish.number]) for wish in wishes]

    for wish in wishes:
        acts[wish.placed] = place(wish)
    for time in {wish.withdrawn for wish in wishes} - {FAR}:
        acts[time] = withdraw([wish for wish in wishes if wish.withdrawn == time])
    return acts


def _fills(run: Run) -> list[Any]:
    return [
        ((each.time - BEGAN) / SECOND, each.order.number, int(each.size), float(each.price), each.maker)
        for each in run.fills
    ]


def _runs(history: History, wishes: Sequence[Wish], latency: float) -> list[list[Any]]:
    """The same with events heard of or not, and with many or few candles to interrupt the search."""
    found = []
    for hearing, interval in ((False, "1m"), (False, "1s"), (True, "1m")):
        run, _ = play_events(
            history,
            _acts(wishes),
            terms_of(1_000_000_000),
            hearing=hearing,
            latency=round(latency * SECOND),
            interval=interval,
        )
        found.append(_fills(run))
    return found


@settings(max_examples=60, deadline=None)
@given(trade_rows(), ORDERS, LATENCIES)
def test_fills_by_trades(rows: list[Any], orders: list[Any], latency: float) -> None:
    wishes = _wishes(orders)
    runs = _runs(History(trades=[trades_of(rows)]), wishes, latency)
    assert runs[0] == runs[1] == runs[2] == trade_fills(rows, wishes, latency)


@settings(max_examples=60, deadline=None)
@given(quote_rows(), ORDERS, LATENCIES)
def test_fills_by_quotes(rows: list[Any], orders: list[Any], latency: float) -> None:
    wishes = _wishes(orders)
    runs = _runs(History(quotes=[quotes_of(rows)]), wishes, latency)
    assert runs[0] == runs[1] == runs[2] == quote_fills(rows, wishes, latency)
