"""Messages that are under way: written down in the ledger, not settled yet.

One is settled after the channel took it, with all its causes, in one transaction. A crash in between sends
the same message, with the same key, once more: at least once.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import msgspec

from infra.kafka.dead_letters import Headers
from sinks.database import Connection
from sinks.notifications.plan import Form
from sinks.positions import PartitionRef

Outcome: TypeAlias = Literal["sent", "folded", "digested", "dead_letter"]
OUTCOMES: Final[dict[Form, Outcome]] = {"single": "sent", "folded": "folded", "digest": "digested"}
"""What becomes of causes whose message was taken, by its form."""
_HEADERS: Final = msgspec.json.Decoder(list[tuple[str, bytes | None]])
_BEFORE_ALL: Final = dt.datetime(1, 1, 1, tzinfo=dt.UTC)

_UNDER_WAY: Final = """
SELECT message, form, count(*), max(attempts) FROM kandle.notifications
WHERE channel = %s AND outcome = 'pending' AND message IS NOT NULL
GROUP BY message, form ORDER BY min(event_time), message LIMIT %s
"""
_CAUSES: Final = """
SELECT n.cause_id, n.topic_id, n.partition, t.name, n.kafka_offset, n.key, n.value, n.event_time, n.headers
FROM kandle.notifications n JOIN kandle.topics t ON t.id = n.topic_id
WHERE n.channel = %(channel)s AND n.message = %(key)s AND n.outcome = 'pending'
"""
_FIRST: Final = _CAUSES + "ORDER BY n.event_time, n.cause_id LIMIT %(most)s"
_LAST: Final = _CAUSES + "ORDER BY n.event_time DESC, n.cause_id DESC LIMIT %(most)s"
_NEXT: Final = (
    _CAUSES
    + "AND (n.event_time, n.cause_id) > (%(time)s, %(id)s) ORDER BY n.event_time, n.cause_id LIMIT %(most)s"
)
_FAILED: Final = """
UPDATE kandle.notifications SET attempts = attempts + 1
WHERE channel = %s AND message = ANY(%s) AND outcome = 'pending'
"""
_LOCK_OFFSETS: Final = """
SELECT FROM kandle.offsets WHERE sink = %(sink)s AND (topic_id, partition) IN (
    SELECT topic_id, partition FROM kandle.notifications
    WHERE channel = %(channel)s AND message = %(key)s AND outcome = 'pending')
ORDER BY topic_id, partition FOR UPDATE
"""
_SETTLE: Final = """
WITH settled AS (
    UPDATE kandle.notifications SET outcome = %(outcome)s, settled = clock_timestamp()
    WHERE channel = %(channel)s AND message = %(key)s AND outcome = 'pending'
    RETURNING topic_id, partition),
counts AS (SELECT topic_id, partition, count(*) AS causes FROM settled GROUP BY 1, 2),
counted AS (
    UPDATE kandle.offsets o SET
        rows_stored = rows_stored + CASE %(outcome)s WHEN 'dead_letter' THEN 0 ELSE c.causes END,
        dead_letters = dead_letters + CASE %(outcome)s WHEN 'dead_letter' THEN c.causes ELSE 0 END
    FROM counts c
    WHERE o.sink = %(sink)s AND o.topic_id = c.topic_id AND o.partition = c.partition)
SELECT coalesce(sum(causes), 0)::bigint FROM counts
"""


@dataclass(frozen=True, slots=True)
class Parcel:
    """A message that is under way.

    Attributes:
        key: Of the message: the same for every attempt.
        form: How it tells of its causes.
        count: Of its causes.
        attempts: That have failed.
    """

    key: str
    form: Form
    count: int
    attempts: int


@dataclass(frozen=True, slots=True)
class Cause:
    """What a message tells of: where the record stands in its topic, and the record."""

    id: str
    ref: PartitionRef
    offset: int
    key: bytes | None
    value: bytes
    event_time: dt.datetime
    headers: Headers


class Parcels:
    """The messages of one channel.

    Args:
        sink: Name of the sink whose totals count what was told.
        channel: Name of the channel.
    """

    def __init__(self, sink: str, channel: str) -> None:
        self._sink = sink
        self._channel = channel

    async def under_way(self, db: Connection, most: int) -> list[Parcel]:
        """The oldest of them."""
        cursor = await db.execute(_UNDER_WAY, (self._channel, most))
        return [Parcel(key, form, count, attempts) async for key, form, count, attempts in cursor]

    async def ends(self, db: Connection, parcel: Parcel, most: int) -> list[Cause]:
        """The first and the last causes of a message, so many each, in order; all, if it has no more."""
        found: dict[str, Cause] = {}
        for statement in (_FIRST, _LAST):
            found |= {cause.id: cause for cause in await self._causes(db, statement, parcel, most=most)}
        return sorted(found.values(), key=lambda cause: (cause.event_time, cause.id))

    async def after(self, db: Connection, parcel: Parcel, last: Cause | None, most: int) -> list[Cause]:
        """The next causes of a message after `last`, in order."""
        time, id_ = (last.event_time, last.id) if last else (_BEFORE_ALL, "")
        return await self._causes(db, _NEXT, parcel, most=most, time=time, id=id_)

    async def failed(self, db: Connection, parcels: Sequence[Parcel]) -> None:
        """Count a failed attempt for messages."""
        await db.execute(_FAILED, (self._channel, [parcel.key for parcel in parcels]))

    async def settle(self, db: Connection, parcel: Parcel, outcome: Outcome) -> int:
        """Write what became of all causes of a message, and count them, once only; returns how many."""
        given = {"channel": self._channel, "key": parcel.key, "outcome": outcome, "sink": self._sink}
        async with db.transaction():
            # In the order in which the sink's own transactions lock them.
            await db.execute(_LOCK_OFFSETS, given)
            cursor = await db.execute(_SETTLE, given)
            row = await cursor.fetchone()
        return int(row[0]) if row else 0

    async def _causes(self, db: Connection, statement: str, parcel: Parcel, **given: Any) -> list[Cause]:
        cursor = await db.execute(statement, {"channel": self._channel, "key": parcel.key, **given})
        return [
            Cause(id_, PartitionRef(topic_id, part, topic), offset, key, value, time, read_headers(headers))
            async for id_, topic_id, part, topic, offset, key, value, time, headers in cursor
        ]


def write_headers(headers: Headers) -> bytes | None:
    """Headers of a cause as the ledger holds them; null is none."""
    return msgspec.json.encode(headers) if headers else None


def read_headers(kept: bytes | None) -> Headers:
    """Headers of a cause from the ledger."""
    return _HEADERS.decode(kept) if kept else ()
