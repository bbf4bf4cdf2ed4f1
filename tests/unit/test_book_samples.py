"""Samples of books: when one is written, and what stands in it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from processors.engine.pages import load_pages, pages_of
from processors.flows.books import BookFlows
from processors.flows.plan import FlowPlan
from schemas.records import BookUpdate, Gap, TimeMark
from schemas.topics import BOOKS
from tests.flow_records import Batches, Item

SECOND = 1_000_000
BEGAN = 1_700_000_000 * SECOND
Levels = dict[float, float]


def book(kind: str, last: int, bids: Levels, asks: Levels, symbol: str = "BTC/USDT") -> BookUpdate:
    sides = list(bids), list(bids.values()), list(asks), list(asks.values())
    return BookUpdate("binance", symbol, kind, last, last, None, *sides, None, None, 0)  # type: ignore[arg-type]


def mark(seconds: float, final: bool = False) -> TimeMark:
    return TimeMark("binance", "a", BEGAN + int(seconds * SECOND), final, "run")


def sampled(items: Sequence[Item], *specs: str, cuts: int = 0) -> list[list[BookUpdate]]:
    """The same, in one batch, or in batches of so many items with a restart after each."""
    plan = FlowPlan.of(specs, BOOKS)
    flows = BookFlows(plan)
    batches = Batches()
    size = cuts or len(items)
    for at in range(0, len(items), size):
        batches.fold(flows, items[at : at + size])
        pages = {page.name: page.encode() for page in pages_of(flows)}
        flows = BookFlows(plan)
        load_pages(flows, pages)
    return batches.books


LOG: list[Item] = [
    mark(0.5),
    book("delta", 1, {9.0: 1.0}, {}),  # before the first snapshot
    book("snapshot", 2, {9.0: 1.0, 8.0: 2.0, 7.0: 3.0}, {10.0: 4.0}),
    book("snapshot", 2, {1.0: 1.0}, {}, "ETH/USDT"),
    mark(1.2),
    mark(1.9),
    mark(2.1),
    book("delta", 3, {9.0: 0.0}, {11.0: 5.0}),
    book("delta", 3, {9.0: 7.0}, {}),  # a repeat
    mark(6.3),
    book("delta", 9, {9.5: 1.0}, {}),  # updates are missing
    mark(7.0),
    book("snapshot", 20, {9.0: 1.5}, {10.0: 1.0}),
    mark(8.0),
    Gap("binance", "BTC/USDT", "a", "opened", None, None, BEGAN, BEGAN, "missing"),
    book("delta", 21, {9.0: 2.0}, {}),
    mark(9.0),
    book("snapshot", 30, {9.0: 2.5}, {}),
    mark(10.0, final=True),
]


@pytest.mark.parametrize("cuts", [0, 1, 4])
def test_a_changed_and_wholly_known_book_is_written_each_second_with_its_best_levels(cuts: int) -> None:
    found = sampled(LOG, "book_sample(2)@*:BTC/*", "book(3)", cuts=cuts)
    seen = [
        [
            (
                (b.event_time or 0) - BEGAN,
                b.last_sequence,
                b.bid_prices,
                b.bid_sizes,
                b.ask_prices,
                b.ask_sizes,
            )
            for b in books
        ]
        for books in found
    ]
    assert seen == [
        [],
        [(1 * SECOND, 2, [9.0, 8.0], [1.0, 2.0], [10.0], [4.0])],
        [],
        [],  # nothing has changed
        [(6 * SECOND, 3, [8.0, 7.0], [2.0, 3.0], [10.0, 11.0], [4.0, 5.0])],
        [],  # unknown updates
        [(8 * SECOND, 20, [9.0], [1.5], [10.0], [1.0])],
        [],  # after a gap
        [(10 * SECOND, 30, [9.0], [2.5], [], [])],
    ]
    assert all(b.kind == "snapshot" and b.receive_time == b.event_time for books in found for b in books)


def test_without_the_wish_no_book_is_written() -> None:
    assert not any(sampled(LOG, "book(3)", "book_top"))
    assert not FlowPlan.of(["book(3)", "book_top"], BOOKS).samples_books
    assert FlowPlan.of(["book(3)", "book_sample@binance:*"], BOOKS).samples_books
