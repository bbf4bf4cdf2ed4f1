"""Books against the market they are of: whatever is lost, repeated or swapped, a live book is right."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from infra.order_book import OrderBook
from producers.books import BookBreak, BookChain
from schemas.records import BookUpdate
from tests.book_updates import MarketBook, make_market

FAULTS = st.lists(
    st.sampled_from(["", "", "", "lose", "repeat", "swap", "snapshot", "old", "ahead"]), max_size=40
)


def agrees(chain: BookChain, market: MarketBook) -> bool:
    """Whether a live book is the market's at its id; one that is not live claims nothing."""
    if not chain.is_live:
        return True
    assert chain.last_sequence is not None
    return chain.book.top(1_000) == market.at(chain.last_sequence)


class Consumer:
    """Builds the book from what a chain gives out, as a reader of the topic does."""

    def __init__(self) -> None:
        self.book = OrderBook("test", "BTC/USDT")
        self.breaks: list[BookBreak] = []

    def take(self, out: list[BookUpdate | BookBreak]) -> None:
        for item in out:
            if isinstance(item, BookBreak):
                self.breaks.append(item)
            else:
                self.book.apply(item)
        out.clear()


def disturbed(market: MarketBook, faults: list[str], seed: int) -> list[BookUpdate]:
    chance = random.Random(seed)
    ids = list(market.states)
    sent: list[BookUpdate] = []
    for number, delta in enumerate(market.deltas):
        fault = faults[number] if number < len(faults) else ""
        if fault != "lose":
            sent.append(delta)
        if fault == "repeat":
            sent += market.deltas[max(0, number - chance.randrange(4)) : number + 1]
        elif fault == "swap" and len(sent) > 1:
            sent[-1], sent[-2] = sent[-2], sent[-1]
        elif fault in {"snapshot", "old", "ahead"}:
            back = {"snapshot": 0, "old": -chance.randrange(1, 6), "ahead": chance.randrange(1, 6)}[fault]
            sent.append(market.snapshot(ids[min(max(number + 1 + back, 0), len(ids) - 1)]))
    return sent


@given(st.integers(0, 2**32), st.booleans(), FAULTS)
def test_a_live_book_is_the_markets_and_so_is_that_of_consumers(
    seed: int, chained: bool, faults: list[str]
) -> None:
    market = make_market(seed, 40, chained)
    chain, consumer = BookChain("test", "BTC/USDT"), Consumer()
    out: list[BookUpdate | BookBreak] = []
    for update in disturbed(market, faults, seed):
        chain.take(update, out)
        consumer.take(out)
        assert agrees(chain, market)
        if chain.is_live:
            assert consumer.book.top(1_000) == chain.book.top(1_000)
    newest = market.deltas[-1].last_sequence
    assert newest is not None
    if chain.wants_snapshot or chain.last_sequence != newest:
        chain.take(market.snapshot(newest), out)
        consumer.take(out)
    assert (chain.is_live, chain.last_sequence) == (True, newest)
    assert agrees(chain, market)
    assert consumer.book.top(1_000) == chain.book.top(1_000)


@given(st.integers(0, 2**32), st.booleans(), st.integers(0, 40), st.integers(0, 40))
def test_a_snapshot_from_before_or_after_the_deltas_gives_the_book(
    seed: int, chained: bool, at: int, arrival: int
) -> None:
    market = make_market(seed, 40, chained)
    chain = BookChain("test", "BTC/USDT")
    out: list[BookUpdate | BookBreak] = []
    snapshot = market.snapshot(list(market.states)[at])
    for update in [*market.deltas[:arrival], snapshot, *market.deltas[arrival:]]:
        chain.take(update, out)
        assert agrees(chain, market)
    assert chain.is_live
    assert not any(isinstance(item, BookBreak) for item in out)
    assert len(out) == 1 + 40 - at, "the snapshot, and every delta after it once"


@given(st.integers(0, 2**32), st.integers(1, 12))
def test_a_bounded_book_keeps_the_nearest_levels(seed: int, levels: int) -> None:
    market = make_market(seed, 30, chained=False)
    book = OrderBook("test", "BTC/USDT", levels)
    for last, delta in zip(list(market.states)[1:], market.deltas, strict=True):
        book.apply(market.snapshot(last))
        bids, asks = market.at(last)
        assert book.top(1_000) == (bids[:levels], asks[:levels])
        book.apply(delta)
        assert max(book.depth) <= levels
        assert book.top(1_000) == (bids[:levels], asks[:levels])


@given(st.integers(0, 2**32), st.integers(1, 12))
def test_the_certain_levels_of_a_bounded_book_are_those_of_the_whole(seed: int, levels: int) -> None:
    market = make_market(seed, 30, chained=False)
    bounded, whole = OrderBook("test", "BTC/USDT", levels), OrderBook("test", "BTC/USDT")
    for each in (market.snapshot(next(iter(market.states))), *market.deltas):
        bounded.apply(each)
        whole.apply(each)
        for count in range(levels + 1):
            if bounded.is_certain(count):
                assert bounded.top(count) == whole.top(count)
    assert whole.is_certain(10_000)
