"""What a replay reads from: the contract of a source.

A source holds partitions of the input topics, and gives the records of each in one order that never changes:
that of the log they came from, or, where there was none, one that follows from the stored data alone. Each
record has a position, ascending within its partition. A replay writes it into a header, so that whoever looks
at the last record of a partition knows where the replay stood: `streams` then goes on after it.

A source yields what belongs to the period and nothing else. Time marks and gaps are records like others; a
source that has stored none makes marks of its own at each whole second of event time (`sources/database.py`).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol, Self

import numpy as np
import numpy.typing as npt

from schemas.records import Micros
from schemas.spans import Int64s, Spans
from schemas.topics import (
    ALERTS,
    BOOKS,
    DERIVATIVES,
    EXCHANGE_CANDLES,
    INSTRUMENTS,
    LIQUIDATIONS,
    QUOTES,
    TICKERS,
    TRADES,
    Topic,
)

MARKET: Final[tuple[Topic, ...]] = (
    TRADES,
    QUOTES,
    BOOKS,
    TICKERS,
    EXCHANGE_CANDLES,
    DERIVATIVES,
    LIQUIDATIONS,
)
"""Topics that producers write, with their marks."""
REFERENCE: Final[tuple[Topic, ...]] = (INSTRUMENTS, ALERTS)
"""Topics that say what holds, without marks: all of them is published before the first market record."""
REPLAYED: Final = REFERENCE + MARKET
"""What is replayed; everything else is derived from it again."""

NOTHING: Final = -1
"""The position before the first record of a partition."""


class Partition(NamedTuple):
    """A partition of an input topic; the topic is named by its base name, whatever the source calls it."""

    topic: str
    number: int


@dataclass(frozen=True, slots=True)
class Period:
    """Event times from `since` on, before `until`; None: without bound. Microseconds."""

    since: Micros | None = None
    until: Micros | None = None

    def holds(self, topic: str, begins: Int64s, ends: Int64s | None = None) -> npt.NDArray[np.bool_]:
        """Which records of a topic belong to it.

        What a reference topic says holds from its time on: there `since` is no bound.

        Args:
            topic: Base name of the input topic.
            begins: Event time of each record.
            ends: Where records are of a stretch of time (gaps), its last moment; they belong to the period
                if they touch it.
        """
        found = np.ones(begins.size, np.bool_)
        if self.until is not None:
            found &= begins < self.until
        if self.since is not None and all(topic != one.base_name for one in REFERENCE):
            found &= (begins if ends is None else ends) >= self.since
        return found


@dataclass(frozen=True, slots=True)
class Portion:
    """Records of one partition, in order, as columns.

    Attributes:
        partition: Which.
        positions: Ascending; above those of all earlier portions of the partition.
        times: Event time of each, µs; may go back, as late records do.
        keys, values: As they stand in Kafka.
        headers: The headers that each had, encoded as in a record batch, without their number.
        header_counts: How many each had.
    """

    partition: Partition
    positions: Int64s
    times: Int64s
    keys: Spans
    values: Spans
    headers: Spans
    header_counts: Int64s

    @classmethod
    def of(
        cls, partition: Partition, first: int, records: Sequence[tuple[Micros, bytes | None, bytes | None]]
    ) -> Self:
        """Records without headers, at positions from `first` on: (event time, key, value) of each."""
        positions = np.arange(first, first + len(records), dtype=np.int64)
        return cls.bare(
            partition,
            positions,
            np.array([time for time, _, _ in records], np.int64),
            Spans.of([key for _, key, _ in records]),
            Spans.of([value for _, _, value in records]),
        )

    @classmethod
    def bare(cls, partition: Partition, positions: Int64s, times: Int64s, keys: Spans, values: Spans) -> Self:
        """Records without headers."""
        none = np.zeros(positions.size, np.int64)
        return cls(partition, positions, times, keys, values, Spans(np.empty(0, np.uint8), none, none), none)

    def __len__(self) -> int:
        return int(self.positions.size)

    def take(self, rows: npt.NDArray[np.bool_] | Int64s | slice) -> Portion:
        """Some of them, over the same bytes; `rows` keeps the order."""
        if isinstance(rows, slice):
            rows = np.arange(*rows.indices(len(self)))
        return Portion(
            self.partition,
            self.positions[rows],
            self.times[rows],
            self.keys.take(rows),
            self.values.take(rows),
            self.headers.take(rows),
            self.header_counts[rows],
        )

    def after(self, position: int) -> Portion:
        """Those above a position."""
        first = int(np.searchsorted(self.positions, position, "right"))
        return self if first == 0 else self.take(slice(first, None))


@dataclass(frozen=True, slots=True)
class Step:
    """What a stream yields at a time: a stretch of event time of some partitions.

    Attributes:
        portions: At most one for each partition; empty while a stream passes over what is not in the period.
            Of a source that reads many partitions in one go, they should not cover more than a second or so.
        reached: The newest event time that was met so far, what was left out included; None: none yet. What
            a stream yields later is usually not older. A stream that has reached the period's end holds up
            no other one, though late records may still come of it.
    """

    portions: Sequence[Portion]
    reached: Micros | None


class Source(Protocol):
    """Records of the past."""

    @property
    def identity(self) -> str:
        """What is read, in words that are equal for equal data alone: part of what a replay is known by.

        It names the place and what tells that place apart from another of the same name (Kafka's ids of the
        topics, the digest of a file).
        """

    @property
    def partition_count(self) -> int:
        """Partitions of every keyed topic: the replay's topics get as many, so that each finds its own."""

    @property
    def partitions(self) -> Sequence[Partition]:
        """What it holds; those of market topics get a closing mark, also where the period has no record."""

    async def times(self, period: Period) -> tuple[Micros, Micros] | None:
        """First and last event time of market records in the period, for displays; None: not known."""

    def streams(
        self, topics: Collection[str], period: Period, after: Mapping[Partition, int]
    ) -> Sequence[AsyncGenerator[Step, None]]:
        """The records of the period, as streams that are read side by side.

        Each partition belongs to one stream, and one stream may serve many. What blocks is done in threads
        (`sources/threads.py`).

        Args:
            topics: Base names of those that are wanted; reference topics are asked for first, apart.
            period: What is wanted.
            after: For each partition the position of the last record that is not wanted again; `NOTHING`, or
                no entry: from the beginning.

        Raises:
            KandleError: When iterated: the source is away, has changed meanwhile, or is damaged.
        """
