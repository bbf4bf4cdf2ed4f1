"""Consuming topics as record batches, in a group, from positions that the caller decides."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import (
    CommitFailedError,
    CorruptRecordException,
    IllegalStateError,
    KafkaError,
    OffsetOutOfRangeError,
    RebalanceInProgressError,
    RecordTooLargeError,
    UnknownMemberIdError,
)

from infra.kafka.connection import aiokafka_config
from infra.kafka.raw_fetcher import Chunk, RawConsumer
from infra.kafka.record_batches import CorruptLogError, RecordBatch
from infra.logging import get_logger
from infra.settings import KafkaSettings
from schemas.errors import ConflictError, KandleError, UnavailableError

Assigned: TypeAlias = Callable[[set[TopicPartition]], Awaitable[Mapping[TopicPartition, int]]]
Revoked: TypeAlias = Callable[[set[TopicPartition]], Awaitable[None]]

PARTITION_BYTES = 2 * 1024 * 1024
REQUEST_TIMEOUT_MS = 25_000
"""A broker that has not answered by then is asked anew over another connection: the link may be half open."""
FETCH_WAIT_MS = 100
"""A fetch that finds nothing holds up the next one to the same broker so long: a bound on latency."""

log = get_logger(__name__)

__all__ = ["BatchReader", "Fetched", "PositionGoneError", "TopicPartition", "fetch_error"]


class PositionGoneError(ConflictError):
    """The log does not hold the offset that was to be read: it begins later, or ends before.

    Attributes:
        positions: The offsets asked for.
    """

    code = "POSITION_GONE"

    def __init__(self, positions: Mapping[TopicPartition, int]) -> None:
        self.positions = dict(positions)
        asked = ", ".join(f"{tp.topic}/{tp.partition} at {offset}" for tp, offset in self.positions.items())
        super().__init__(
            f"the log no longer holds what is to be read: {asked}. Records were deleted before they were "
            "read (raise the topic's retention), or the topic was cut or made again"
        )


def fetch_error(error: KafkaError) -> KandleError:
    """What an error of aiokafka's fetch means for who reads a log."""
    if isinstance(error, OffsetOutOfRangeError):
        return PositionGoneError(error.args[0])
    if isinstance(error, (CorruptRecordException, RecordTooLargeError)):
        # Said of a length that leads beyond the answer; aiokafka would step over the record.
        return CorruptLogError(f"the broker's answer holds no whole record batch: {error}")
    return UnavailableError(f"Kafka refuses a fetch: {error!r}")


@dataclass(frozen=True, slots=True)
class Fetched:
    """What one fetch brought of one partition.

    Attributes:
        tp: Topic and partition.
        batches: Whole record batches; the first may begin before the position.
        end_offset: The offset after the last record of the log, as of this fetch.
    """

    tp: TopicPartition
    batches: list[RecordBatch]
    end_offset: int


class BatchReader:
    """A member of a consumer group that reads record batches.

    The group assigns partitions; where each is read from is said by `on_assigned`, or later by `seek`: until
    then the partition is held back. Committed offsets decide nothing. Membership is kept by a task of its
    own, so that a caller may be slow. Beyond what was returned, fetched bytes are bounded by 2 MB a
    partition. Of transactions only what was committed is read.

    Args:
        settings: Where Kafka is, and the session's timeouts.
        topics: Names of the topics.
        group: Consumer group.
        instance_id: Stable member id: a killed process that comes back gets its partitions at once.
        on_assigned: Called with new partitions; returns the offsets to read from, as far as it knows them. It
            may take its time, the member stays; what it raises, the next `fetch` raises. It is cancelled
            when the partitions are given away before it ends.
        on_revoked: Called with partitions before they are given away.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        topics: Iterable[str],
        group: str,
        *,
        instance_id: str | None = None,
        on_assigned: Assigned,
        on_revoked: Revoked,
    ) -> None:
        self._settings = settings
        self._topics = list(topics)
        self._group = group
        self._instance_id = instance_id
        self._on_assigned = on_assigned
        self._on_revoked = on_revoked
        self._held_back: set[TopicPartition] = set()
        self._paused: set[TopicPartition] = set()
        self._consumer: RawConsumer | None = None
        self._positioning: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Join the group.

        Raises:
            UnavailableError: The broker does not answer.
        """
        self._consumer = RawConsumer(
            self._topics,
            **aiokafka_config(self._settings),
            group_id=self._group,
            group_instance_id=self._instance_id,
            enable_auto_commit=False,
            auto_offset_reset="none",
            session_timeout_ms=self._settings.session_timeout_ms,
            heartbeat_interval_ms=self._settings.heartbeat_interval_ms,
            max_partition_fetch_bytes=PARTITION_BYTES,
            fetch_max_wait_ms=FETCH_WAIT_MS,
            request_timeout_ms=REQUEST_TIMEOUT_MS,
            # The caller may take as long as it likes: what it may store is decided where it stores it.
            max_poll_interval_ms=2**31 - 1,
        )
        self._consumer.subscribe(self._topics, listener=_Listener(self))
        try:
            await self._consumer.start()
        except KafkaError as error:
            await self._consumer.stop()
            raise UnavailableError(f"Kafka does not answer: {error}") from error

    async def stop(self) -> None:
        """Leave the group; a static member keeps its place until its session ends."""
        await self._stop_positioning()
        if self._consumer is not None:
            await self._consumer.stop()

    @property
    def assignment(self) -> frozenset[TopicPartition]:
        """The partitions that are ours now."""
        return frozenset(self._running.assignment())

    async def fetch(self, timeout_s: float) -> list[Fetched]:
        """What has come; waits up to `timeout_s` for something.

        Raises:
            PositionGoneError: A position is not in the log.
            CorruptLogError: What came cannot be cut into record batches.
            UnavailableError: The broker refuses or does not answer.
            Exception: What `on_assigned` raised, once; its partitions stay held back until `seek`.
        """
        consumer = self._running
        self._raise_if_positioning_failed()
        try:
            found: dict[TopicPartition, list[Chunk]] = await consumer.getmany(
                timeout_ms=int(timeout_s * 1000)
            )
        except KafkaError as error:
            raise fetch_error(error) from error
        return [
            Fetched(tp, [batch for chunk in chunks for batch in chunk.batches], self._end_offset(tp))
            for tp, chunks in found.items()
        ]

    def _end_offset(self, tp: TopicPartition) -> int:
        try:
            return int(self._running.highwater(tp) or -1)
        except IllegalStateError:
            # Given away since.
            return -1

    async def seek(self, tp: TopicPartition, offset: int) -> None:
        """Read a partition from an offset on; one that was held back is read from now on."""
        if tp not in self.assignment:
            return
        self._running.seek(tp, offset)
        if tp in self._held_back:
            self._held_back.discard(tp)
            if tp not in self._paused:
                self._running.resume(tp)

    def pause(self, *partitions: TopicPartition) -> None:
        """Fetch no more of these; those that are not ours are passed over."""
        ours = self.assignment & set(partitions)
        self._paused |= ours
        self._running.pause(*ours)

    def resume(self, *partitions: TopicPartition) -> None:
        """Fetch these again, except what waits for its position."""
        ours = self.assignment & set(partitions)
        self._paused -= ours
        self._running.resume(*(ours - self._held_back))

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Show the group how far we are; for displays of lag only, so that a failure is no error."""
        ours = {tp: offset for tp, offset in offsets.items() if tp in self.assignment and offset >= 0}
        if not ours:
            return
        try:
            await self._running.commit(ours)
        except (
            CommitFailedError,
            IllegalStateError,
            RebalanceInProgressError,
            UnknownMemberIdError,
        ) as error:
            log.debug("positions were not shown", group=self._group, error=repr(error))
        except KafkaError as error:
            log.info("positions cannot be shown to the group", group=self._group, error=repr(error))

    @property
    def _running(self) -> RawConsumer:
        if self._consumer is None:
            raise UnavailableError("the reader has not been started")
        return self._consumer

    async def _take_over(self, assigned: set[TopicPartition]) -> None:
        # Before anything can be fetched: without a position, the fetcher would raise that there is none.
        self._held_back = set(assigned)
        self._paused.clear()
        for tp in assigned:
            self._running.seek(tp, 0)
        self._running.pause(*assigned)
        # Aiokafka sends no heartbeat until this callback has ended, and swallows what it raises: so the
        # caller's part runs beside it, and `fetch` tells how it went.
        await self._stop_positioning()
        self._positioning = asyncio.create_task(self._position(assigned))

    async def _position(self, assigned: set[TopicPartition]) -> None:
        for tp, offset in (await self._on_assigned(assigned)).items():
            await self.seek(tp, offset)

    def _raise_if_positioning_failed(self) -> None:
        task = self._positioning
        if task is not None and task.done():
            self._positioning = None
            if not task.cancelled():
                task.result()

    async def _stop_positioning(self) -> None:
        """End a callback whose partitions are not ours any more, or forget how it failed."""
        task, self._positioning = self._positioning, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _give_away(self, revoked: set[TopicPartition]) -> None:
        await self._stop_positioning()
        self._held_back -= revoked
        if revoked:
            await self._on_revoked(revoked)


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Hands aiokafka's callbacks on."""

    def __init__(self, reader: BatchReader) -> None:
        self._reader = reader

    async def on_partitions_assigned(self, assigned: Any) -> None:
        await self._reader._take_over(set(assigned))

    async def on_partitions_revoked(self, revoked: Any) -> None:
        await self._reader._give_away(set(revoked))
