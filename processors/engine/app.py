"""The Faust application: built from the settings, with our transport, our checkpoint table and the agents.

Nothing here runs at import and nothing is global: `build` returns a worker, `stage` runs it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import quote

import faust
from faust.tables.manager import TableManager
from faust.types import TP

from infra.kafka.connection import aiokafka_config
from infra.logging import get_logger
from infra.settings import Settings
from processors.engine.checkpoint_table import CHANGELOG_CONFIG, TABLE_NAME, CheckpointTable, changelog_topic
from processors.engine.partitions import Partitions, run
from processors.engine.transport import LOGGER
from schemas.errors import UnavailableError
from schemas.namespace import current
from schemas.topics import Topic

log = get_logger(__name__)

CHUNKS_BUFFERED = 8
"""Chunks that wait for an agent, and that one fetch may bring: megabytes each, where stock counts records."""
COMMIT_INTERVAL_S = 1.0
REQUEST_TIMEOUT_S = 40.0
SETTLE_TIMEOUT_S = 20.0
"""What a revocation waits for the last checkpoint; without it the next owner reads a little more again."""


def group_of(settings: Settings) -> str:
    """The consumer group of the workers, which is the application's id."""
    return current().name_of(settings.processors.app_id)


def changelog(settings: Settings) -> Topic:
    """The changelog of the checkpoints, to be created with the other topics."""
    return Topic(
        base_name=changelog_topic(settings.processors.app_id),
        records=(),
        key="topic/partition/kind/name",
        cleanup="compact",
        dead_letters=False,
        config=CHANGELOG_CONFIG,
    )


class Tables(TableManager):  # type: ignore[misc]
    """Faust's table manager without its second of waiting for modules to be imported."""

    logger = LOGGER

    async def on_start(self) -> None:
        """Called once the agents run."""
        await self._update_channels()
        await self.recovery.start()


class ChunkSchema(faust.Schema):  # type: ignore[misc]
    """Passes a chunk from the message to the event as it is."""

    def compile(
        self,
        app: Any,
        *,
        on_key_decode_error: Any,
        on_value_decode_error: Any,
        default_propagate: bool = False,
    ) -> Any:
        """The decoder of a topic's messages."""
        create_event = app.create_event

        async def decode(message: Any, *, propagate: bool = default_propagate) -> Any:
            return create_event(None, message.value, message.headers, message)

        return decode


class App(faust.App):  # type: ignore[misc]
    """A Faust application whose positions are the checkpoints'.

    Attributes:
        batched: Topics that arrive as chunks, in the order in which records pass the steps; read by the
            transport.
        connection: Arguments for aiokafka's clients; read by the transport.
        positions: Where reading starts and what may be committed; read by the transport.
    """

    logger = LOGGER
    batched: tuple[str, ...] = ()
    connection: Mapping[str, Any] = {}
    positions: Worker

    async def _consumer_wait_empty(self, consumer: Any, logger: Any) -> None:
        # Called when partitions are revoked and when the application stops: the agents rest, and no other
        # worker has the partitions yet.
        await super()._consumer_wait_empty(consumer, logger)
        await self.positions.settle()
        await consumer.commit()


class Worker:
    """A Faust application with its steps; also what the transport and the partitions ask about each other.

    Attributes:
        app: The application, not started.
        failure: Set to the error that ends the worker.
    """

    def __init__(self, app: App, table: CheckpointTable) -> None:
        self.app = app
        self.failure: asyncio.Future[BaseException] | None = None
        self.parts: dict[str, Partitions[Any]] = {}
        self._table = table
        table.on_recover(self._recovered)

    @property
    def generation(self) -> int:
        """Generation of the consumer group that the application works in."""
        found: int = self.app.consumer_generation_id
        return found

    def is_current(self, tp: TP, generation: int) -> bool:
        """Whether `tp` is ours in this generation, as far as this process knows."""
        return (
            generation == self.generation
            and self.app.consumer.knows_generation(generation)
            and self.app._assignment is not None
            and tp in self.app._assignment
        )

    async def bounds(self, tps: set[TP]) -> Mapping[TP, tuple[int, int]]:
        """First offset and end offset of each partition's log."""
        found: Mapping[TP, tuple[int, int]] = await self.app.consumer.bounds(tps)
        return found

    async def seek(self, tp: TP, offset: int) -> None:
        """Read on from another offset."""
        await self.app.consumer.go_to({tp: offset})

    def start(self, tp: TP) -> int | None:
        """See `transport.Positions`."""
        held = self.parts[tp.topic].held.get(tp)
        return None if held is None else held.position

    def committable(self, tp: TP) -> int | None:
        """See `transport.Positions`."""
        held = self.parts[tp.topic].held.get(tp)
        return None if held is None else held.committable

    def add(self, partitions: Partitions[Any]) -> None:
        """Let an agent fold the topic of a step."""
        step = partitions.step
        self.parts[step.topic] = partitions
        self.app.batched = tuple(self.parts)
        topic = self.app.topic(step.topic, schema=ChunkSchema(), internal=False)

        async def agent(stream: Any) -> None:
            await run(partitions, stream.events(), self.fail)

        self.app.agent(topic, name=step.name)(agent)

    def fail(self, error: BaseException) -> None:
        """End the worker; the first error is the one that is told."""
        if self.failure is not None and not self.failure.done():
            self.failure.set_result(error)

    async def settle(self) -> None:
        """Write a last checkpoint of everything and let go of it."""
        try:
            async with asyncio.timeout(SETTLE_TIMEOUT_S):
                for partitions in self.parts.values():
                    await partitions.checkpoint()
        except TimeoutError:
            self.fail(UnavailableError(f"Kafka did not take a checkpoint within {SETTLE_TIMEOUT_S:.0f} s"))
        except Exception as error:
            self.fail(error)

    async def _recovered(self) -> None:
        # Called by Faust after the table was recovered and before it seeks; errors would be lost in there.
        try:
            self._check_recovered()
            store = self._table.store
            generation = self.generation
            assigned = {tp for tp in self.app.consumer.assignment() if tp.topic in self.parts}
            bounds = await self.bounds(assigned) if assigned else {}
            for topic, partitions in self.parts.items():
                own = {tp: found for tp, found in bounds.items() if tp.topic == topic}
                partitions.restore(own, generation, store.take)
            log.info("ready", partitions=len(bounds), restored=self._restored())
        except Exception as error:
            self.fail(error)

    def _restored(self) -> int:
        held = [each for partitions in self.parts.values() for each in partitions.held.values()]
        return sum(each.committable is not None for each in held)

    def _check_recovered(self) -> None:
        applied = self._table.store.applied
        for tp, last in self.app.tables.recovery.active_highwaters.items():
            if applied.get(tp.partition, -1) < last:
                raise UnavailableError(
                    f"the checkpoints of {tp.topic} partition {tp.partition} were read up to offset "
                    f"{applied.get(tp.partition, -1)} of {last}; start again"
                )


def build(settings: Settings, steps: Iterable[Callable[[Worker], Partitions[Any]]]) -> Worker:
    """The worker of these settings, not started.

    Args:
        settings: All settings.
        steps: Each makes the partitions of one step, given the worker.

    Raises:
        ConfigurationError: No Kafka is configured.
    """
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    connection = aiokafka_config(settings.kafka)
    kafka, processors = settings.kafka, settings.processors
    instance = processors.instance_id
    first_server = connection["bootstrap_servers"].split(",")[0].strip()
    app = App(
        group_of(settings),
        broker=f"kandle://{first_server}",
        web_enabled=False,
        canonical_url=f"http://{quote(instance or settings.run_id, safe='')}",
        consumer_group_instance_id=instance or "",
        topic_partitions=kafka.partitions,
        topic_replication_factor=kafka.replication_factor,
        topic_disable_leader=True,
        table_standby_replicas=0,
        stream_wait_empty=True,
        stream_buffer_maxsize=CHUNKS_BUFFERED,
        broker_max_poll_records=CHUNKS_BUFFERED,
        broker_session_timeout=kafka.session_timeout_ms / 1000,
        broker_heartbeat_interval=kafka.heartbeat_interval_ms / 1000,
        broker_rebalance_timeout=kafka.session_timeout_ms / 1000,
        broker_request_timeout=max(REQUEST_TIMEOUT_S, kafka.session_timeout_ms / 1000 + 10),
        broker_commit_interval=COMMIT_INTERVAL_S,
        producer_acks=-1,
        TableManager=Tables,
        Table=CheckpointTable,
        store="memory://",
        # Faust makes it, though nothing is kept there; it reads braces as names of its settings.
        datadir=str(settings.data_dir / "faust").replace("{", "{{").replace("}", "}}"),
    )
    app.connection = connection
    table = app.Table(
        TABLE_NAME,
        key_type=bytes,
        value_type=bytes,
        partitions=kafka.partitions,
        extra_topic_configs=CHANGELOG_CONFIG,
    )
    worker = Worker(app, table)
    app.positions = worker
    for make in steps:
        worker.add(make(worker))
    return worker
