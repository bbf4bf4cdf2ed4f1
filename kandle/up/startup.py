"""The start of a run: servers, topics, tables and stages, each as soon as what it needs is ready."""

import asyncio
from collections.abc import Awaitable

from pydantic import SecretStr

from infra.embedded.child import ChildSpec
from infra.embedded.disk import MIB
from infra.embedded.endpoints import KafkaEndpoint, PostgresEndpoint
from infra.embedded.kafka import KafkaServer
from infra.embedded.postgres import PostgresServer
from infra.embedded.progress import TerminalProgress
from infra.embedded.supervisor import Supervisor
from infra.kafka.admin import Admin
from infra.settings import DatabaseSettings, KafkaSettings, Settings
from kandle.up.prometheus_targets import write_targets
from kandle.up.screen import Screen
from kandle.up.stage_specs import StageSpecs, produced_file
from sinks.migrator import migrate


async def start_servers(settings: Settings, supervisor: Supervisor, screen: Screen) -> Settings:
    """Kafka with its topics and PostgreSQL with its tables, side by side; those that are configured are used.

    Returns:
        The settings, with both filled in.

    Raises:
        KandleError: One of them cannot be started, reached or prepared.
    """
    kafka, database = settings.kafka, settings.database

    async def with_topics() -> KafkaSettings:
        found = kafka if kafka.bootstrap_servers else await _start_kafka(settings, supervisor, screen)
        with screen.step("topics"):
            await asyncio.to_thread(Admin(found).ensure_topics)
        return found

    async def with_tables() -> DatabaseSettings:
        found = database if database.url else await _start_postgres(settings, supervisor, screen)
        assert found.url is not None
        with screen.step("tables"):
            await asyncio.to_thread(migrate, found.url.get_secret_value())
        return found

    if kafka.bootstrap_servers:
        screen.say(f"using Kafka at {kafka.bootstrap_servers}")
    topics, tables = asyncio.create_task(with_topics()), asyncio.create_task(with_tables())
    await together(topics, tables)
    return settings.model_copy(update={"kafka": topics.result(), "database": tables.result()})


async def _start_kafka(settings: Settings, supervisor: Supervisor, screen: Screen) -> KafkaSettings:
    with screen.step("kafka"):
        server = await asyncio.to_thread(
            KafkaServer.prepare,
            settings.data_dir,
            budget_bytes=settings.disk_budget_mb * MIB // 2,
            progress=TerminalProgress(),
        )
        await supervisor.start(server.spec)
        supervisor.publish(kafka=KafkaEndpoint(bootstrap_servers=server.bootstrap_servers))
    return settings.kafka.model_copy(update={"bootstrap_servers": server.bootstrap_servers})


async def _start_postgres(settings: Settings, supervisor: Supervisor, screen: Screen) -> DatabaseSettings:
    with screen.step("postgres"):
        server = await asyncio.to_thread(PostgresServer.prepare, settings.data_dir)
        await supervisor.start(server.spec)
        supervisor.publish(postgres=PostgresEndpoint(dsn=server.dsn))
    return settings.database.model_copy(update={"url": SecretStr(server.dsn)})


async def start_stages(
    specs: StageSpecs, supervisor: Supervisor, screen: Screen, *, simulated: bool, serve: bool
) -> None:
    """Start the stages, what reads before what writes: no start-up time gets into the latencies.

    Args:
        specs: How each is run.
        supervisor: Runs them.
        screen: Told of each that is ready.
        simulated: Whether the simulator of a venue is needed.
        serve: Whether the page and the API are served.

    Raises:
        KandleError: A stage did not become ready.
    """
    early = [specs.process(), specs.sink(), *([specs.simulate()] if simulated else [])]
    early += [specs.serve()] if serve else []
    produce = specs.produce()
    write_targets(supervisor.data_dir, {spec.name: spec.metrics_port for spec in (*early, produce)})
    await together(*(_start(spec, supervisor, screen) for spec in early))
    produced_file(supervisor.data_dir).unlink(missing_ok=True)
    await _start(produce, supervisor, screen)


async def _start(spec: ChildSpec, supervisor: Supervisor, screen: Screen) -> None:
    with screen.step(spec.name):
        await supervisor.start(spec)


async def together(*starts: Awaitable[object]) -> None:
    """Run starts side by side; the first failure is raised as it is, after the others were cancelled."""
    try:
        async with asyncio.TaskGroup() as group:
            for start in starts:
                group.create_task(_awaited(start))
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None


async def _awaited(start: Awaitable[object]) -> None:
    await start
