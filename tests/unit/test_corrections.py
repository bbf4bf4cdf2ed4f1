"""A recomputation and a topic: what is missing or wrong is written, in newer revisions, and nothing else."""

from msgspec.structs import replace

from processors.reprocessing.corrections import correct, newest
from schemas.records import Candle

RIGHT = Candle("v", "S", "1m", 0, 60, 1.0, 2.0, 0.5, 1.5, 3.0, 4.0, 1.0, 5, 1, 5, 0, True, 4 / 3)
WRONG = replace(RIGHT, close=9.0)
LATER = replace(RIGHT, open_time=60, close_time=120)


def test_what_is_right_stays_whatever_its_revision() -> None:
    found = correct([RIGHT], newest([WRONG, replace(RIGHT, revision=1)]), lambda _: True)
    assert (found.written, found.equal) == ([], 1)


def test_what_is_wrong_is_followed_by_the_next_revision() -> None:
    found = correct([RIGHT], newest([WRONG, replace(WRONG, revision=1)]), lambda _: True)
    assert found.written == [replace(RIGHT, revision=2)]
    again = correct([RIGHT], newest([WRONG, replace(WRONG, revision=1), *found.written]), lambda _: True)
    assert (again.written, again.equal) == ([], 1), "a second run changes nothing"


def test_a_revision_that_the_trades_themselves_made_keeps_its_number_if_it_is_the_higher() -> None:
    late = replace(RIGHT, revision=4)
    assert correct([late], newest([WRONG]), lambda _: True).written == [late]


def test_what_is_missing_is_written_and_what_nothing_gives_is_counted() -> None:
    found = correct([RIGHT], newest([LATER]), lambda candle: not candle.backfilled)
    assert (found.written, found.missing, found.unfounded) == ([RIGHT], 1, 1)
    history = replace(LATER, backfilled=True)
    assert correct([RIGHT], newest([history]), lambda candle: not candle.backfilled).unfounded == 0


def test_a_complete_candle_does_not_give_way_to_one_whose_trades_are_gone() -> None:
    partial = replace(RIGHT, volume=1.0, complete=False)
    found = correct([partial], newest([RIGHT]), lambda _: True)
    assert (found.written, found.kept) == ([], 1)
    assert correct([RIGHT], newest([partial]), lambda _: True).written == [replace(RIGHT, revision=1)]


def test_of_equal_revisions_the_first_counts() -> None:
    assert newest([RIGHT, WRONG]) == newest([RIGHT])
