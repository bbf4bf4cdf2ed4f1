"""What is known of the ids of a topic that was deleted and made again."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.topics import QUOTES
from sinks.database import Connection


async def carry_ids(db: Connection, topic: str, old: int, new: int, partitions: Sequence[int]) -> None:
    """Let the new topic know the ids of the old one, so that what is sent again is not stored again.

    A trade of a number that the old topic had passed is looked up in the table itself: it is stored unless it
    stands there. So neither is a trade stored twice, nor one lost that the old topic held back or missed. A
    quote is taken if it is newer than all before, as ever. An instrument may have moved to another partition;
    so each of them is told.

    Args:
        db: A connection, in the transaction that retires the old topic.
        topic: Name of both topics.
        old: Number of the topic that is gone.
        new: Number of the topic that took its place.
        partitions: Partitions of the new topic.
    """
    ids, floor = "'{}'::int8multirange", "max(greatest(floor, coalesce(upper(ids), floor)))"
    if topic == QUOTES.name:
        ids, floor = "int8multirange(int8range(min(lower(ids)), max(upper(ids))))", "min(floor)"
    await db.execute(
        "INSERT INTO kandle.seen_ids (topic_id, partition, instrument_id, ids, floor) "  # noqa: S608 - constants
        "SELECT %s, p.partition, s.instrument_id, s.ids, s.floor "
        f"FROM (SELECT instrument_id, {ids} AS ids, {floor} AS floor "
        "FROM kandle.seen_ids WHERE topic_id = %s GROUP BY instrument_id) s "
        "CROSS JOIN unnest(%s::integer[]) AS p(partition)".encode(),
        (new, old, list(partitions)),
    )
