"""Going on where a log does not bear out what a sink has stored: what is given up, shown and accepted."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TypeAlias

import psycopg
from aiokafka import TopicPartition

from infra.kafka.admin import Admin
from infra.kafka.dead_letters import DeadLetters
from infra.kafka.publisher import Publisher
from infra.settings import Settings
from kandle.audit import Change, audit
from kandle.servers import reach_kafka, reach_servers
from schemas.errors import ConfigurationError, ConflictError, UnavailableError
from schemas.topics import name_here
from sinks.database import Database
from sinks.destination import Destination, Log
from sinks.intake import group_of
from sinks.misfits import Misfit, sinks_of
from sinks.registry import OUTSIDE, Parts, make

Confirm: TypeAlias = Callable[[Sequence[Misfit]], bool]
"""Is given what does not fit, perhaps nothing; says whether to accept it."""


def accept(settings: Settings, sinks: Sequence[str], topics: Sequence[str], confirm: Confirm) -> bool:
    """Find what does not fit, ask, accept it, and record that; blocks.

    Args:
        settings: Where Kafka and the database are, and which sinks there are.
        sinks: Names; without any, those of the settings.
        topics: Names; without any, all that these sinks read.
        confirm: Asks.

    Returns:
        Whether anything was accepted.

    Raises:
        ConflictError: A sink whose positions would change is at work, or they have moved.
        ConfigurationError: A sink is unknown, or none of them reads a topic of this name.
        UnavailableError: Kafka or the database is away.
    """
    names = list(sinks) or settings.sink.run
    with ExitStack() as stack:
        if set(names) - OUTSIDE:
            settings = stack.enter_context(reach_servers(settings))
        else:
            reached = stack.enter_context(reach_kafka(settings))
            settings = settings.model_copy(update={"kafka": reached.kafka})
        try:
            misfits = asyncio.run(_accept(settings, names, set(map(name_here, topics)), confirm))
        except psycopg.OperationalError as error:
            raise UnavailableError(f"the database does not answer: {error}") from error
        audit(settings.kafka, *map(_change, misfits))
    return bool(misfits)


async def _accept(
    settings: Settings, names: Sequence[str], topics: set[str], confirm: Confirm
) -> list[Misfit]:
    admin = Admin(settings.kafka)
    publisher = Publisher(settings.kafka, client_id="kandle-sink-accept")
    database = Database(settings.database)
    destinations: list[Destination] = []
    try:
        destinations += make(names, Parts(settings, database, publisher, DeadLetters(publisher, "sink")))
        _check_topics(destinations, topics)
        found: list[tuple[Destination, list[Misfit]]] = []
        told: list[Misfit] = []
        for destination in destinations:
            # Sinks of one database share the row of a topic: what one of them has told is not told again.
            misfits = await destination.misfits(_logs(admin, destination, topics))
            fresh = [misfit for misfit in misfits if misfit not in told]
            told += fresh
            found.append((destination, fresh))
        if not confirm(told) or not told:
            return []
        _refuse_live(admin, {*sinks_of(told), *(to.name for to, several in found if several)})
        for destination, several in found:
            if several:
                await destination.accept(several)
        return told
    finally:
        for destination in destinations:
            await destination.close()
        await database.close()
        await publisher.close()


def _check_topics(destinations: Sequence[Destination], topics: set[str]) -> None:
    read = {topic.name for destination in destinations for topic in destination.topics}
    if unknown := sorted(topics - read):
        raise ConfigurationError(f"these sinks read {', '.join(sorted(read))}; not {', '.join(unknown)}")


def _logs(admin: Admin, destination: Destination, topics: set[str]) -> dict[TopicPartition, Log]:
    counts = admin.partition_counts()
    wanted = [
        topic.name
        for topic in destination.topics
        if topic.name in counts and (not topics or topic.name in topics)
    ]
    ids = admin.topic_ids(wanted) if wanted else {}
    ranges = admin.log_ranges([(name, number) for name in wanted for number in range(counts[name])])
    return {
        TopicPartition(name, number): Log(ids[name], *bounds) for (name, number), bounds in ranges.items()
    }


def _refuse_live(admin: Admin, names: set[str]) -> None:
    for name in sorted(names):
        if live := admin.members(group_of(name)):
            raise ConflictError(
                f"{live} of the sink {name} are at work, or were until now: stop them first. One that was "
                "killed leaves its group when its session has ended (KANDLE_KAFKA__SESSION_TIMEOUT_MS)"
            )


def _change(misfit: Misfit) -> Change:
    return Change(
        "sink accept",
        misfit.topic,
        {
            "topic_id": misfit.stored_id,
            "positions": [
                {"sink": p.sink, "partition": p.partition, "next_offset": p.stored} for p in misfit.positions
            ],
        },
        {
            "topic_id": misfit.kafka_id,
            "positions": [
                {"sink": p.sink, "partition": p.partition, "next_offset": p.first} for p in misfit.positions
            ],
        },
    )
