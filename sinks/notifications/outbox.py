"""The ledger of notifications: what waits for which channel, and what became of it.

A row is made for each cause and channel before the cause's offset moves; making it again does nothing. Each
channel then takes its rows at its own pace, in order of event time: a failing one never delays another.
A row is settled after the channel took the message: a crash in between sends it once more (at least once).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sinks.database import Connection
from sinks.positions import PartitionRef

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
TAKE_ROWS: Final = 50


@dataclass(frozen=True, slots=True)
class Queued:
    """A message to be.

    Attributes:
        cause_id: Id of the signal.
        channel: Name of the channel.
        rule: Name of the rule that chose it.
        ref: Partition of the signal.
        offset: Offset of the signal.
        key: The signal's key in the topic.
        value: The signal's value in the topic.
        event_time: Of the signal, microseconds since 1970.
    """

    cause_id: str
    channel: str
    rule: str
    ref: PartitionRef
    offset: int
    key: bytes | None
    value: bytes
    event_time: int


class Outbox:
    """The rows of `kandle.notifications`.

    Args:
        sink: Name of the sink whose totals count what was sent.
    """

    def __init__(self, sink: str) -> None:
        self._sink = sink

    async def queue(self, db: Connection, entries: Sequence[Queued]) -> None:
        """Make rows that do not exist yet."""
        async with db.cursor() as cursor:
            await cursor.executemany(
                "INSERT INTO kandle.notifications (cause_id, channel, rule, topic_id, partition, "
                "kafka_offset, key, value, event_time) VALUES "
                "(%s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
                [
                    (
                        entry.cause_id,
                        entry.channel,
                        entry.rule,
                        entry.ref.topic_id,
                        entry.ref.partition,
                        entry.offset,
                        entry.key,
                        entry.value,
                        _EPOCH + dt.timedelta(microseconds=entry.event_time),
                    )
                    for entry in entries
                ],
            )

    async def pending(self, db: Connection, channel: str) -> list[Queued]:
        """The oldest rows that wait for a channel."""
        cursor = await db.execute(
            "SELECT n.cause_id, n.rule, n.topic_id, n.partition, t.name, n.kafka_offset, n.key, n.value, "
            "(extract(epoch FROM n.event_time) * 1000000)::bigint "
            "FROM kandle.notifications n JOIN kandle.topics t ON t.id = n.topic_id "
            "WHERE n.channel = %s AND n.outcome = 'pending' ORDER BY n.event_time, n.cause_id LIMIT %s",
            (channel, TAKE_ROWS),
        )
        return [
            Queued(
                cause_id,
                channel,
                rule,
                PartitionRef(topic_id, partition, topic),
                offset,
                key,
                value,
                event_time,
            )
            async for cause_id, rule, topic_id, partition, topic, offset, key, value, event_time in cursor
        ]

    async def is_empty(self, db: Connection, channels: Sequence[str]) -> bool:
        """Whether nothing waits for these channels."""
        cursor = await db.execute(
            "SELECT EXISTS (SELECT FROM kandle.notifications "
            "WHERE outcome = 'pending' AND channel = ANY(%s))",
            (list(channels),),
        )
        row = await cursor.fetchone()
        return row is not None and not row[0]

    async def settle(self, db: Connection, entry: Queued, attempts: int, sent: bool) -> None:
        """Write what became of a row, and count it; once only, whoever comes second changes nothing."""
        async with db.transaction():
            cursor = await db.execute(
                "UPDATE kandle.notifications SET outcome = %s, attempts = %s, settled = clock_timestamp() "
                "WHERE cause_id = %s AND channel = %s AND outcome = 'pending'",
                ("sent" if sent else "dead_letter", attempts, entry.cause_id, entry.channel),
            )
            if cursor.rowcount:
                await db.execute(
                    "UPDATE kandle.offsets SET rows_stored = rows_stored + %s, "
                    "dead_letters = dead_letters + %s WHERE sink = %s AND topic_id = %s AND partition = %s",
                    (int(sent), int(not sent), self._sink, entry.ref.topic_id, entry.ref.partition),
                )
