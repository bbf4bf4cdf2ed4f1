"""Books: the rules one by one."""

import msgspec
import pytest

from infra.order_book import OrderBook, reaches_back_to
from producers.books import BUFFER, REPEATS, BookBreak, BookChain
from schemas.records import BookUpdate
from tests.book_updates import delta, snapshot, update


@pytest.fixture
def chain() -> BookChain:
    return BookChain("test", "BTC/USDT")


def take(chain: BookChain, *updates: BookUpdate) -> list[BookUpdate | BookBreak]:
    out: list[BookUpdate | BookBreak] = []
    for one in updates:
        chain.take(one, out)
    return out


def test_levels_are_set_and_removed_and_the_best_is_kept() -> None:
    book = OrderBook("test", "BTC/USDT")
    assert (book.best_bid, book.best_ask, book.is_crossed) == (None, None, False)
    book.apply(snapshot(1, {9.0: 1.0, 10.0: 2.0, 8.0: 0.0}, {12.0: 1.0, 11.0: 3.0}))
    assert (book.best_bid, book.best_ask) == ((10.0, 2.0), (11.0, 3.0))
    book.apply(delta(2, 2, {10.0: 0.0, 9.5: 4.0, 7.0: 0.0}, {11.0: 5.0, 10.9: 0.1}))
    assert (book.best_bid, book.best_ask) == ((9.5, 4.0), (10.9, 0.1))
    assert book.top(2) == ([(9.5, 4.0), (9.0, 1.0)], [(10.9, 0.1), (11.0, 5.0)])
    assert book.top(0) == ([], [])
    assert book.depth == (2, 3)
    book.apply(delta(3, 3, {9.5: 0.0, 9.0: 0.0}))
    assert (book.best_bid, book.is_crossed) == (None, False)


def test_the_size_at_a_price_is_told_by_side() -> None:
    book = OrderBook("test", "BTC/USDT")
    book.apply(snapshot(1, {9.5: 1.0}, {10.5: 3.0}))
    assert (book.size_at("bid", 9.5), book.size_at("ask", 10.5)) == (1.0, 3.0)
    assert (book.size_at("ask", 9.5), book.size_at("bid", 10.5)) == (0.0, 0.0)


@pytest.mark.parametrize("kind", ["snapshot", "delta"])
def test_prices_without_sizes_are_refused(kind: str) -> None:
    wrong = msgspec.structs.replace(update(kind, 1, 1, {9.5: 1.0, 9.0: 1.0}), bid_sizes=[1.0])
    with pytest.raises(ValueError, match="shorter"):
        OrderBook("test", "BTC/USDT").apply(wrong)


def test_a_snapshot_of_the_book_is_best_first() -> None:
    book = OrderBook("test", "BTC/USDT")
    book.apply(snapshot(1, {9.0: 1.0, 10.0: 2.0}, {12.0: 1.0, 11.0: 3.0, 13.0: 4.0}))
    made = book.snapshot(7, 5, 6)
    assert (made.kind, made.first_sequence, made.last_sequence) == ("snapshot", None, 7)
    assert (made.event_time, made.receive_time) == (5, 6)
    assert (made.bid_prices, made.bid_sizes) == ([10.0, 9.0], [2.0, 1.0])
    assert (made.ask_prices, made.ask_sizes) == ([11.0, 12.0, 13.0], [3.0, 1.0, 4.0])


def test_levels_far_from_the_market_are_forgotten() -> None:
    book = OrderBook("test", "BTC/USDT", levels=2)
    book.apply(snapshot(1, {8.0: 1.0, 10.0: 2.0, 9.0: 1.0}, {11.0: 3.0, 12.0: 1.0, 13.0: 4.0}))
    assert book.top(9) == ([(10.0, 2.0), (9.0, 1.0)], [(11.0, 3.0), (12.0, 1.0)])
    book.apply(delta(2, 2, {10.5: 1.0, 1.0: 1.0}, {10.6: 1.0}))
    assert book.top(9) == ([(10.5, 1.0), (10.0, 2.0)], [(10.6, 1.0), (11.0, 3.0)])


def test_levels_behind_a_forgotten_one_are_not_certain() -> None:
    book = OrderBook("test", "BTC/USDT", levels=2)
    assert book.is_certain(3), "nothing was forgotten yet"
    book.apply(snapshot(1, {8.0: 1.0, 10.0: 2.0, 9.0: 1.0}, {11.0: 3.0, 12.0: 1.0}))
    assert book.is_certain(2)
    assert not book.is_certain(3), "there was a third bid"
    book.apply(delta(2, 2, {9.0: 0.0, 7.0: 5.0}))
    assert book.top(2)[0] == [(10.0, 2.0), (7.0, 5.0)], "the level at 8 is missing between them"
    assert (book.is_certain(1), book.is_certain(2)) == (True, False)
    other = OrderBook("test", "BTC/USDT", levels=2)
    other.restore(book.save())
    assert other.save() == book.save()
    assert not other.is_certain(2)
    book.apply(snapshot(3, {8.0: 1.0, 7.0: 5.0}))
    assert book.is_certain(9)


def test_deltas_wait_for_a_snapshot_and_those_in_it_are_dropped(chain: BookChain) -> None:
    assert take(chain, delta(1, 3), delta(4, 6), delta(7, 9)) == []
    assert chain.wants_snapshot
    first = snapshot(5)
    assert take(chain, first) == [first, delta(4, 6), delta(7, 9)]
    assert (chain.is_live, chain.last_sequence, chain.wants_snapshot) == (True, 9, False)


def test_a_snapshot_older_than_the_deltas_is_not_taken(chain: BookChain) -> None:
    assert take(chain, delta(10, 12), snapshot(8)) == []
    assert chain.wants_snapshot
    right = snapshot(9)
    assert take(chain, right) == [right, delta(10, 12)]


def test_a_snapshot_ahead_of_the_deltas_waits_for_them(chain: BookChain) -> None:
    ahead = snapshot(20)
    assert take(chain, delta(10, 12), ahead) == [ahead]
    assert take(chain, delta(13, 20), delta(21, 21)) == [delta(21, 21)]


def test_a_hole_wants_a_snapshot_and_the_delta_after_it_is_kept(chain: BookChain) -> None:
    take(chain, snapshot(5), delta(6, 6))
    assert take(chain, delta(9, 9)) == [BookBreak("BTC/USDT", "gap", 7, 9)]
    assert (chain.wants_snapshot, chain.book.depth, chain.last_sequence) == (True, (0, 0), None)
    again = snapshot(8)
    assert take(chain, delta(10, 10), again) == [again, delta(9, 9), delta(10, 10)]


def test_a_venue_that_names_the_update_before_is_chained_by_it(chain: BookChain) -> None:
    first = snapshot(100)
    deltas = [update("delta", 95, 110, previous=94), update("delta", 115, 120, previous=110)]
    assert take(chain, first, *deltas) == [first, *deltas]
    assert take(chain, update("delta", 130, 140, previous=125)) == [BookBreak("BTC/USDT", "gap", 121, 126)]


@pytest.mark.parametrize(
    ("first", "previous", "back_to"), [(None, None, 7), (9, None, 8), (None, 5, 5), (9, 5, 5), (3, 5, 2)]
)
def test_how_far_a_delta_reaches_back_is_told_by_its_numbers(
    first: int | None, previous: int | None, back_to: int
) -> None:
    assert reaches_back_to(update("delta", first, 20, previous=previous), 7) == back_to


def test_the_first_delta_may_start_where_the_snapshot_ends_although_ids_have_holes(chain: BookChain) -> None:
    after = update("delta", 115, 120, previous=110)
    assert take(chain, after, snapshot(110))[1:] == [after]


def test_repeats_are_dropped_without_a_word(chain: BookChain) -> None:
    take(chain, snapshot(5), delta(6, 8))
    assert take(chain, delta(6, 8), delta(4, 5), delta(9, 9), delta(9, 9)) == [delta(9, 9)]


def test_a_crossed_book_is_not_given_out(chain: BookChain) -> None:
    take(chain, snapshot(5, {10.0: 1.0}, {11.0: 1.0}))
    crossing = delta(6, 6, {11.0: 1.0})
    assert take(chain, crossing) == [BookBreak("BTC/USDT", "crossed", None, None)]
    assert chain.wants_snapshot
    new = snapshot(7, {11.0: 1.0}, {12.0: 1.0})
    assert take(chain, new, delta(8, 8)) == [new, delta(8, 8)]


def test_a_crossed_snapshot_is_not_given_out(chain: BookChain) -> None:
    assert take(chain, snapshot(5, {12.0: 1.0}, {11.0: 1.0})) == [
        BookBreak("BTC/USDT", "crossed", None, None)
    ]
    assert chain.wants_snapshot


def test_too_many_deltas_without_a_snapshot_push_out_the_oldest(chain: BookChain) -> None:
    out = take(chain, *(delta(number, number) for number in range(1, BUFFER + 2)))
    assert out == [BookBreak("BTC/USDT", "overflow", None, None)]
    assert take(chain, snapshot(10)) == [], "older than what is left"
    assert len(take(chain, snapshot(BUFFER))) == 2


def test_of_too_many_deltas_the_newer_half_is_kept() -> None:
    chain = BookChain("test", "BTC/USDT", buffer=4)
    assert take(chain, *(delta(number, number) for number in range(1, 5))) == [], "as many as it keeps"
    assert take(chain, delta(4, 4)) == [], "a repeat takes no room"
    assert len(take(chain, delta(5, 5))) == 1
    assert take(chain, snapshot(2)) == [], "the delta after it is gone"
    assert take(chain, snapshot(3))[1:] == [delta(4, 4), delta(5, 5)]


def test_a_hole_while_waiting_costs_no_second_break(chain: BookChain) -> None:
    assert take(chain, delta(1, 1), delta(2, 2), delta(5, 5), snapshot(1)) == []
    assert len(take(chain, snapshot(4))) == 2


def test_a_full_message_of_the_stream_replaces_the_book_whatever_its_number(chain: BookChain) -> None:
    take(chain, snapshot(500), delta(501, 501))
    full = update("snapshot", 1, 1, {5.0: 1.0}, {6.0: 1.0})
    assert take(chain, full, delta(2, 2), delta(502, 502)) == [
        full,
        delta(2, 2),
        BookBreak("BTC/USDT", "gap", 3, 502),
    ]


def test_an_answer_from_rest_does_not_take_a_live_book_back(chain: BookChain) -> None:
    take(chain, snapshot(5), delta(6, 9))
    assert take(chain, snapshot(7), snapshot(9)) == []
    newer = snapshot(12)
    assert take(chain, newer, delta(10, 13)) == [newer, delta(10, 13)]


def test_a_venue_that_counts_from_a_lower_number_is_noticed(chain: BookChain) -> None:
    take(chain, snapshot(1_000_000))
    out = take(chain, *(delta(number, number) for number in range(1, REPEATS + 1)))
    assert out == [BookBreak("BTC/USDT", "renumbered", 1_000_001, REPEATS)]
    assert chain.wants_snapshot


def test_updates_without_numbers_are_taken_as_they_come(chain: BookChain) -> None:
    whole, change = snapshot(None), update("delta", None, None, {10.0: 2.0})
    assert take(chain, change, whole, change) == [whole, change]
    assert chain.book.best_bid == (10.0, 2.0)


def test_a_full_message_of_a_connection_that_lags_does_not_take_the_book_back(chain: BookChain) -> None:
    levels = {10.0: 1.0}, {11.0: 1.0}
    take(chain, update("snapshot", 5, 5, *levels, time=50), update("delta", 6, 9, time=90))
    assert take(chain, update("snapshot", 7, 7, *levels, time=70)) == []
    anew = update("snapshot", 1, 1, *levels, time=100)
    assert take(chain, anew) == [anew]


def test_a_full_message_makes_deltas_of_other_numbers_needless(chain: BookChain) -> None:
    full = update("snapshot", 1, 1, {5.0: 1.0}, {6.0: 1.0})
    assert take(chain, delta(500, 501), full, delta(2, 2)) == [full, delta(2, 2)]


def test_a_snapshot_is_due_every_minute_of_the_market(chain: BookChain) -> None:
    assert not chain.snapshot_due(10**15)
    take(chain, update("snapshot", None, 5, {10.0: 1.0}, {11.0: 1.0}, time=1_000_000))
    assert not chain.snapshot_due(60_999_999)
    assert chain.snapshot_due(61_000_000)
    take(chain, update("delta", 6, 6, {10.0: 3.0}, time=61_500_000))
    assert chain.last_update_time == 61_500_000
    held = chain.snapshot()
    assert (held.last_sequence, held.event_time, held.bid_sizes) == (6, 61_500_000, [3.0])
    assert not chain.snapshot_due(121_000_000)
    assert chain.snapshot_due(121_500_000)


def test_deltas_without_numbers_fit_between_numbered_ones(chain: BookChain) -> None:
    loose = update("delta", None, None, {10.0: 2.0})
    first = snapshot(5)
    assert take(chain, loose, delta(6, 6), first) == [first, loose, delta(6, 6)]
    assert take(chain, loose, delta(7, 7)) == [loose, delta(7, 7)]
    assert chain.last_sequence == 7


def test_a_snapshot_is_of_no_use_where_a_hole_follows_it_behind_a_delta_without_a_number(
    chain: BookChain,
) -> None:
    loose = update("delta", None, None, {10.0: 2.0})
    assert take(chain, delta(6, 6), loose, delta(9, 9), snapshot(6)) == []
    assert len(take(chain, snapshot(8))) == 3


def test_a_full_message_of_the_same_moment_as_the_book_is_passed_over(chain: BookChain) -> None:
    levels = {10.0: 1.0}, {11.0: 1.0}
    take(chain, update("snapshot", 5, 5, *levels, time=50), update("delta", 6, 9, time=90))
    assert take(chain, update("snapshot", 7, 7, *levels, time=90)) == []


def test_a_snapshot_without_a_number_ends_the_counting_of_the_book_before(chain: BookChain) -> None:
    whole = snapshot(None)
    assert take(chain, snapshot(5), whole) == [snapshot(5), whole]
    assert chain.last_sequence is None
    assert take(chain, delta(90, 91), delta(92, 92)) == [delta(90, 91), delta(92, 92)]


def test_the_delta_that_crosses_the_book_is_kept_for_the_next_snapshot(chain: BookChain) -> None:
    take(chain, snapshot(5, {10.0: 1.0}, {11.0: 1.0}))
    crossing = delta(6, 6, {11.0: 1.0})
    take(chain, crossing)
    right = snapshot(5, {10.0: 1.0}, {12.0: 1.0})
    assert take(chain, right) == [right, crossing]


def test_only_repeats_in_a_row_mean_that_the_venue_counts_anew(chain: BookChain) -> None:
    take(chain, snapshot(10))
    repeats = [delta(1, 1)] * (REPEATS - 1)
    assert take(chain, *repeats, delta(11, 11), *repeats) == [delta(11, 11)]
    assert take(chain, delta(1, 1)) == [BookBreak("BTC/USDT", "renumbered", 12, 1)]
    again = snapshot(1)
    assert take(chain, again, *repeats) == [again], "the count begins anew after a break"


def test_the_age_of_a_snapshot_from_rest_counts_from_the_first_delta_after_it(chain: BookChain) -> None:
    take(chain, snapshot(5))
    assert not chain.snapshot_due(10**15)
    take(chain, update("delta", 6, 6, time=1_000_000), update("delta", 7, 7, time=2_000_000))
    assert not chain.snapshot_due(60_999_999)
    assert chain.snapshot_due(61_000_000)


def test_a_book_is_as_old_as_its_newest_update_by_the_venue_or_else_by_its_arrival(chain: BookChain) -> None:
    arrived = msgspec.structs.replace(update("delta", 6, 6), receive_time=777)
    take(chain, snapshot(5), arrived)
    assert (chain.last_update_time, chain.snapshot().event_time) == (777, None)
    assert chain.snapshot().receive_time == 777
    timed = msgspec.structs.replace(update("delta", 7, 7, time=500), receive_time=888)
    take(chain, timed)
    assert (chain.last_update_time, chain.snapshot().event_time) == (500, 500)
    assert chain.snapshot().receive_time == 888
