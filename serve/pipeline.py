"""How the pipeline stands, from the ends of the topics and the positions of who reads them."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from schemas.records import Micros
from schemas.topics import SIGNALS, TOPICS, TRADES
from serve.brokers import Brokers, Positions, TopicPartition
from serve.hub.feeds import Feeds
from serve.store import Rows, Store, epoch_us

FRESH_S: Final = 1.0
"""Whoever asks again within this time gets the same look."""
FORGOTTEN_S: Final = 60.0
"""Rates are told by a look that is not older."""
POSITIONS: Final = (
    "SELECT o.sink, t.name AS topic, sum(o.next_offset)::bigint AS position, "
    'array_agg(o.partition) AS partitions, array_agg(o.next_offset) AS offsets, max(o.updated) AS "time" '
    "FROM kandle.offsets o JOIN kandle.topics t ON t.id = o.topic_id WHERE t.retired IS NULL "
    "GROUP BY 1, 2"
)
STORED: Final = (
    f"SELECT sink, topic, position, partitions, offsets, {epoch_us('time', 'updated')} FROM ({POSITIONS}) p"  # noqa: S608
)
MARKS: Final = (
    "SELECT m.sink, t.name AS topic, m.venue, (extract(epoch FROM min(m.time)) * 1000000)::bigint AS mark "
    "FROM kandle.marks m JOIN kandle.topics t ON t.id = m.topic_id "
    "WHERE t.name = ANY(%s) AND t.retired IS NULL AND NOT m.final "
    "AND m.time > (SELECT max(time) FROM kandle.marks) - interval '1 hour' GROUP BY 1, 2, 3"
)
MARKED: Final = (TRADES, SIGNALS)
"""By the marks of the first of these that a sink reads, its lag in seconds is told."""
PLAYED_S: Final = 86_400.0
"""Marks that are further behind their arrival are of a past that is played: that is no lag."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage: records/s, records and seconds behind; None where it is not known."""

    name: str
    rate: float | None
    lag_records: int | None
    lag_s: float | None


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic: records that it holds, and records/s that come."""

    topic: str
    records: int
    rate: float | None


@dataclass(frozen=True, slots=True)
class SinkState:
    """How far a sink has stored a topic; `updated` in µs since the epoch."""

    sink: str
    topic: str
    position: int
    lag_records: int
    updated: Micros


@dataclass(frozen=True, slots=True)
class Look:
    """The pipeline at a moment, µs since the epoch."""

    time: Micros
    stages: list[Stage]
    topics: list[TopicState]
    sinks: list[SinkState]
    dead_letters: dict[str, int]


@dataclass(frozen=True, slots=True)
class _Seen:
    """What rates are told by: counts that only grow, by name, at a monotonic time."""

    at: float
    counts: dict[str, int]

    def rate(self, name: str, before: "_Seen | None") -> float | None:
        if before is None or name not in before.counts or self.at - before.at > FORGOTTEN_S:
            return None
        return round(max(self.counts[name] - before.counts[name], 0) / (self.at - before.at), 3)


class Pipeline:
    """Looks at the pipeline, once a second at most.

    Args:
        store: Positions of the sinks.
        brokers: Ends of the topics, and positions of the workers.
        feeds: The newest marks.
    """

    def __init__(self, store: Store, brokers: Brokers, feeds: Feeds) -> None:
        self._store = store
        self._brokers = brokers
        self._feeds = feeds
        self._before: _Seen | None = None
        self._last: tuple[float, Look] | None = None
        self._lock = asyncio.Lock()

    async def look(self) -> Look:
        """The pipeline now, or within the last second.

        Raises:
            UnavailableError: Kafka or the database is away.
        """
        async with self._lock:
            if self._last is not None and time.monotonic() - self._last[0] < FRESH_S:
                return self._last[1]
            found = await self._brokers.positions()
            stored = await self._store.rows(STORED)
            marks = await self._store.rows(MARKS, ([topic.name for topic in MARKED],))
            look = self._told(found, stored, marks)
            self._last = (time.monotonic(), look)
            return look

    def _told(
        self,
        found: Positions,
        stored: Rows,
        marks: Rows,
    ) -> Look:
        ends: dict[str, int] = {}
        held: dict[str, int] = {}
        for (name, _), (first, end) in found.ranges.items():
            ends[name] = ends.get(name, 0) + end
            held[name] = held.get(name, 0) + end - first
        seen = _Seen(time.monotonic(), ends | _handled(stored, found.groups[self._brokers.workers].committed))
        before, self._before = self._before, seen
        sinks = [_sink_state(row, found.ranges) for row in stored]
        letters = {topic.dead_letter_name for topic in TOPICS if topic.dead_letters}
        states = self._feeds.states()
        behind = _behind(marks, {venue: state.mark for venue, state in states.items()})
        delays = [state.delay_s for state in states.values() if state.connected and state.delay_s < PLAYED_S]
        unprocessed = found.lag(self._brokers.workers).values()
        stages = [
            Stage("produce", seen.rate(TRADES.name, before), None, max(delays, default=None)),
            Stage(
                "process",
                seen.rate("process", before),
                sum(unprocessed) if unprocessed else None,
                self._feeds.process_lag_s(),
            ),
        ]
        for sink in sorted({state.sink for state in sinks}):
            lag = sum(state.lag_records for state in sinks if state.sink == sink)
            stages.append(Stage(f"sink {sink}", seen.rate(f"sink {sink}", before), lag, behind.get(sink)))
        return Look(
            time=time.time_ns() // 1_000,
            stages=stages,
            topics=[
                TopicState(topic.name, held[topic.name], seen.rate(topic.name, before))
                for topic in TOPICS
                if topic.name in held
            ],
            sinks=sinks,
            dead_letters={name: count for name, count in held.items() if name in letters},
        )


def _handled(stored: Rows, committed: Mapping[TopicPartition, int]) -> dict[str, int]:
    """Sums of the positions of each stage."""
    counts = {"process": sum(committed.values())} if committed else {}
    for row in stored:
        name = f"sink {row['sink']}"
        counts[name] = counts.get(name, 0) + row["position"]
    return counts


def _sink_state(row: dict[str, object], ranges: Mapping[TopicPartition, tuple[int, int]]) -> SinkState:
    topic, positions = str(row["topic"]), zip(row["partitions"], row["offsets"], strict=True)  # type: ignore[call-overload]
    lag = sum(
        max(ranges[topic, number][1] - offset, 0) for number, offset in positions if (topic, number) in ranges
    )
    return SinkState(str(row["sink"]), topic, row["position"], lag, row["updated"])  # type: ignore[arg-type]


def _behind(marks: Rows, newest: dict[str, Micros]) -> dict[str, float]:
    """Seconds of the venue's time by which a sink's marks are behind the feed's, the most of all venues."""
    found: dict[str, float] = {}
    marked = [topic.name for topic in MARKED]
    trusted = {
        sink: min((row["topic"] for row in marks if row["sink"] == sink), key=marked.index)
        for sink in {row["sink"] for row in marks}
    }
    for row in marks:
        mark = newest.get(row["venue"])
        if mark is not None and row["topic"] == trusted[row["sink"]]:
            behind = max(mark - row["mark"], 0) / 1e6
            found[row["sink"]] = max(found.get(row["sink"], 0.0), behind)
    return found
