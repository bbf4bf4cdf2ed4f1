"""Flows: the rules one by one."""

from collections.abc import Sequence

import pytest

from processors.engine.pages import load_pages, pages_of
from processors.engine.snapshots import ForeignSnapshotError
from processors.flows.books import LEVELS_KEPT, BookFlows
from processors.flows.feed_clock import FeedClock
from processors.flows.plan import FlowPlan
from processors.flows.quotes import QuoteFlows
from schemas.errors import ConfigurationError
from schemas.records import BookUpdate, Gap, IndicatorValue, Quote, Record, TimeMark
from schemas.topics import BOOKS, QUOTES
from tests.flow_records import Item, fold_in_batches

SECOND = 1_000_000
BEGAN = 1_700_000_000 * SECOND
Levels = dict[float, float]


def quote(bid: float | None, ask: float | None, bid_size: float = 1.0, ask_size: float = 3.0) -> Quote:
    return Quote("binance", "BTC/USDT", bid, bid_size, ask, ask_size, None, None, 0)


def book(kind: str, last: int, bids: Levels, asks: Levels) -> BookUpdate:
    sides = list(bids), list(bids.values()), list(asks), list(asks.values())
    return BookUpdate("binance", "BTC/USDT", kind, last, last, None, *sides, None, None, 0)  # type: ignore[arg-type]


def mark(seconds: float, final: bool = False, source: str = "a", instance: str = "run") -> TimeMark:
    return TimeMark("binance", source, BEGAN + int(seconds * SECOND), final, instance)


def gap(status: str) -> Gap:
    return Gap("binance", "BTC/USDT", "a", status, None, None, BEGAN, BEGAN, "missing")  # type: ignore[arg-type]


def values(records: Sequence[Record], *specs: str) -> list[list[IndicatorValue]]:
    """What stands before each mark."""
    items: list[Item] = [each for each in records if isinstance(each, Quote | BookUpdate | TimeMark | Gap)]
    if any(isinstance(item, BookUpdate) for item in items):
        return [found for _, found in fold_in_batches(BookFlows(FlowPlan.of(specs, BOOKS)), items, ())]
    return [found for _, found in fold_in_batches(QuoteFlows(FlowPlan.of(specs, QUOTES)), items, ())]


def test_a_quote_gives_spread_mid_imbalance_and_microprice_of_the_second_that_was_passed() -> None:
    _, found, nothing_new, later = values(
        [mark(0.5), quote(9.0, 10.0), quote(10.0, 12.0), mark(1.1), mark(1.9), quote(10.0, 12.0), mark(7)],
        "quote",
    )
    assert {(value.name, value.value, value.open_time, value.complete) for value in found} == {
        ("quote.spread", 2.0, BEGAN, True),
        ("quote.mid", 11.0, BEGAN, True),
        ("quote.imbalance", -0.5, BEGAN, True),
        ("quote.microprice", 10.5, BEGAN, True),
    }
    assert {(value.interval, value.revision) for value in found} == {("1s", 0)}
    assert nothing_new == []
    assert {value.open_time for value in later} == {BEGAN + 6 * SECOND}, "a quote is news, be it the same"


@pytest.mark.parametrize("sides", [(None, 10.0), (9.0, None), (None, None)])
def test_a_quote_that_lacks_a_side_gives_nothing(sides: tuple[float | None, float | None]) -> None:
    assert values([mark(0), quote(8.0, 9.0), quote(*sides), mark(1)], "quote") == [[], []]


def test_a_quote_without_sizes_has_a_spread_and_a_mid_alone() -> None:
    found = values([mark(0), quote(9.0, 11.0, 0.0, 0.0), mark(1)], "quote")[1]
    assert [(value.name, value.value) for value in found] == [("quote.spread", 2.0), ("quote.mid", 10.0)]


def test_the_slowest_source_of_a_venue_decides_when_a_second_has_passed() -> None:
    log = [mark(0), mark(0, source="b"), quote(9.0, 10.0), mark(3), mark(1.5, source="b")]
    assert [len(found) for found in values(log, "quote")] == [0, 0, 0, 4]


def test_values_after_a_gap_or_the_end_of_a_feed_are_incomplete_until_fresh_data_come() -> None:
    for lost in (gap("opened"), gap("given_up"), mark(0.5, final=True)):
        found = values([mark(0), quote(9.0, 10.0), lost, mark(2, instance="next")], "quote")[-1]
        assert [value.complete for value in found] == [False] * 4
        log = [mark(0), quote(9.0, 10.0), lost, quote(9.0, 10.0), mark(2, instance="next")]
        assert [value.complete for value in values(log, "quote")[-1]] == [True] * 4
    found = values([mark(0), quote(9.0, 10.0), gap("filled"), mark(2)], "quote")[-1]
    assert [value.complete for value in found] == [True] * 4


def test_a_book_begins_with_a_snapshot_and_is_doubtful_after_missing_updates() -> None:
    log: list[Record]
    start = book("snapshot", 5, {9.0: 1.0, 8.0: 1.0}, {10.0: 3.0})
    log = [mark(0), book("delta", 4, {9.0: 9.0}, {}), mark(1), start, mark(2)]
    assert values(log, "book(2)")[1] == []
    assert [(value.name, value.value) for value in values(log, "book(2)")[2]] == [("book_2.imbalance", -0.2)]
    for update, complete in (
        (book("delta", 6, {8.5: 1.0}, {}), True),
        (book("delta", 7, {8.5: 1.0}, {}), False),
    ):
        (found,) = values([*log, update, mark(3)], "book(2)")[-1]
        assert (found.value, found.complete) == (-0.2, complete)
    (found,) = values([*log, gap("opened"), book("delta", 6, {9.0: 2.0}, {}), mark(3)], "book(2)")[-1]
    assert (found.value, found.complete) == (0.0, False)
    log += [gap("opened"), book("snapshot", 2, {9.0: 6.0}, {10.0: 2.0}), mark(3)]
    (found,) = values(log, "book(2)")[-1]
    assert (found.value, found.complete) == (0.5, True)


def test_a_book_whose_best_levels_are_not_all_known_any_more_gives_incomplete_values() -> None:
    far = {float(price): 1.0 for price in range(1, LEVELS_KEPT + 2)}
    asks = {2.0 * LEVELS_KEPT: 1.0}
    removed = {float(price): 0.0 for price in range(3, LEVELS_KEPT + 2)}
    log = [mark(0), book("snapshot", 1, far, asks), mark(1), book("delta", 2, removed, {}), mark(2)]
    _, before, after = values(log, "book_top", "book(2)")
    assert {value.name: value.complete for value in before if value.name.endswith("imbalance")} == {
        "book_top.imbalance": True,
        "book_2.imbalance": True,
    }
    assert {value.name: value.complete for value in after if value.name.endswith("imbalance")} == {
        "book_top.imbalance": True,
        "book_2.imbalance": False,
    }


def test_flows_run_where_their_patterns_say_each_once() -> None:
    plan = FlowPlan.of(["quote", "book(5)@binance:*", "book(5)@*:BTC/*", "book_top@gateio:*|mexc:*"], BOOKS)
    assert [flow.label for flow in plan.flows_of("binance:BTC/USDT")] == ["book_5"]
    assert [flow.label for flow in plan.flows_of("mexc:ETH/USDT")] == ["book_top"]
    assert (plan.flows_of("kraken:ETH/USDT"), plan.depth) == ((), 5)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("book(0)", "levels=0"),
        ("depth", "no flow 'depth'"),
        ("quote@BTC/USDT", "venue:symbol"),
        ("quote@binance:*|BTC/*", r"got BTC/\*"),
        ("Quote", "is written"),
    ],
)
def test_a_wrong_flow_is_refused_with_the_reason(spec: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        FlowPlan.of([spec], QUOTES)


def test_states_of_another_plan_are_refused() -> None:
    for kind, topic, specs in (
        (QuoteFlows, QUOTES, ("quote", "quote@binance:*")),
        (BookFlows, BOOKS, ("book(5)", "book(6)")),
    ):
        old, new = (FlowPlan.of([spec], topic) for spec in specs)
        pages = {page.name: page.encode() for page in pages_of(kind(old))}
        with pytest.raises(ForeignSnapshotError):
            load_pages(kind(new), pages)
        with pytest.raises(ForeignSnapshotError):
            load_pages(kind(old), {})


def clock(*marks: TimeMark) -> FeedClock:
    found = FeedClock()
    for each in marks:
        found.take(each)
    return found


def test_a_clock_is_the_lowest_of_the_joined_sources_and_never_goes_back() -> None:
    assert clock().watermark is None
    assert clock(mark(5), mark(3, source="b")).watermark == BEGAN + 5 * SECOND
    assert clock(mark(5), mark(3, source="b"), mark(9)).watermark == BEGAN + 5 * SECOND
    assert clock(mark(5), mark(6, source="b"), mark(9)).watermark == BEGAN + 6 * SECOND
    assert clock(mark(5), mark(6, source="b"), mark(7, final=True)).watermark == BEGAN + 6 * SECOND
    ended = clock(mark(5), mark(6, final=True))
    assert (ended.watermark, ended.has_ended) == (BEGAN + 6 * SECOND, True)


def test_marks_that_come_again_neither_bring_a_source_back_nor_end_it() -> None:
    assert clock(mark(5), mark(6, final=True), mark(5)).has_ended
    assert clock(mark(5), mark(6, final=True), mark(6, final=True)).has_ended
    again = (mark(5), mark(6, final=True), mark(7, instance="next"))
    assert not clock(*again).has_ended
    assert not clock(*again, mark(5), mark(6, final=True)).has_ended
    assert clock(*again, mark(8, final=True, instance="next")).has_ended
    assert not clock(mark(5), mark(4, final=True, source="b")).has_ended, "nobody knows b"
    assert clock(mark(5), mark(5, final=True, instance="the one who retires it")).has_ended
