"""Faust's transport over record batches: one Faust event for each fetched chunk of a partition.

A subclass of Faust's aiokafka driver, entered as `kandle` in the entry point group `faust.transports` and so
chosen by `broker="kandle://host:port"`. The topics named by `app.batched` arrive as chunks of raw record
batches; every other topic, the changelog above all, takes the stock path.

Acknowledgements stay Faust's own, but they decide nothing: where reading starts and what may be committed is
answered by `app.positions`, that is by the checkpoints. What Faust is told:

* `seek_to_committed`: the offset of the restored checkpoint, or the log's beginning; not the group's offset.
* `_new_offset`: the offset of the newest checkpoint that the broker has acknowledged.

The pins of faust-streaming, mode-streaming and aiokafka are exact; `tests/contract` names the private part
that an upgrade broke.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Collection, Coroutine, Iterator, Mapping
from typing import Any, Protocol, TypeVar

import aiokafka
from aiokafka.errors import KafkaError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from infra.kafka.raw_fetcher import Chunk, RawConsumer
from infra.kafka.reader import fetch_error
from infra.kafka.record_batches import CorruptLogError

FETCH_WAIT_MS = 100
"""A fetch that finds nothing holds up the next one to the same broker so long: a bound on latency."""
NOTHING_ACTIVE_PAUSE_S = 0.02
"""Between two looks whether a partition may be read; stock takes a second, and so does a start."""
HELD_BACK_WAIT_S = 0.01
"""To wait for records of other partitions while an agent works off those of one, which is not read meanwhile:
nobody ends that wait when the agent is done."""
PARTITION_FETCH_BYTES = 2 * 1024 * 1024

LOGGER = logging.getLogger("faust.kandle")
"""Faust's services report under their class's logger: ours shall be as quiet as Faust's own."""

R = TypeVar("R")


class Positions(Protocol):
    """Where the state of each batched topic partition stands."""

    def start(self, tp: TP) -> int | None:
        """The offset to read from next; None is the log's beginning."""

    def committable(self, tp: TP) -> int | None:
        """The offset of the newest acknowledged checkpoint; None if there is none."""

    def fail(self, error: BaseException) -> None:
        """End the worker in peace: it cannot go on for this reason."""


class ConsumerThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]
    """Faust's consumer thread around a consumer that hands over raw batches."""

    logger = LOGGER

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:
        app = self.app
        conf = app.conf
        self._assignor = app.assignor
        return RawConsumer(
            app.batched,
            **app.connection,
            client_id=conf.broker_client_id,
            group_id=conf.id,
            group_instance_id=conf.consumer_group_instance_id or None,
            partition_assignment_strategy=[self._assignor],
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_poll_records=conf.broker_max_poll_records,
            max_poll_interval_ms=int(conf.broker_max_poll_interval * 1000),
            max_partition_fetch_bytes=PARTITION_FETCH_BYTES,
            fetch_max_wait_ms=FETCH_WAIT_MS,
            request_timeout_ms=int(conf.broker_request_timeout * 1000),
            check_crcs=True,
            session_timeout_ms=int(conf.broker_session_timeout * 1000),
            rebalance_timeout_ms=int(conf.broker_rebalance_timeout * 1000),
            heartbeat_interval_ms=int(conf.broker_heartbeat_interval * 1000),
            metadata_max_age_ms=conf.consumer_metadata_max_age_ms,
            connections_max_idle_ms=conf.consumer_connections_max_idle_ms,
        )

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        # A commit serves the display of lag and nothing else: if it fails, the next one does it.
        consumer = self._ensure_consumer()
        assigned = self.assignment()
        owned = {driver.ensure_aiokafka_TP(tp): offset for tp, offset in offsets.items() if tp in assigned}
        try:
            await consumer.commit(owned)
        except KafkaError as error:
            LOGGER.info("offsets were not committed: %s", error)
            return False
        return True

    async def on_thread_stop(self) -> None:
        """Leave the group even as a static member: who stops in peace is not waited for."""
        coordinator = self._consumer._coordinator if self._consumer is not None else None
        if coordinator is not None:
            coordinator._group_instance_id = None
        await super().on_thread_stop()


class Consumer(driver.Consumer):  # type: ignore[misc]
    """Faust's consumer, with an event a chunk on the batched topics."""

    logger = LOGGER
    _lost = False
    """Whether a fetch has failed for good."""

    async def bounds(self, tps: Collection[TP]) -> dict[TP, tuple[int, int]]:
        """First offset and end offset of each partition's log."""
        consumer = self._thread._ensure_consumer()
        first, end = await asyncio.gather(
            self._beside_queue(consumer.beginning_offsets(tps)), self._beside_queue(consumer.end_offsets(tps))
        )
        return {tp: (first[tp], end[tp]) for tp in tps}

    async def go_to(self, offsets: Mapping[TP, int]) -> None:
        """Read on from these offsets."""
        await self._beside_queue(self._thread._seek_wait(self._thread._ensure_consumer(), offsets))

    def knows_generation(self, generation: int) -> bool:
        """Whether the coordinator still works in `generation`; it learns of a lost session first."""
        coordinator = self._thread._ensure_consumer()._coordinator
        return coordinator is not None and bool(coordinator.generation == generation)

    async def _beside_queue(self, work: Coroutine[Any, Any, R]) -> R:
        # Faust's own way into the consumer's thread is a queue in which a fetch may wait for a second.
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._thread.thread_loop))

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, ConsumerMessage]]:  # noqa: ASYNC109
        """Fetch once and yield what came; called by Faust's fetcher in a loop.

        What a rebalance overtakes is dropped: every rebalance is followed by a recovery, and that seeks.

        What comes next may be gone from the log, damaged or refused: then the worker is told to stop, and
        nothing is fetched any more.
        """
        if not self.flow_active:
            await self.wait(self.can_resume_flow)
        if self._lost:
            await asyncio.sleep(NOTHING_ACTIVE_PAUSE_S)
            return
        active = set(self._get_active_partitions())
        if not active:
            await asyncio.sleep(NOTHING_ACTIVE_PAUSE_S)
            return
        if self._buffered_partitions:
            timeout = min(timeout, HELD_BACK_WAIT_S)
        try:
            records = await self._getmany(active_partitions=active, timeout=timeout)
        except (KafkaError, CorruptLogError) as error:
            # Raised in here it would crash Faust in the middle of its work: the worker is to stop in peace.
            self._lost = True
            self.app.positions.fail(fetch_error(error) if isinstance(error, KafkaError) else error)
            return
        # Read after the wait: a rebalance may have passed in it, and what was fetched since must not be lost.
        generation = self.app.consumer_generation_id
        if self.should_stop or not self.flow_active:
            # What was fetched is dropped. To seek here would be wrong: a rebalance is on its way.
            return
        # The end of the chain goes first: what stands there was derived of what the others still hold.
        ranks = {topic: rank for rank, topic in enumerate(self.app.batched)}
        for tp, items in sorted(records.items(), key=lambda entry: -ranks.get(entry[0].topic, -1)):
            if tp not in active and tp not in self._buffered_partitions:
                continue
            self.app.monitor.track_tp_end_offset(tp, self.highwater(tp))
            for item in items:
                if not self.flow_active or self.app.consumer_generation_id != generation:
                    return
                if isinstance(item, Chunk):
                    yield tp, self._to_chunk_message(tp, item, generation)
                else:
                    yield tp, self._to_message(tp, item)

    def _to_chunk_message(self, tp: TP, chunk: Chunk, generation: int) -> ConsumerMessage:
        # Without generation_id a stream drops the message, and says nothing.
        return ConsumerMessage(
            topic=tp.topic,
            partition=tp.partition,
            offset=chunk.next_offset - 1,
            timestamp=0.0,
            timestamp_type=0,
            headers=[],
            key=None,
            value=chunk,
            checksum=None,
            serialized_key_size=0,
            serialized_value_size=0,
            tp=tp,
            generation_id=generation,
        )

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Seek every batched partition to where its state stands; the changelog's are left alone."""
        starts = {
            tp: self.app.positions.start(tp) for tp in self.assignment() if tp.topic in self.app.batched
        }
        unknown = [tp for tp, offset in starts.items() if offset is None]
        bounds = await self.bounds(unknown) if unknown else {}
        found = {tp: bounds[tp][0] if offset is None else offset for tp, offset in starts.items()}
        if found:
            await self.go_to(found)
        return found

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        # A checkpoint may come long after the last acknowledgement, and after a revocation emptied the list.
        yield from (
            tp for tp in super()._filter_tps_with_pending_acks(topics) if tp.topic not in self.app.batched
        )
        for tp in self.assignment():
            if tp.topic in self.app.batched and (topics is None or tp in topics or tp.topic in topics):
                yield tp

    def _new_offset(self, tp: TP) -> int | None:
        if tp.topic not in self.app.batched:
            offset: int | None = super()._new_offset(tp)
            return offset
        self._acked[tp].clear()
        self._acked_index[tp].clear()
        committable: int | None = self.app.positions.committable(tp)
        return committable

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        # Holes between chunks are nothing to account for: acknowledgements do not decide what is committed.
        if tp.topic not in self.app.batched:
            await super()._add_gap(tp, offset_from, offset_to)


class Producer(driver.Producer):  # type: ignore[misc]
    """Faust's producer, connected by our settings; used to declare topics only."""

    logger = LOGGER

    def _settings_auth(self) -> Mapping[str, Any]:
        connection: Mapping[str, Any] = self.app.connection
        return connection


class Transport(driver.Transport):  # type: ignore[misc]
    """The transport behind `kandle://`."""

    Consumer = Consumer
    Producer = Producer
    driver_version = f"kandle over {driver.Transport.driver_version}"
