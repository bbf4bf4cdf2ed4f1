"""The sink stage: the chosen sinks in one process, until told to stop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Sequence
from typing import Final

from infra.backoff import FullJitter
from infra.kafka.dead_letters import DeadLetters
from infra.kafka.publisher import Publisher
from infra.logging import get_logger
from infra.probes import READINESS
from infra.settings import Settings
from schemas.errors import KandleError, UnavailableError
from sinks.database import Database, database_url
from sinks.database_destination import DatabaseDestination
from sinks.database_watch import CHECK, watch_database
from sinks.migrator import migrate
from sinks.registry import Parts, make
from sinks.runner import Runner

STAGE: Final = "sink"
FAILED_CLOSE_S: Final = 2.0

log = get_logger(__name__)


async def run(settings: Settings, stop: asyncio.Event, only: Sequence[str] | None = None) -> None:
    """Migrate the database, then feed the sinks until `stop` is set.

    Args:
        settings: Where everything is.
        stop: Set it for a clean end: what is under way is finished (10 s at most), the groups are left.
        only: Names of the sinks to run, instead of those of the settings.

    Raises:
        ConfigurationError: A name is unknown, no Kafka or no database is configured.
        KandleError: A sink cannot go on; nothing was skipped.
    """
    publisher = Publisher(settings.kafka, client_id="kandle-sink")
    dead_letters = DeadLetters(publisher, STAGE)
    database = Database(settings.database)
    try:
        names = settings.sink.run if only is None else only
        destinations = make(names, Parts(settings, database, publisher, dead_letters))
        # An archive, or a cache, needs no database.
        stored = any(isinstance(each, DatabaseDestination) for each in destinations)
        if not stored or await _migrated(settings, stop):
            runners = [Runner(settings, each, dead_letters).run(stop) for each in destinations]
            beside = [each.serve() for each in destinations]
            if stored:
                beside.append(watch_database(settings.database, READINESS))
            await _run_all(runners, beside)
    except BaseException:
        # What stopped us is the error to tell, not what closing makes of it.
        with contextlib.suppress(KandleError):
            await publisher.close(FAILED_CLOSE_S)
        raise
    finally:
        await database.close()
    await publisher.close()


async def _run_all(
    runners: Sequence[Coroutine[None, None, None]], beside: Sequence[Coroutine[None, None, None]]
) -> None:
    """Run until all runners have ended, or anything fails: that stops the others, and its error is raised."""
    main = [asyncio.create_task(runner) for runner in runners]
    rest = [asyncio.create_task(work) for work in beside]
    try:
        left = set(main)
        while left:
            done, _ = await asyncio.wait({*left, *rest}, return_when=asyncio.FIRST_COMPLETED)
            left -= done
            rest = [task for task in rest if task not in done]
            for task in done:
                task.result()
    finally:
        for task in (*main, *rest):
            task.cancel()
        await asyncio.gather(*main, *rest, return_exceptions=True)


async def _migrated(settings: Settings, stop: asyncio.Event) -> bool:
    """Bring the database up to date, waiting for it; false if told to stop before."""
    backoff = FullJitter(0.2, 5.0)
    url, timeout_s = database_url(settings.database), settings.database.connect_timeout_s
    while not stop.is_set():
        try:
            await asyncio.to_thread(migrate, url, connect_timeout_s=timeout_s)
        except UnavailableError as error:
            delay_s = backoff.next_delay_s()
            say = log.warning if backoff.attempts == 1 else log.info
            say("the database is away and is tried again", error=str(error), attempt=backoff.attempts)
            READINESS.set(CHECK, "PostgreSQL does not answer, see the log")
            await asyncio.sleep(delay_s)
        else:
            return True
    return False
