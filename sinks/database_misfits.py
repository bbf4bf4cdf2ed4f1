"""Misfits of the positions in `kandle.offsets`: found, and accepted in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import psycopg
from aiokafka import TopicPartition

from schemas.errors import ConflictError
from sinks.database import Connection
from sinks.destination import Log
from sinks.misfits import Misfit, Misplaced
from sinks.timescale.carried_ids import carry_ids

_CHANGED: Final = "the positions have moved since they were shown: run the command again"


async def find_misfits(db: Connection, sink: str, logs: Mapping[TopicPartition, Log]) -> list[Misfit]:
    """What of the positions of a sink in `kandle.offsets` does not fit, by topic.

    A topic's row is shared by all sinks of a database. So of one that was made again the positions of all of
    them are told.
    """
    try:
        cursor = await db.execute(
            "SELECT t.name, t.kafka_id, o.sink, o.partition, o.next_offset, o.updated FROM kandle.topics t "
            "LEFT JOIN kandle.offsets o ON o.topic_id = t.id WHERE t.retired IS NULL AND t.name = ANY(%s)",
            (sorted({tp.topic for tp in logs}),),
        )
    except psycopg.errors.UndefinedTable:  # nothing was ever stored there
        return []
    by_topic: dict[str, dict[int, Log]] = {}
    for tp, held in logs.items():
        by_topic.setdefault(tp.topic, {})[tp.partition] = held
    ids: dict[str, str] = {}
    found: dict[str, list[Misplaced]] = {}
    for name, kafka_id, owner, partition, offset, since in await cursor.fetchall():
        ids[name] = kafka_id
        if owner is not None:
            log = by_topic[name].get(partition)
            first, end = (log.first, log.end) if log else (None, None)
            found.setdefault(name, []).append(Misplaced(owner, partition, offset, first, end, since))
    misfits = []
    for name, stored_id in sorted(ids.items()):
        kafka_id = next(iter(by_topic[name].values())).kafka_id
        positions = sorted(found.get(name, []))
        if kafka_id == stored_id:
            positions = [p for p in positions if p.sink == sink and _is_lost(p)]
        if positions or kafka_id != stored_id:
            misfits.append(Misfit(name, stored_id, kafka_id, tuple(positions), by_topic[name]))
    return misfits


def _is_lost(position: Misplaced) -> bool:
    first, end = position.first, position.end
    return first is not None and end is not None and not first <= position.stored <= end


async def accept_misfits(db: Connection, misfits: Iterable[Misfit]) -> None:
    """Let the sinks go on at the first records of the logs; all of it in one transaction, or nothing.

    Raises:
        ConflictError: The positions are not what was shown.
    """
    async with db.transaction():
        for misfit in misfits:
            if misfit.replaced:
                await _retire(db, misfit)
            else:
                await _move(db, misfit)


async def _retire(db: Connection, misfit: Misfit) -> None:
    """The topic's row stays for what refers to it; the new topic gets one of its own, and the ids seen."""
    cursor = await db.execute(
        "UPDATE kandle.topics SET retired = clock_timestamp() "
        "WHERE name = %s AND kafka_id = %s AND retired IS NULL RETURNING id",
        (misfit.topic, misfit.stored_id),
    )
    old = await cursor.fetchone()
    if old is None:
        raise ConflictError(_CHANGED)
    cursor = await db.execute(
        "INSERT INTO kandle.topics (name, kafka_id) VALUES (%s, %s) RETURNING id",
        (misfit.topic, misfit.kafka_id),
    )
    new = await cursor.fetchone()
    assert new is not None
    async with db.cursor() as many:
        await many.executemany(
            "INSERT INTO kandle.offsets (sink, topic_id, partition, next_offset) VALUES (%s, %s, %s, %s)",
            [
                (sink, new[0], partition, log.first)
                for sink in sorted({position.sink for position in misfit.positions})
                for partition, log in sorted(misfit.logs.items())
            ],
        )
    await carry_ids(db, misfit.topic, old[0], new[0], sorted(misfit.logs))


async def _move(db: Connection, misfit: Misfit) -> None:
    for position in misfit.positions:
        key = (position.sink, misfit.topic, position.partition)
        cursor = await db.execute(
            "UPDATE kandle.offsets o SET next_offset = %s, updated = clock_timestamp() FROM kandle.topics t "
            "WHERE t.id = o.topic_id AND t.retired IS NULL AND o.sink = %s AND t.name = %s "
            "AND o.partition = %s AND o.next_offset = %s",
            (position.first, *key, position.stored),
        )
        if cursor.rowcount != 1:
            raise ConflictError(_CHANGED)
        # A mark is replaced by one of a higher offset only: those of a log that was cut would stay for ever.
        await db.execute(
            "DELETE FROM kandle.marks m USING kandle.topics t WHERE t.id = m.topic_id AND t.retired IS NULL "
            "AND m.sink = %s AND t.name = %s AND m.partition = %s AND m.kafka_offset >= %s",
            (*key, position.first),
        )
