"""What rules fire on: sound input, the venue's history, and code that fails."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple
from typing import Any

import pytest

from processors.indicator import Bar, Indicator, State
from processors.series.book import SeriesBook
from processors.series.plan import Choice, SeriesPlan
from processors.signal import Decision, SignalRule
from schemas.records import Candle, IndicatorValue, Signal
from tests.saved_pages import saved
from tests.signal_candles import MINUTE, of_closes

RULE = "moving_average_crossover(1,3)"
PLAN = SeriesPlan.of(["sma(3)"], [RULE])
ZIGZAG = (5.0, 5.0, 5.0, *[9.0, 1.0] * 10)
"""Crosses at each candle from the fifth one on: the fourth one only begins on a side."""
FIRST = 4


def altered(closes: Iterable[float], **changes: Any) -> list[Candle]:
    """Candles with some of them changed: `c5={"complete": False}`, or left out: `c5=None`."""
    made = []
    for index, candle in enumerate(of_closes(closes)):
        change = changes.get(f"c{index}", {})
        if change is not None:
            made.append(_replaced(candle, change))
    return made


def _replaced(candle: Candle, change: Mapping[str, Any]) -> Candle:
    fields = {name: getattr(candle, name) for name in candle.__struct_fields__}
    return Candle(**{**fields, **change})


def fired(plan: SeriesPlan, candles: Iterable[Candle]) -> dict[int, bool]:
    """Candles at which the rule fired, by index, and whether the signal says that it is complete."""
    book = SeriesBook(plan)
    records = [record for candle in candles for record in book.fold(candle)]
    return {r.open_time // MINUTE: r.complete for r in records if isinstance(r, Signal)}


def missing(plan: SeriesPlan, candles: Iterable[Candle]) -> set[int]:
    return set(range(FIRST, len(ZIGZAG))) - fired(plan, candles).keys()


INCOMPLETE = {"complete": False}


def test_without_faults_the_rule_fires_at_each_candle() -> None:
    assert missing(PLAN, of_closes(ZIGZAG)) == set()


def test_an_incomplete_candle_and_the_one_that_is_compared_with_it_fire_nothing() -> None:
    assert missing(PLAN, altered(ZIGZAG, c10=INCOMPLETE)) == {10, 11}


def test_after_a_feed_was_away_a_rule_has_to_become_warm_again() -> None:
    # Ended inside candle 8, away in candles 9 and 10, began again inside candle 11: three candles since.
    candles = altered(ZIGZAG, c8=INCOMPLETE, c9=None, c10=None, c11=INCOMPLETE)
    assert missing(PLAN, candles) == {8, 9, 10, 11, 12}
    slow = SeriesPlan.of([], ["moving_average_crossover(1,6)"])
    assert missing(slow, of_closes(ZIGZAG)) <= {4, 5, 6}
    assert missing(slow, candles) - missing(slow, of_closes(ZIGZAG)) == set(range(8, 16))


def test_a_feed_that_began_again_at_the_edge_of_a_candle_was_away_as_well() -> None:
    assert missing(PLAN, altered(ZIGZAG, c8=INCOMPLETE, c9=None, c10=None)) == {8, 9, 10, 11, 12}


def test_an_interval_without_trades_is_no_hole_unless_each_one_has_a_candle() -> None:
    quiet = altered(ZIGZAG, c9=None, c10=None)
    assert missing(PLAN, quiet) == {9, 10}
    gapless = SeriesPlan.of([], [RULE], gapless=True)
    assert missing(gapless, quiet) == {9, 10, 11, 12}


def test_the_first_candle_in_which_a_feed_began_is_no_hole() -> None:
    assert missing(PLAN, altered(ZIGZAG, c0=INCOMPLETE)) == set()


def test_a_hole_before_a_rule_is_warm_for_the_first_time_counts_too() -> None:
    # Candles 4 and 5 see the side, but the slow average reaches back over the hole.
    candles = altered(ZIGZAG, c1=INCOMPLETE, c2=None)
    assert missing(PLAN, candles) == {4}


def test_signals_from_what_is_not_sound_are_marked_where_the_setting_allows_them() -> None:
    candles = altered(ZIGZAG, c8=INCOMPLETE, c9=None, c10=None, c11=INCOMPLETE)
    allowed = fired(SeriesPlan.of([], [RULE], on_incomplete=True), candles)
    assert {index for index, complete in allowed.items() if not complete} == {8, 11, 12}
    assert {index for index, complete in allowed.items() if complete} == fired(PLAN, candles).keys()


def test_a_candle_made_complete_by_a_revision_fires_then() -> None:
    whole = of_closes(ZIGZAG[:11])
    candles = [*whole[:10], _replaced(whole[10], INCOMPLETE), _replaced(whole[10], {"revision": 1})]
    assert 10 in fired(PLAN, candles)
    assert 10 not in fired(PLAN, candles[:-1])


def test_history_warms_indicators_up_and_fires_nothing() -> None:
    history = {f"c{index}": {"backfilled": True} for index in range(8)}
    book = SeriesBook(PLAN)
    candles = altered(ZIGZAG, **history)
    records = [record for candle in candles for record in book.fold(candle)]
    values = [record for record in records if isinstance(record, IndicatorValue)]
    plain = [record for candle in of_closes(ZIGZAG) for record in SeriesBook(PLAN).fold(candle)]
    assert not plain
    assert [value.open_time // MINUTE for value in values] == list(range(2, len(ZIGZAG)))
    assert fired(PLAN, candles).keys() == set(range(8, len(ZIGZAG)))


def test_a_candle_of_ours_takes_the_place_of_one_of_the_history() -> None:
    closes = of_closes(ZIGZAG[:9])
    of_venue = _replaced(closes[8], {"backfilled": True, "close": 77.0, "high": 77.0})
    book, plain = SeriesBook(PLAN), SeriesBook(PLAN)
    for candle in closes[:8]:
        book.fold(candle)
        plain.fold(candle)
    book.fold(of_venue)
    expected = plain.fold(closes[8])
    assert [type(record) for record in expected] == [IndicatorValue, Signal]
    assert book.fold(closes[8]) == expected
    assert saved(book) == saved(plain)


def test_history_that_is_not_newer_than_the_newest_candle_is_dropped() -> None:
    book = SeriesBook(PLAN)
    candles = of_closes(ZIGZAG)
    for candle in candles:
        book.fold(candle)
    before = saved(book)
    for candle in (candles[-1], candles[-2], candles[0]):
        assert book.fold(_replaced(candle, {"backfilled": True, "revision": 5, "close": 3.0})) == []
    assert saved(book) == before
    assert astuple(book.counts) == (len(candles), 0, 0, 0, 3)


class _Failing(Indicator):
    def update(self, candle: Bar) -> Mapping[str, float] | None:
        if candle.close == 9.0:
            raise ZeroDivisionError("nine")
        return {self.name: float("nan") if candle.close == 1.0 else candle.close}

    def snapshot(self) -> State:
        return ()

    def restore(self, state: State) -> None:
        pass


class _Exaggerating(SignalRule):
    def needs(self) -> Sequence[Indicator]:
        return (_Failing(),)

    def update(self, candle: Bar, values: Mapping[str, float]) -> Decision | None:
        return Decision("long", values["_failing"], {})

    def snapshot(self) -> State:
        return ()

    def restore(self, state: State) -> None:
        pass


def test_what_fails_has_no_value_at_that_candle_is_told_and_holds_up_nothing() -> None:
    plain = SeriesPlan.of(["sma(1)"], ["volume_spike"])
    plan = SeriesPlan((plain.indicators[0], Choice(_Failing())), (Choice(_Exaggerating()), *plain.rules))
    told: list[tuple[str, int, str]] = []
    book = SeriesBook(plan, lambda label, candle, error: told.append((label, int(candle.close), str(error))))
    records = [book.fold(candle) for candle in of_closes([9.0, 1.0, 5.0, 0.5])]
    names = [[getattr(record, "name", "signal") for record in each] for each in records]
    assert names == [["sma_1"], ["sma_1"], ["sma_1", "_failing"], ["sma_1", "_failing", "signal"]]
    assert told == [
        ("_failing", 9, "nine"),
        ("_exaggerating", 5, "a strength is a number from 0 to 1, got 5.0"),
    ]


def test_what_fails_ends_the_work_where_nobody_is_told() -> None:
    book = SeriesBook(SeriesPlan((Choice(_Failing()),), ()))
    with pytest.raises(ZeroDivisionError):
        book.fold(of_closes([9.0])[0])
