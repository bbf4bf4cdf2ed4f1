"""One replay by command: source, topics of the prefix, isolated set, controls and display put together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from backtest.replay.control import Controls, listening
from backtest.replay.isolation import local_state
from backtest.replay.pace import MAX, Pace
from backtest.replay.plan import Plan
from backtest.replay.run import Outcome, Replay
from backtest.replay.source import Period, Source
from infra.embedded.directory_lock import DirectoryLock
from infra.settings import Settings
from kandle.replays.set import ReplaySet, running
from kandle.replays.view import ReplayView, keys
from kandle.times import format_time, parse_time
from kandle.up.database import Database
from kandle.up.tally import Tally
from schemas.namespace import Namespace
from schemas.topics import BY_BASE_NAME
from sinks.database import database_url


@dataclass(frozen=True, slots=True)
class Asked:
    """What a replay is asked to be.

    Attributes:
        into: Namespace of its topics.
        period: What of the source.
        topics: Base names of the input topics.
        symbols: What is wanted of them; None: all.
        speed: Seconds of event time a second.
        is_paused: Whether it begins in a pause.
        only_publish: Whether nothing computes and stores.
        notify: Whether notifications are sent.
        workers: Processes that compute.
    """

    into: Namespace
    period: Period
    topics: Collection[str]
    symbols: Collection[str] | None
    speed: float
    is_paused: bool
    only_publish: bool
    notify: bool
    workers: int


async def run_replay(asked: Asked, source: Source, settings: Settings, stop: asyncio.Event) -> dict[str, Any]:
    """Replay, and wait until what was published is processed and stored.

    Args:
        asked: What to do.
        source: Where the records come from.
        settings: In force; Kafka and, but for `only_publish`, the database that they name are used.
        stop: Set to end it in a state from which it can go on.

    Returns:
        What was done, for JSON; `complete` tells whether it came to its end.

    Raises:
        ConflictError: The prefix holds another replay.
        DirectoryLockedError: Another process replays into it.
        KandleError: Something is away, damaged or wrong.
    """
    began = time.monotonic()
    plan = Plan(source.identity, asked.period, asked.topics, asked.symbols)
    pace = Pace(asked.speed)
    if asked.is_paused:
        pace.pause()
    view = ReplayView(pace, await source.times(asked.period))
    replay = Replay(settings.kafka, source, plan, asked.into, pace, view.took)
    controls = Controls(pace, stop, view.state, parse_time)
    home = local_state(settings.data_dir, asked.into)
    stored: dict[str, int] | None = None
    async with AsyncExitStack() as stack:
        isolated = await _isolated(stack, asked, source, settings)
        if isolated is None:
            stack.enter_context(DirectoryLock(home))
        await stack.enter_async_context(listening(home, controls))
        display = asyncio.create_task(view.show())
        stack.push_async_callback(_ended, display)
        stack.enter_context(keys(controls, view, pace))
        outcome = await _published(replay, isolated, stop)
        is_done = outcome.is_complete
        if isolated is not None and is_done:
            view.notice("all published; waiting until it is processed and stored")
            is_done = await isolated.drain(plan.replay_id, stop)
            stored = await _stored(settings, asked.into)
    return _summary(asked, source, plan, outcome, stored, time.monotonic() - began) | {"complete": is_done}


async def _isolated(
    stack: AsyncExitStack, asked: Asked, source: Source, settings: Settings
) -> ReplaySet | None:
    if asked.only_publish:
        return None
    return await stack.enter_async_context(
        running(
            settings,
            asked.into,
            partitions=source.partition_count,
            fed=[BY_BASE_NAME[name] for name in asked.topics],
            workers=asked.workers,
            notify=asked.notify,
        )
    )


async def _published(replay: Replay, isolated: ReplaySet | None, stop: asyncio.Event) -> Outcome:
    """Publish; a process of the set that has died for good ends it."""
    if isolated is None:
        return await replay.run(stop)
    failure = asyncio.create_task(isolated.until_failure())
    work = asyncio.create_task(replay.run(stop))
    try:
        await asyncio.wait([failure, work], return_when=asyncio.FIRST_COMPLETED)
        if failure.done():
            stop.set()
            await work
            failure.result()
        return await work
    finally:
        await _ended(failure)
        await _ended(work)


async def _ended(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _stored(settings: Settings, namespace: Namespace) -> dict[str, int]:
    database = Database(database_url(settings.database), namespace)
    try:
        rows = (await Tally(database).stored()).rows
    finally:
        await database.close()
    return {namespace.base_name_of(name) or name: count for name, count in sorted(rows.items()) if count}


def _summary(
    asked: Asked,
    source: Source,
    plan: Plan,
    outcome: Outcome,
    stored: dict[str, int] | None,
    seconds: float,
) -> dict[str, Any]:
    since, until = asked.period.since, asked.period.until
    published = outcome.records.total()
    return {
        "prefix": asked.into.prefix,
        "replay_id": plan.replay_id,
        "source": source.identity,
        "from": None if since is None else format_time(since),
        "to": None if until is None else format_time(until),
        "speed": "max" if asked.speed == MAX else asked.speed,
        "records": {name: count for name, count in outcome.records.items() if count},
        "held_before": outcome.held,
        "seconds": round(seconds, 3),
        "records_per_s": round(published / outcome.seconds) if outcome.seconds else 0,
        "stored": stored,
    }
