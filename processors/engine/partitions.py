"""The partitions that this worker holds for one agent: restored, folded, checkpointed, dropped.

The life of a topic partition here:

1. Assigned. Faust recovers the checkpoint table; `restore` then builds the state of the newest checkpoint
   that holds, and the transport seeks to its offset.
2. Chunks arrive. Each is folded from the state's own position on, whatever the chunk begins with; the outputs
   go to the publisher.
3. Every few seconds, and at a final mark: outputs acknowledged, checkpoint acknowledged, and only then does
   the offset become committable.
4. Revoked or stopped: one more checkpoint where there is time. What is held is dropped in any case.

A worker that comes too late (stopped by the system, its partitions given away) notices at the latest before
it writes a checkpoint; what slips through repeats what the new owner writes, with the same ids and values.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from faust.types import TP

from infra import metrics, tracing
from infra.kafka.raw_fetcher import Chunk
from infra.kafka.record_batches import RawRecords, read_records
from infra.logging import get_logger
from processors.engine.checkpoint import Checkpoint, Lineage
from processors.engine.pages import State, load_pages, pages_of
from schemas.errors import ConflictError

FLUSH_TIMEOUT_S = 60.0
CHECKPOINT_RECORDS = 1_000_000
"""A checkpoint is due after so many records even before its time: a bound on what a restart reads again."""
CHECKPOINT_PACE = 20
"""No checkpoint is due before so many times what the last one took: they take 5 % of the time at most."""
LONGEST_PACE_S = 30.0
"""Nor is one put off for longer by that: a broker that was slow once must not cost a restart half an hour."""
BREATH_S = 0.005
"""Encoding pauses so often for whatever else the event loop has to do."""

log = get_logger(__name__)


S = TypeVar("S", bound=State)


class Step(Protocol[S]):
    """The part of an agent that knows what its records mean."""

    name: str
    parameters: str

    @property
    def topic(self) -> str:
        """Name of the topic that is read."""

    def create(self, tp: TP) -> S:
        """The state before the first record; what a checkpoint holds is loaded into such a one."""

    async def fold(self, state: S, tp: TP, records: RawRecords) -> bool:
        """Take records into the state and publish what follows; may wait for the producer's queue.

        Returns:
            Whether a feed has ended in these records, so that a checkpoint is due.
        """


class Outputs(Protocol):
    """What is needed of `infra.kafka.publisher.Publisher`."""

    async def publish(
        self, topic: str, record: Any, key: Any = None, partition: int | None = None, headers: Any = None
    ) -> Any:
        """Hand over a record; waits while the producer's queue is full."""

    async def flush(self, timeout_s: float) -> Any:
        """Wait until the broker has acknowledged all that was handed over."""

    def raise_if_failed(self) -> None:
        """Raise if a delivery failed for good."""


class Group(Protocol):
    """What is asked of the consumer group this worker is in."""

    @property
    def generation(self) -> int:
        """Generation that the application works in."""

    def is_current(self, tp: TP, generation: int) -> bool:
        """Whether `tp` is ours in this generation, as far as this process knows."""

    async def bounds(self, tps: set[TP]) -> Mapping[TP, tuple[int, int]]:
        """First offset and end offset of each partition's log."""

    async def seek(self, tp: TP, offset: int) -> None:
        """Read on from another offset."""


@dataclass(slots=True)
class Held(Generic[S]):
    """One partition in the hands of this worker.

    Attributes:
        position: The state covers every record before this offset.
        committable: Offset of the newest checkpoint that the broker has; None: none yet.
        folded: Records since that checkpoint.
        sound: Whether state and lineage are whole; not so in the middle of a change to them.
        since_ms: No record that waits is older, by Kafka's time, ms since the epoch.
    """

    tp: TP
    generation: int
    state: S
    lineage: Lineage
    position: int
    committable: int | None
    folded: int = field(default=0)
    sound: bool = field(default=True)
    since_ms: int = field(default_factory=lambda: time.time_ns() // 1_000_000)

    @property
    def is_dirty(self) -> bool:
        """Whether a checkpoint of it is wanted and may be written."""
        return self.sound and self.folded > 0


class Partitions(Generic[S]):
    """All partitions that this worker holds of the topic of one step.

    Args:
        step: What to do with records.
        outputs: Publisher of this step alone: a flush waits for all that was handed to it.
        changelog: Topic of the checkpoint table.
        topic_id: The broker's id of the step's topic.
        checkpoint_interval_s: Seconds between checkpoints.
        group: The consumer group.
    """

    def __init__(
        self,
        step: Step[S],
        outputs: Outputs,
        *,
        changelog: str,
        topic_id: str,
        checkpoint_interval_s: float,
        group: Group,
    ) -> None:
        self.step = step
        self.moved_at = time.monotonic()
        """When a chunk was last folded, or nothing was left to fold; monotonic seconds."""
        self.is_restored = False
        """Whether `restore` was called: what is held is known."""
        self._outputs = outputs
        self._changelog = changelog
        self._topic_id = topic_id
        self._interval_s = checkpoint_interval_s
        self._group = group
        self._tracer = tracing.current()
        self._held: dict[TP, Held[S]] = {}
        self._due_at = self._free_at = 0.0
        self._writing = asyncio.Lock()
        metrics.stages.READY.labels(step.name).set(0)
        stage = f"process-{step.name}"
        self._batch_records = metrics.stages.BATCH_RECORDS.labels(stage)
        self._batch_bytes = metrics.stages.BATCH_BYTES.labels(stage)
        self._fetched = metrics.stages.BYTES_FETCHED.labels(stage)

    @property
    def held(self) -> Mapping[TP, Held[S]]:
        """What is held now."""
        return self._held

    def restore(
        self,
        bounds: Mapping[TP, tuple[int, int]],
        generation: int,
        take: Callable[[str, int], dict[bytes, bytes]],
    ) -> None:
        """Replace what is held by the newest checkpoints; called once after each recovery.

        Args:
            bounds: First offset and end offset of the partitions of the step's topic that are assigned.
            generation: Generation of the group that assigned them.
            take: Gives what the changelog holds for a topic and a partition.
        """
        self._held.clear()
        for tp, (first, end) in sorted(bounds.items()):
            self._held[tp] = self._open(tp, generation, first, end, take(tp.topic, tp.partition))
        metrics.stages.READY.labels(self.step.name).set(1)
        self.is_restored = True
        self.moved_at = self._due_at = self._free_at = time.monotonic()

    def _open(self, tp: TP, generation: int, first: int, end: int, entries: dict[bytes, bytes]) -> Held[S]:
        lineage = Lineage(tp.topic, tp.partition, self.step.parameters, self._topic_id, entries)
        found: list[S] = []

        def restore(checkpoint: Checkpoint) -> None:
            state = self.step.create(tp)
            load_pages(state, checkpoint.pages)
            found.append(state)

        checkpoint, refused = lineage.newest(first, end, restore)
        for reason in refused:
            log.info("a checkpoint was passed over", topic=tp.topic, partition=tp.partition, reason=reason)
        gauge = metrics.processors.RESTORED_OFFSET.labels(self.step.name, str(tp.partition))
        if checkpoint is None:
            if refused:
                log.warning(
                    "no checkpoint can be used, the state is rebuilt from the beginning of the log",
                    topic=tp.topic,
                    partition=tp.partition,
                    reason=refused[0],
                )
            gauge.set(-1)
            return Held(tp, generation, self.step.create(tp), lineage, first, None)
        log.info(
            "a checkpoint was restored", topic=tp.topic, partition=tp.partition, offset=checkpoint.offset
        )
        gauge.set(checkpoint.offset)
        return Held(tp, generation, found[0], lineage, checkpoint.offset, checkpoint.offset)

    async def take(self, tp: TP, generation: int | None, chunk: Chunk) -> None:
        """Fold one chunk; called by the agent, one chunk at a time.

        Raises:
            KandleError: Outputs or the checkpoint cannot be written, or records were deleted unread.
        """
        held = self._held.get(tp)
        if held is None or held.generation != generation or chunk.next_offset <= held.position:
            return
        if not held.sound:
            raise ConflictError(f"the state of {tp.topic} partition {tp.partition} is not whole; start again")
        if chunk.start_offset > held.position:
            await self._go_back(held)
            return
        held.sound = False  # an error, or a cancellation, in mid-fold leaves a state that nobody may use
        records = read_records(chunk.batches, held.position)
        records.raise_if_corrupt(tp.topic, tp.partition)
        count = len(records)
        if count:
            held.since_ms = int(records.timestamps[0])
        began_ns = time.time_ns()
        ended = await self.step.fold(held.state, tp, records)
        if self._tracer is not None:
            self._tracer.put_batch(
                "process",
                records,
                (tp.topic, tp.partition),
                began_ns,
                self.step.name,
                {"kandle.step": self.step.name, "kandle.batch.records": len(records)},
            )
        held.sound = True
        held.position = chunk.next_offset
        held.folded += max(count, 1)
        if count:
            held.since_ms = int(records.timestamps[-1])
        self.moved_at = time.monotonic()
        size = sum(map(len, chunk.batches))
        self._fetched.inc(size)
        self._batch_bytes.observe(size)
        self._batch_records.observe(count)
        metrics.processors.RECORDS_PROCESSED.labels(tp.topic).inc(count)
        enough = held.folded >= CHECKPOINT_RECORDS and self.moved_at >= self._free_at
        if ended or enough or self.moved_at >= self._due_at:
            await self.checkpoint()

    async def checkpoint(self) -> None:
        """Write a checkpoint of every partition that has moved; called from the agent, or while it rests.

        Raises:
            KandleError: The broker does not acknowledge.
        """
        async with self._writing:
            started = time.monotonic()
            if not self._drop_late():
                return
            await self._settle()
            dirty = self._drop_late()
            for held in dirty:
                held.sound = False  # until the broker has all of it: a plan that fails must not be built upon
                await self._write(held)
            await self._settle()
            for held in dirty:
                held.sound, held.folded, held.committable = True, 0, held.position
            now = time.monotonic()
            self._free_at = now + min(CHECKPOINT_PACE * (now - started), LONGEST_PACE_S)
            self._due_at = max(now + self._interval_s, self._free_at)
            metrics.processors.CHECKPOINTS.labels(self.step.name).inc(len(dirty))
            metrics.processors.CHECKPOINT_SECONDS.labels(self.step.name).observe(now - started)

    async def _write(self, held: Held[S]) -> None:
        breathed, size = time.monotonic(), 0
        for key, value in held.lineage.plan(held.position, pages_of(held.state)):
            size += len(key) + len(value or b"")
            await self._outputs.publish(self._changelog, value, key=key, partition=held.tp.partition)
            if time.monotonic() - breathed > BREATH_S:
                await asyncio.sleep(0)
                breathed = time.monotonic()
        metrics.processors.CHECKPOINT_BYTES.labels(self.step.name).observe(size)

    @property
    def rest_s(self) -> float | None:
        """Seconds that the agent may wait for the next chunk before a checkpoint is due; None: for ever."""
        if any(held.is_dirty for held in self._held.values()):
            return max(self._due_at - time.monotonic(), 0.0)
        return None

    def _drop_late(self) -> list[Held[S]]:
        late = [tp for tp, held in self._held.items() if not self._group.is_current(tp, held.generation)]
        for tp in late:
            del self._held[tp]
        if late:
            log.info(
                "partitions were given away in the meantime, their state is dropped", partitions=len(late)
            )
        return [held for held in self._held.values() if held.is_dirty]

    async def _settle(self) -> None:
        await self._outputs.flush(FLUSH_TIMEOUT_S)
        self._outputs.raise_if_failed()

    async def _go_back(self, held: Held[S]) -> None:
        # A chunk in between was lost on its way here, as when a rebalance overtakes it.
        first, _ = (await self._group.bounds({held.tp}))[held.tp]
        if first > held.position:
            raise ConflictError(
                f"{held.tp.topic} partition {held.tp.partition}: the records from offset {held.position} to "
                f"{first} were deleted before they were processed; raise the topic's retention"
            )
        await self._group.seek(held.tp, held.position)


Sequel = Callable[[BaseException], None]
"""Told about an error that must end the worker."""


async def run(partitions: Partitions[Any], events: Any, failed: Sequel) -> None:
    """The body of an agent: fold what comes until an error ends the worker.

    Args:
        partitions: What to fold into.
        events: Faust's events, each with a chunk.
        failed: Called with the first error. Nothing is folded after it: Faust acknowledges the events that
            follow, which decides nothing here, and stops in peace.
    """
    broken = False
    upcoming = asyncio.ensure_future(anext(events))
    try:
        while True:
            await asyncio.wait({upcoming}, timeout=None if broken else partitions.rest_s)
            try:
                if not upcoming.done():
                    await partitions.checkpoint()
                    continue
                message = upcoming.result().message
                if not broken:
                    await partitions.take(message.tp, message.generation_id, message.value)
            except StopAsyncIteration:
                return
            except Exception as error:
                broken = True
                failed(error)
            if upcoming.done():
                upcoming = asyncio.ensure_future(anext(events))
    finally:
        upcoming.cancel()
