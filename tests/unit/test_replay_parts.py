"""Which records a replay takes, and when they happened."""

import msgspec
import numpy as np
import pytest

from backtest.replay.choice import SymbolChoice
from backtest.replay.event_times import PLAYED_US, EventTimes, time_of
from backtest.replay.plan import Plan
from backtest.replay.source import Partition, Period, Portion, Source, Step
from kandle.replays.source import topics_of
from schemas import rows
from schemas.errors import ConfigurationError
from schemas.records import Gap, Instrument, PriceAlert, Quote, Record, TimeMark, Trade
from schemas.spans import Spans
from schemas.topics import ALERTS, INSTRUMENTS, QUOTES, TRADES

TRADE = Trade("v", "A/B", "1", 1, 1.0, 1.0, "buy", 100, 105)
QUOTE = Quote("v", "A/B", 1.0, 1.0, None, 0.0, None, None, 107)
GAP = Gap("v", "A/B", "s", "filled", 1, 2, 50, 90, "away")
MARK = TimeMark("v", "s", 110, False, "i")


def spans(*records: Record | bytes | None) -> Spans:
    return Spans.of([rows.encode(one) if isinstance(one, Record) else one for one in records])


def test_times_are_those_of_the_market_and_of_what_cannot_be_read_those_of_its_neighbour() -> None:
    times = EventTimes()
    kafka_times = np.arange(1, 8)
    begins, ends = times.read(spans(b"?", TRADE, None, QUOTE, GAP, MARK, b"\x00"), kafka_times)
    assert begins.tolist() == [1_000, 100, 100, 107, 50, 110, 110]
    assert ends.tolist() == [1_000, 100, 100, 107, 90, 110, 110]
    begins, _ = times.read(spans(b"?", TRADE), kafka_times)
    assert begins.tolist() == [110, 100]
    assert [time_of(one) for one in (TRADE, QUOTE, GAP, MARK)] == [100, 107, 50, 110]


def test_what_was_received_long_after_the_newest_mark_was_played_and_is_of_that_mark() -> None:
    late = msgspec.structs.replace(QUOTE, receive_time=110 + PLAYED_US + 1)
    lived = msgspec.structs.replace(QUOTE, receive_time=110 + PLAYED_US)
    times = EventTimes()
    begins, _ = times.read(spans(late, MARK, late, GAP, late, lived), np.ones(6, np.int64))
    assert begins.tolist() == [110, 110, 110, 50, 110, lived.receive_time]
    begins, _ = times.read(spans(late), np.ones(1, np.int64))
    assert begins.tolist() == [110]
    begins, _ = EventTimes().read(spans(late), np.ones(1, np.int64))
    assert begins.tolist() == [late.receive_time]


def test_a_period_holds_what_touches_it_and_of_reference_topics_all_that_was_told_before_its_end() -> None:
    period = Period(60, 100)
    begins, ends = np.array([40, 50, 60, 99, 100]), np.array([45, 70, 60, 99, 100])
    assert period.holds(TRADES.base_name, begins, ends).tolist() == [False, True, True, True, False]
    assert period.holds(INSTRUMENTS.base_name, begins).tolist() == [True, True, True, True, False]
    assert Period().holds(TRADES.base_name, begins).all()


def portion(topic: str, *records: tuple[bytes | None, Record | bytes | None]) -> Portion:
    encoded = [rows.encode(value) if isinstance(value, Record) else value for _, value in records]
    keys = [key for key, _ in records]
    return Portion.of(Partition(topic, 0), 0, [(1, *pair) for pair in zip(keys, encoded, strict=True)])


@pytest.mark.parametrize("wanted", ["A/B", "v:A/B"])
def test_some_symbols_come_with_all_marks_and_alerts(wanted: str) -> None:
    choice = SymbolChoice([wanted])
    own, other = (b"v:A/B", TRADE), (b"v:C/D", b"x")
    found = choice.of(
        Step([portion(TRADES.base_name, own, other, (None, MARK), (None, None), (b"s", MARK), own)], 1)
    )
    assert found.portions[0].positions.tolist() == [0, 2, 4, 5]
    # Keys that were not met before, and those that were, in another portion.
    found = choice.of(Step([portion(TRADES.base_name, (b"v:E/F", b"y"), other, own, (None, b"\x00"))], 1))
    assert found.portions[0].positions.tolist() == [2]
    alert = PriceAlert("id", "v", "X/Y", "above", 1.0, 0.0, False, True, 1)
    assert len(choice.of(Step([portion(ALERTS.base_name, (b"id", alert))], 1)).portions[0]) == 1
    listed = Instrument("v", "C/D", "CD", "C", "D", "spot", "trading", None, None, None, 1.0, 1)
    assert len(choice.of(Step([portion(INSTRUMENTS.base_name, (b"v:C/D", listed))], 1)).portions[0]) == 0


def test_a_plan_is_known_by_what_is_replayed() -> None:
    plan = Plan("here", Period(1, 2), ["b", "a"], ["x"])
    assert plan.replay_id == Plan("here", Period(1, 2), {"a", "b"}, ("x",)).replay_id
    others = [
        Plan("there", Period(1, 2), ["a", "b"], ["x"]),
        Plan("here", Period(1, 3), ["a", "b"], ["x"]),
        Plan("here", Period(1, 2), ["a"], ["x"]),
        Plan("here", Period(1, 2), ["a", "b"]),
    ]
    assert len({plan.replay_id, *(other.replay_id for other in others)}) == 5


class Held:
    """A source of two topics."""

    partitions = (Partition(QUOTES.base_name, 0), Partition(TRADES.base_name, 1))


def test_topics_are_named_in_short_or_in_full() -> None:
    source: Source = Held()  # type: ignore[assignment]
    assert topics_of(None, source) == [TRADES.base_name, QUOTES.base_name]
    assert topics_of(f"trades, {QUOTES.base_name}", source) == [TRADES.base_name, QUOTES.base_name]
    with pytest.raises(ConfigurationError, match="no topic books to replay; it has: trades, quotes"):
        topics_of("books", source)
    with pytest.raises(ConfigurationError, match="names none"):
        topics_of(" , ", source)
