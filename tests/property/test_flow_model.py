"""Flow values against plain Python that keeps every record, however the log is cut into batches."""

from hypothesis import given
from hypothesis import strategies as st

from processors.engine.pages import State, load_pages, pages_of
from processors.flows.books import BookFlows
from processors.flows.plan import FlowPlan
from processors.flows.quotes import QuoteFlows
from schemas.records import BookUpdate, Gap, Quote, TimeMark
from schemas.topics import BOOKS, QUOTES
from tests.flow_records import Batches, Item, fold_in_batches
from tests.flow_reference import SECOND, reference

STEP = SECOND // 4
BEGAN = 1_723_161_255 * SECOND
MARKETS = (("binance", "BTC/USDT"), ("binance", "A/B:C"), ("gateio", "ETH/USDT"))
SOURCES = (("binance", "a"), ("binance", "a"), ("binance", "b"), ("gateio", "c"))
QUOTE_PLAN = FlowPlan.of(["quote"], QUOTES)
BOOK_PLAN = FlowPlan.of(["book_top", "book(2)", "book(5)"], BOOKS)
prices = st.integers(1, 12).map(float)
sizes = st.integers(0, 4).map(float)


@st.composite
def marks_and_gaps(draw: st.DrawFn, now: int, kind: str) -> TimeMark | Gap:
    if kind == "g":
        status = draw(st.sampled_from(("opened", "given_up", "filled")))
        return Gap(*draw(st.sampled_from(MARKETS)), "a", status, None, None, now, now, "missing")  # type: ignore[arg-type]
    venue, source = draw(
        st.sampled_from((("binance", "a"), ("binance", "a"), ("binance", "b"), ("gateio", "c")))
    )
    return TimeMark(venue, source, now - STEP * draw(st.sampled_from((0, 0, 0, 3))), kind == "f", "run")


@st.composite
def quotes(draw: st.DrawFn) -> list[Item]:
    """Quotes (one-sided, without sizes, repeated), marks of several sources, last words, gaps."""
    now, items = BEGAN, list[Item]()
    for kind in draw(st.lists(st.sampled_from("qqqqqmmmfg"), min_size=1, max_size=40)):
        now += STEP * draw(st.sampled_from((0, 1, 2, 9)))
        if kind != "q":
            items.append(draw(marks_and_gaps(now, kind)))
            continue
        bid, ask = draw(prices), draw(prices)
        sides = (None if bid > 10 else bid, draw(sizes), None if ask > 10 else ask, draw(sizes))
        sequence = draw(st.sampled_from((None, len(items), len(items), max(0, len(items) - 5))))
        items.append(Quote(*draw(st.sampled_from(MARKETS)), *sides, sequence, None, now))
    return items


@st.composite
def books(draw: st.DrawFn) -> list[Item]:
    """Snapshots and deltas (chained, repeated, after a hole), marks of several sources, last words, gaps."""
    now, items = BEGAN, list[Item]()
    last = dict.fromkeys(MARKETS, 10)
    for kind in draw(st.lists(st.sampled_from("sdddddmmmfg"), min_size=1, max_size=40)):
        now += STEP * draw(st.sampled_from((0, 1, 2, 9)))
        if kind not in "sd":
            items.append(draw(marks_and_gaps(now, kind)))
            continue
        market = draw(st.sampled_from(MARKETS))
        first = last[market] + draw(st.sampled_from((1, 1, 1, 1, -2, 3)))
        last[market] = max(last[market], first + 1)
        side = st.dictionaries(prices, sizes, max_size=6)
        bids, asks = draw(side), draw(side)
        levels = (list(bids), list(bids.values()), list(asks), list(asks.values()))
        name = "snapshot" if kind == "s" else "delta"
        items.append(BookUpdate(*market, name, first, first + 1, None, *levels, None, None, now))  # type: ignore[arg-type]
    return items


def saved(state: State) -> dict[str, bytes]:
    return {page.name: page.encode() for page in pages_of(state)}


def cuts_of(data: st.DataObject, items: list[Item]) -> list[int]:
    return data.draw(st.lists(st.integers(0, len(items)), max_size=6))


@given(quotes(), st.data())
def test_values_of_quotes_are_those_of_the_last_quote_before_each_second(
    items: list[Item], data: st.DataObject
) -> None:
    state = QuoteFlows(QUOTE_PLAN)
    assert fold_in_batches(state, items, cuts_of(data, items)) == reference(items, ())
    whole = QuoteFlows(QUOTE_PLAN)
    fold_in_batches(whole, items, ())
    assert saved(whole) == saved(state), "equal states, equal bytes"


@given(books(), st.data())
def test_values_of_books_are_those_of_the_book_before_each_second(
    items: list[Item], data: st.DataObject
) -> None:
    state = BookFlows(BOOK_PLAN)
    assert fold_in_batches(state, items, cuts_of(data, items)) == reference(items, (2, 5))
    whole = BookFlows(BOOK_PLAN)
    fold_in_batches(whole, items, ())
    assert saved(whole) == saved(state), "equal states, equal bytes"


@given(st.one_of(quotes(), books()), st.data())
def test_a_state_that_was_restored_goes_on_alike(items: list[Item], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(items)))
    for plan, kind in ((QUOTE_PLAN, QuoteFlows), (BOOK_PLAN, BookFlows)):
        state, restored, batches = kind(plan), kind(plan), Batches()
        batches.fold(state, items[:at])
        pages = saved(state)
        load_pages(restored, pages)
        assert saved(restored) == saved(state)
        assert batches.fold(restored, items[at:]) == batches.fold(state, items[at:])
        changed = {page.name for page in pages_of(state) if page.changed}
        before, after = pages, saved(state)
        assert {name for name in after if after[name] != before.get(name)} <= changed
        assert saved(restored) == after
