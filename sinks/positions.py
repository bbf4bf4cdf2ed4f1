"""Where a sink reads on: the rows of `kandle.offsets`, which move in the transactions that store the rows.

A partition's row moves by compare-and-set. Whoever writes with an offset that is not the row's any more (a
sink that was stalled while another took over) changes nothing: that is what makes the tables exactly once.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from schemas.errors import ConflictError
from sinks.database import Connection

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class TopicReplacedError(ConflictError):
    """A topic is not the one whose offsets are stored: it was deleted and made again."""

    code = "TOPIC_REPLACED"


class PositionLostError(ConflictError):
    """The log does not hold the stored offset: going on would skip records in silence."""

    code = "POSITION_LOST"


@dataclass(frozen=True, slots=True, order=True)
class PartitionRef:
    """A partition of a topic, as the database names it; sorts in the order in which rows are locked."""

    topic_id: int
    partition: int
    topic: str = field(compare=False)


@dataclass(slots=True)
class Counts:
    """What became of records; see the comments on `kandle.offsets`."""

    stored: int = 0
    revised: int = 0
    repeated: int = 0
    dead_letters: int = 0

    def __iadd__(self, other: Counts) -> Counts:
        self.stored += other.stored
        self.revised += other.revised
        self.repeated += other.repeated
        self.dead_letters += other.dead_letters
        return self


@dataclass(frozen=True, slots=True)
class Move:
    """A step of a partition: from `expected`, the row's value, to `next_offset`."""

    ref: PartitionRef
    expected: int
    next_offset: int


@dataclass(frozen=True, slots=True)
class Mark:
    """The newest time mark of a source in a partition; `time` in microseconds since 1970."""

    ref: PartitionRef
    venue: str
    source: str
    time: int
    final: bool
    instance: str
    kafka_offset: int


class Positions:
    """The rows of one sink.

    Args:
        sink: Name of the sink, part of every row's key.
    """

    def __init__(self, sink: str) -> None:
        self.sink = sink

    async def register(self, db: Connection, kafka_ids: Mapping[str, str]) -> dict[str, int]:
        """Short numbers of topics by name, given the ids that Kafka has for them.

        Raises:
            TopicReplacedError: A topic is stored under another id.
        """
        found: dict[str, int] = {}
        for name, kafka_id in sorted(kafka_ids.items()):
            await db.execute(
                "INSERT INTO kandle.topics (name, kafka_id) VALUES (%s, %s) "
                "ON CONFLICT (name) WHERE retired IS NULL DO NOTHING",
                (name, kafka_id),
            )
            cursor = await db.execute(
                "SELECT id, kafka_id FROM kandle.topics WHERE name = %s AND retired IS NULL", (name,)
            )
            row = await cursor.fetchone()
            if row is None or row[1] != kafka_id:
                stored = "nothing" if row is None else row[1]
                raise TopicReplacedError(
                    f"topic {name} has Kafka's id {kafka_id}, but offsets are stored for {stored}: it was "
                    "deleted and made again, or this database belongs to another Kafka. Use the Kafka that "
                    "it belongs to; or, to go on with the new topic, see what that gives up and accept it: "
                    f"kandle sink accept --sink {self.sink} --topic {name}"
                )
            found[name] = row[0]
        return found

    async def read(self, db: Connection, refs: Iterable[PartitionRef]) -> dict[PartitionRef, int]:
        """The next offsets of partitions; without those that have no row yet."""
        wanted = sorted(refs)
        cursor = await db.execute(
            "SELECT o.topic_id, o.partition, o.next_offset FROM kandle.offsets o "
            "JOIN unnest(%s::integer[], %s::integer[]) AS r(topic_id, partition) USING (topic_id, partition) "
            "WHERE o.sink = %s",
            ([ref.topic_id for ref in wanted], [ref.partition for ref in wanted], self.sink),
        )
        found = {(topic_id, partition): offset async for topic_id, partition, offset in cursor}
        return {
            ref: found[ref.topic_id, ref.partition]
            for ref in wanted
            if (ref.topic_id, ref.partition) in found
        }

    async def begin(self, db: Connection, starts: Mapping[PartitionRef, int]) -> dict[PartitionRef, int]:
        """Make rows for partitions that have none, at the given offsets; then as `read`."""
        async with db.cursor() as cursor:
            await cursor.executemany(
                "INSERT INTO kandle.offsets (sink, topic_id, partition, next_offset) VALUES (%s, %s, %s, %s) "
                "ON CONFLICT DO NOTHING",
                [(self.sink, ref.topic_id, ref.partition, starts[ref]) for ref in sorted(starts)],
            )
        return await self.read(db, starts)

    async def move(self, db: Connection, moves: Sequence[Move]) -> bool:
        """Compare-and-set all rows; call it first in the transaction, it takes the locks in one order.

        Returns:
            False if a row did not have the expected value: roll back.
        """
        async with db.cursor() as cursor:
            await cursor.executemany(
                "UPDATE kandle.offsets SET next_offset = %s, updated = clock_timestamp() "
                "WHERE sink = %s AND topic_id = %s AND partition = %s AND next_offset = %s",
                [
                    (move.next_offset, self.sink, move.ref.topic_id, move.ref.partition, move.expected)
                    for move in sorted(moves, key=lambda move: move.ref)
                ],
            )
            return cursor.rowcount == len(moves)

    async def count(self, db: Connection, counts: Mapping[PartitionRef, Counts]) -> None:
        """Add to the totals of rows that this transaction has moved."""
        async with db.cursor() as cursor:
            await cursor.executemany(
                "UPDATE kandle.offsets SET rows_stored = rows_stored + %s, rows_revised = rows_revised + %s, "
                "rows_repeated = rows_repeated + %s, dead_letters = dead_letters + %s "
                "WHERE sink = %s AND topic_id = %s AND partition = %s",
                [
                    (c.stored, c.revised, c.repeated, c.dead_letters, self.sink, ref.topic_id, ref.partition)
                    for ref, c in sorted(counts.items())
                    if c != Counts()
                ],
            )

    async def mark(self, db: Connection, marks: Sequence[Mark]) -> None:
        """Keep the newest mark of each source."""
        if not marks:
            return
        async with db.cursor() as cursor:
            await cursor.executemany(
                'INSERT INTO kandle.marks AS m (sink, topic_id, partition, venue, source, "time", final, '
                "instance, kafka_offset) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) "
                "ON CONFLICT (sink, topic_id, partition, venue, source) DO UPDATE SET "
                '"time" = excluded."time", final = excluded.final, instance = excluded.instance, '
                "kafka_offset = excluded.kafka_offset WHERE m.kafka_offset < excluded.kafka_offset",
                [
                    (
                        self.sink,
                        mark.ref.topic_id,
                        mark.ref.partition,
                        mark.venue,
                        mark.source,
                        _EPOCH + dt.timedelta(microseconds=mark.time),
                        mark.final,
                        mark.instance,
                        mark.kafka_offset,
                    )
                    for mark in marks
                ],
            )
