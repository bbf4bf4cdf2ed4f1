"""What a simulated market remembers."""

from producers.simulator.ledger import SimulatedBook, Tape


def filled(*ids: int, kept: int = 100) -> Tape[int]:
    tape: Tape[int] = Tape(kept)
    for number in ids:
        tape.add(number, number)
    return tape


def test_trades_are_found_by_id_whatever_order_they_came_in() -> None:
    tape = filled(1, 2, 5, 4, 5, 9)
    assert tape.all() == [1, 2, 4, 5, 9]
    assert tape.since(3, 2) == [4, 5]
    assert tape.before(5, 2) == [2, 4]
    assert tape.before(1, 2) == []
    assert tape.newest(2) == [5, 9]


def test_the_oldest_trades_are_forgotten() -> None:
    tape = filled(*range(1_000), kept=100)
    assert 100 <= len(tape.all()) <= 125
    assert tape.all()[-1] == 999
    assert tape.since(0, 1) == tape.all()[:1]


def test_a_book_follows_changes_and_passes_over_old_ones() -> None:
    book = SimulatedBook()
    book.change(5, [("9.0", "1")], [("11.0", "2")])
    book.restart(10, [("9.5", "1"), ("9.0", "3")], [("10.5", "1")])
    book.change(10, [("9.5", "8")], [])
    book.change(11, [("9.5", "0.000")], [("10.6", "1")])
    assert (book.last, book.bids(5), book.asks(1)) == (11, [("9.0", "3")], [("10.5", "1")])
    book.restart(11, [], [])
    assert book.bids(5)


def test_a_book_without_a_snapshot_knows_the_levels_that_changes_have_named() -> None:
    book = SimulatedBook()
    book.change(5, [("9.0", "1")], [])
    assert (book.last, book.bids(5), book.asks(5)) == (5, [("9.0", "1")], [])
