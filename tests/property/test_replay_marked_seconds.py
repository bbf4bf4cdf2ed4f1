"""Records without marks: however they are cut into whole seconds, the partitions come out alike."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from backtest.replay.source import Partition, Portion
from backtest.replay.sources.marked_seconds import MarkedSeconds
from backtest.replay.sources.stored_rows import Markets, StoredRows
from infra.kafka.partitioner import partition_of
from schemas import rows
from schemas.identity import market_key
from schemas.records import TimeMark
from schemas.spans import Spans
from schemas.topics import QUOTES, TICKERS, TRADES

TOPICS = [topic.base_name for topic in (TRADES, QUOTES, TICKERS)]
NAMES = [("a", "X/Y"), ("a", "Z/Y"), ("b", "X/Y"), ("b", "Q/Y")]
MARKETS = Markets(np.arange(len(NAMES)), NAMES)
SECOND = 1_000_000
EVENTS = st.lists(
    st.tuples(st.sampled_from(TOPICS), st.integers(0, 8 * SECOND - 1), st.integers(0, len(NAMES) - 1)),
    max_size=40,
)
Event = tuple[str, int, int]
Told = dict[Partition, list[tuple[int, int, bytes | None, bytes | None]]]


def key_of(event: Event) -> bytes:
    return market_key(*NAMES[event[2]]).encode()


def value_of(event: Event) -> bytes:
    return " ".join(map(str, event)).encode()


def place_of(event: Event) -> int:
    return partition_of(key_of(event), 2)


def stored(events: list[Event], since: int, until: int) -> dict[str, StoredRows]:
    found = {}
    for topic in TOPICS:
        own = sorted(event for event in events if event[0] == topic and since <= event[1] < until)
        found[topic] = StoredRows(
            np.array([time for _, time, _ in own], np.int64),
            np.array([market for _, _, market in own], np.int64),
            Spans.of([key_of(event) for event in own]),
            Spans.of([value_of(event) for event in own]),
        )
    return found


def told(portions: list[Portion], into: Told) -> None:
    for one in portions:
        for row in range(len(one)):
            place = (int(one.positions[row]), int(one.times[row]))
            into.setdefault(one.partition, []).append((*place, one.keys.value(row), one.values.value(row)))


def laid_out(events: list[Event], cuts: list[int]) -> Told:
    marked = MarkedSeconds(TOPICS, 2, MARKETS, is_marked=True)
    found: Told = {}
    bounds = [0, *sorted(set(cuts)), 8]
    for since, until in itertools.pairwise(bounds):
        told(marked.lay_out(stored(events, since * SECOND, until * SECOND)), found)
    told(marked.end(), found)
    return found


@given(events=EVENTS, cuts=st.lists(st.integers(1, 7)))
def test_cuts_change_nothing_and_marks_cover_what_stands_before_them(
    events: list[Event], cuts: list[int]
) -> None:
    whole = laid_out(events, [])
    assert laid_out(events, cuts) == whole
    seconds = {(NAMES[market][0], time // SECOND) for _, time, market in events}
    for tp, records in whole.items():
        assert [record[0] for record in records] == list(range(len(records)))
        newest: dict[str, int] = {}
        marks, own = [], []
        for _, time, key, value in records:
            assert value is not None
            if value[:1] == b"\x00":
                mark = rows.decode(value)
                assert isinstance(mark, TimeMark)
                assert mark.time == time
                assert mark.time >= newest.get(mark.venue, 0)
                assert key == (b"database" if tp.topic == TICKERS.base_name else None)
                marks.append((mark.venue, mark.time // SECOND, mark.final))
                newest[mark.venue] = mark.time
            else:
                assert key is not None
                assert partition_of(key, 2) == tp.number
                assert newest.get(key.decode().partition(":")[0], -1) < time
                own.append(value)
        expected = [event for event in sorted(events) if event[0] == tp.topic]
        expected = [event for event in expected if place_of(event) == tp.number]
        assert own == [value_of(event) for event in expected]
        assert {mark[:2] for mark in marks if not mark[2]} == seconds
        assert sorted(mark[0] for mark in marks if mark[2]) == sorted({venue for venue, _ in seconds})
