"""An isolated set of workers and sinks: those of a namespace, as processes under this one.

They are the commands that a user would type, `kandle process` and `kandle sink`, with KANDLE_NAMESPACE in
their environment: topics, groups, tables and locks are their own (see `schemas.namespace`), the code and all
other settings are those of the live run. Only the sink of the database runs; notifications if asked for.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import os
import sys
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from backtest.replay.isolation import local_state, make
from infra.embedded.child import ChildSpec
from infra.embedded.ports import free_ports
from infra.embedded.supervisor import Supervisor
from infra.kafka.admin import Admin
from infra.settings import Settings
from kandle.up.database import Database
from kandle.up.scrape import says_ready
from kandle.up.stage_specs import WRONG_SETTINGS
from kandle.up.tally import NOTIFICATIONS, TIMESCALE, Stream, Tally, expected_streams
from kandle.workers import STOP_TIMEOUT_S
from schemas.namespace import Namespace
from schemas.topics import Topic
from sinks.database import database_url
from sinks.migrator import migrate

LOOK_EVERY_S: Final = 0.2
SESSION_TIMEOUT_MS: Final = 10_000
"""A replay has nobody to spare: who died is to be missed soon. Brokers take 6 s at the least."""


class ReplaySet:
    """The running processes of a namespace; made by `running`.

    Args:
        supervisor: Runs them.
        tally: Reads the namespace's tables.
        expected: What must have drained.
        partitions: Of every keyed topic.
        since: When the set was started, by the clock of the database.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        tally: Tally,
        expected: Collection[Stream],
        partitions: int,
        since: datetime.datetime,
    ) -> None:
        self._supervisor = supervisor
        self._tally = tally
        self._expected = expected
        self._partitions = partitions
        self._since = since

    async def until_failure(self) -> None:
        """Wait until a process has died too often; watch it while records are published.

        Raises:
            ChildFailedError: That has happened.
        """
        await self._supervisor.until_failure()

    async def has_drained(self, replay_id: str) -> bool:
        """Whether all that a replay has published is processed and stored: its closing marks came through."""
        return await self._tally.drained(replay_id, self._expected, self._partitions, self._since)

    async def drain(self, replay_id: str, stop: asyncio.Event) -> bool:
        """Wait until a replay that was published to its end is processed and stored.

        Args:
            replay_id: The instance that its closing marks name.
            stop: Set it to wait no longer.

        Returns:
            False if `stop` was set before.

        Raises:
            ChildFailedError: A process has died too often.
            UnavailableError: The database stays away.
        """
        failure = asyncio.create_task(self.until_failure())
        try:
            while not stop.is_set():
                if failure.done():
                    failure.result()
                if await self.has_drained(replay_id):
                    return True
                await asyncio.wait([failure], timeout=LOOK_EVERY_S)
            return False
        finally:
            failure.cancel()
            await asyncio.gather(failure, return_exceptions=True)


@asynccontextmanager
async def running(
    settings: Settings,
    namespace: Namespace,
    *,
    partitions: int,
    fed: Collection[Topic],
    workers: int = 1,
    notify: bool = False,
) -> AsyncIterator[ReplaySet]:
    """Make the topics and tables of a namespace and run its set until the block ends.

    The topics that are published into must be of the same partition count. Enter it from the main thread:
    the children end with the thread that started them. Their logs lie in the namespace's folder of the data
    directory, which one process at a time uses.

    Args:
        settings: In force; Kafka and the database that they name are used.
        namespace: Of the set.
        partitions: Of every keyed topic of the namespace.
        fed: The topics that will be published.
        workers: Processes that compute.
        notify: Whether notifications are sent.

    Raises:
        ConfigurationError: No database is configured; topics of another partition count are there.
        ConflictError: The tables cannot be made.
        DirectoryLockedError: Another process runs this namespace.
        ChildFailedError: A process does not start.
    """
    url = database_url(settings.database)
    kafka = settings.kafka.model_copy(update={"partitions": partitions})
    home = local_state(settings.data_dir, namespace)
    async with contextlib.AsyncExitStack() as stack:
        supervisor = await stack.enter_async_context(Supervisor(home))
        await asyncio.gather(
            asyncio.to_thread(make, Admin(kafka), namespace),
            asyncio.to_thread(migrate, url, namespace=namespace),
        )
        database = Database(url, namespace)
        stack.push_async_callback(database.close)
        tally = Tally(database)
        since = await tally.now()
        common = _environment(settings, namespace, home, partitions)
        sinks = [TIMESCALE, NOTIFICATIONS] if notify else [TIMESCALE]
        ports = free_ports(workers + 1)
        specs = [
            *(_worker(common, number, port) for number, port in enumerate(ports[:-1])),
            _sink(common, sinks, ports[-1]),
        ]
        await asyncio.gather(*(supervisor.start(spec) for spec in specs))
        of_its_own = settings.model_copy(update={"sink": settings.sink.model_copy(update={"run": sinks})})
        expected = [
            Stream(each.sink, each.topic.in_namespace(namespace), each.branch)
            for each in expected_streams(of_its_own, fed)
        ]
        yield ReplaySet(supervisor, tally, expected, partitions, since)


def _environment(settings: Settings, namespace: Namespace, home: Path, partitions: int) -> dict[str, str]:
    url = settings.database.url
    timeout_ms = min(SESSION_TIMEOUT_MS, settings.kafka.session_timeout_ms)
    given: dict[str, Any] = {
        "KANDLE_NAMESPACE": namespace.prefix,
        "KAFKA_BOOTSTRAP_SERVERS": settings.kafka.bootstrap_servers,
        "KANDLE_KAFKA__PARTITIONS": partitions,
        "KANDLE_KAFKA__SESSION_TIMEOUT_MS": timeout_ms,
        "KANDLE_KAFKA__HEARTBEAT_INTERVAL_MS": min(settings.kafka.heartbeat_interval_ms, timeout_ms // 3),
        "DATABASE_URL": url.get_secret_value() if url else None,
        "KANDLE_RUN_ID": settings.run_id,
        "KANDLE_DATA_DIR": home.resolve(),
    }
    inherited = {name: value for name, value in os.environ.items() if name != "KANDLE_SINK__INSTANCE_ID"}
    return {**inherited, **{name: str(value) for name, value in given.items() if value is not None}}


def _worker(common: dict[str, str], number: int, port: int) -> ChildSpec:
    own = {"KANDLE_PROCESSORS__INSTANCE_ID": f"worker-{number}"}
    return _spec(f"process-{number}", "process", {**common, **own}, port)


def _sink(common: dict[str, str], sinks: list[str], port: int) -> ChildSpec:
    # Without a stable name it leaves its group as it stops, and the namespace can be dropped at once.
    own = {"KANDLE_SINK__RUN": ",".join(sinks)}
    return _spec("sink", "sink", {**common, **own}, port)


def _spec(name: str, stage: str, environment: dict[str, str], port: int) -> ChildSpec:
    return ChildSpec(
        name=name,
        argv=(sys.executable, "-m", "kandle", stage),
        environment={**environment, "KANDLE_METRICS__PORT": str(port)},
        fatal_codes=WRONG_SETTINGS,
        stop_timeout_s=STOP_TIMEOUT_S,
        ready=_is_ready(port),
        metrics_port=port,
    )


def _is_ready(port: int) -> Callable[[], bool]:
    return lambda: says_ready(port)
