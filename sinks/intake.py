"""What a sink has fetched and not stored yet: assignment, positions, bounded buffers.

The group's coordinator assigns partitions; where each begins is the database's word, so an assigned partition
is held back until the runner has asked there and calls `ready`. While more is buffered than is good (the
database is slow or away) all partitions are paused, and fetching goes on without result: the member stays in
its group.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from aiokafka import TopicPartition

from infra.backoff import FullJitter
from infra.kafka.reader import BatchReader
from infra.kafka.record_batches import RecordBatch
from infra.logging import get_logger
from infra.settings import KafkaSettings
from schemas.errors import UnavailableError
from schemas.namespace import current
from sinks.positions import PartitionRef

BUFFER_BYTES: Final = 64 * 1024 * 1024
"""Fetched record batches, as they came; beyond, partitions are paused, and resumed below half of it."""
FETCH_WAIT_S: Final = 0.5
GATHER_S: Final = 1.0
"""Records that are late already wait so long for company, and for what the log still has of them."""
RETRY_CAP_S: Final = 5.0

log = get_logger(__name__)


def group_of(sink: str) -> str:
    """The consumer group of a sink."""
    return current().name_of(f"kandle-{sink}")


@dataclass(slots=True)
class Held:
    """One assigned partition.

    Attributes:
        ref: The partition as the database names it; None until `ready`.
        epoch: Changes whenever the position does other than by reading on.
        position: Offset of the next record to be taken.
        batches: Fetched and not taken.
        rows: Records in them.
        size: Bytes of them.
        end_offset: End of the log when last fetched; -1 before.
        stored: Offset up to which all is stored.
        unstored: Of each batch that was fetched and is not stored, the offset after it and Kafka's time of
            its first record, ms. Kept while the database is asked again where to begin.
    """

    epoch: int
    ref: PartitionRef | None = None
    position: int = -1
    batches: deque[RecordBatch] = field(default_factory=deque)
    rows: int = 0
    size: int = 0
    end_offset: int = -1
    stored: int = -1
    unstored: deque[tuple[int, int]] = field(default_factory=deque)


@dataclass(frozen=True, slots=True)
class Taken:
    """Batches of one partition, to be decoded from `position` on."""

    ref: PartitionRef
    epoch: int
    position: int
    batches: list[RecordBatch]

    @property
    def next_offset(self) -> int:
        """The offset after the last batch: beyond records that compaction or transactions left out, too."""
        end: int = self.batches[-1].last_offset + 1
        return max(self.position, end)


class Intake:
    """Reads topics for one sink.

    Args:
        settings: Where Kafka is.
        topics: Names of the topics.
        group: Consumer group.
        instance_id: Stable member id, for a quick return after a crash; None: a new one each time.
        buffer_bytes: Bound of what is fetched and not taken.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        topics: Iterable[str],
        group: str,
        instance_id: str | None = None,
        buffer_bytes: int = BUFFER_BYTES,
    ) -> None:
        self._topics = frozenset(topics)
        self._reader = BatchReader(
            settings,
            sorted(self._topics),
            group,
            instance_id=instance_id,
            on_assigned=self._on_assigned,
            on_revoked=self._on_revoked,
        )
        self._held: dict[TopicPartition, Held] = {}
        self._epoch = 0
        self._buffer_bytes = buffer_bytes
        self._bytes = 0
        self._rows = 0
        self._paused = False
        self._hurried = False
        self._has_joined = False
        self._changed = asyncio.Event()
        self.storing = asyncio.Lock()
        """Held by the runner while a portion is stored: a partition is not given away in the middle of it."""

    async def start(self) -> None:
        """Join the group."""
        await self._reader.start()

    async def stop(self) -> None:
        """Leave the group."""
        await self._reader.stop()

    async def _on_assigned(self, partitions: set[TopicPartition]) -> Mapping[TopicPartition, int]:
        for partition in partitions:
            self._epoch += 1
            self._held[partition] = Held(self._epoch)
        self._has_joined = True
        self._changed.set()
        return {}

    async def _on_revoked(self, partitions: set[TopicPartition]) -> None:
        self._has_joined = False
        # What is under way may end, if it does soon: else the next owner begins at the old row, and whoever
        # comes second is refused by the row.
        try:
            async with asyncio.timeout(5):
                async with self.storing:
                    self._drop(partitions)
        except TimeoutError:
            self._drop(partitions)

    def _drop(self, partitions: Iterable[TopicPartition]) -> None:
        for partition in partitions:
            held = self._held.pop(partition, None)
            if held is not None:
                self._clear(held)
        self._changed.set()

    def _add(self, held: Held, batches: Sequence[RecordBatch]) -> None:
        held.batches.extend(batches)
        held.unstored.extend((batch.last_offset + 1, batch.first_timestamp) for batch in batches)
        self._count(held, sum(batch.count for batch in batches), sum(len(batch) for batch in batches))

    def _clear(self, held: Held) -> None:
        self._count(held, -held.rows, -held.size)
        held.batches.clear()

    def _count(self, held: Held, rows: int, size: int) -> None:
        held.rows += rows
        held.size += size
        self._rows += rows
        self._bytes += size

    @property
    def stands_by(self) -> bool:
        """Whether the group has given all partitions to others, as far as is known here."""
        return self._has_joined and not self._held

    def unready(self) -> dict[TopicPartition, int]:
        """Assigned partitions whose position is not known yet, with their epochs."""
        return {partition: held.epoch for partition, held in self._held.items() if held.ref is None}

    def hold_all(self) -> None:
        """Forget every position: the database has to be asked again."""
        for held in self._held.values():
            self._epoch += 1
            held.epoch, held.ref = self._epoch, None
            self._clear(held)
        self._changed.set()

    async def ready(self, partition: TopicPartition, epoch: int, ref: PartitionRef, offset: int) -> None:
        """Read a partition from an offset on, if it is still ours."""
        held = self._held.get(partition)
        if held is None or held.epoch != epoch:
            return
        self._clear(held)
        held.unstored.clear()
        await self._reader.seek(partition, offset)
        held.ref, held.position, held.stored = ref, offset, offset

    def is_current(self, ref: PartitionRef, epoch: int) -> bool:
        """Whether what was taken under an epoch may still be stored."""
        held = self._held.get(TopicPartition(ref.topic, ref.partition))
        return held is not None and held.ref is not None and held.epoch == epoch

    async def run(self) -> None:
        """Fetch for ever; waits for a broker that is away.

        Raises:
            PositionGoneError: The log does not hold a position any more.
        """
        backoff = FullJitter(0.2, RETRY_CAP_S)
        while True:
            self._throttle()
            try:
                arrived = await self._reader.fetch(FETCH_WAIT_S)
            except UnavailableError as error:
                log.info("fetching is tried again", error=str(error))
                await asyncio.sleep(backoff.next_delay_s())
                continue
            backoff.reset()
            for fetched in arrived:
                held = self._held.get(fetched.tp)
                if held is None or held.ref is None:
                    continue
                held.end_offset = fetched.end_offset
                self._add(held, fetched.batches)
                self._changed.set()

    def _throttle(self) -> None:
        if not self._paused and self._bytes > self._buffer_bytes:
            self._paused = True
            log.debug("pausing all partitions", buffered_bytes=self._bytes)
        elif self._paused and self._bytes < self._buffer_bytes // 2:
            self._paused = False
            self._reader.resume(*self._reader.assignment)
        if self._paused:
            self._reader.pause(*self._reader.assignment)

    def hurry(self) -> None:
        """Wait no more: from now on `take` returns what there is, be it nothing."""
        self._hurried = True
        self._changed.set()

    async def take(self, max_rows: int, linger_s: float, max_bytes: int = BUFFER_BYTES) -> list[Taken]:
        """What one transaction should store: all there is, up to a bound, after waiting for company.

        Waits until something is buffered; returns an empty list when a partition was assigned or lost.

        Args:
            max_rows: Records, at most.
            linger_s: How long records may wait for so many, or for as many as can be buffered, s. What has
                stood in the log for as long waits for no more than the rest of the log.
            max_bytes: Bytes of them as they came, at most.
        """
        while not any(held.batches for held in self._held.values()):
            if self._hurried or self.unready():
                return []
            self._changed.clear()
            await self._changed.wait()
        began = asyncio.get_running_loop().time()
        while self._rows < max_rows and self._bytes < max_bytes:
            if self._hurried or self._paused:
                break
            wait_s = min(linger_s, GATHER_S) if self._is_late(linger_s) and self._is_at_end() else linger_s
            self._changed.clear()
            try:
                async with asyncio.timeout_at(began + wait_s):
                    await self._changed.wait()
            except TimeoutError:
                break
            if self.unready():
                return []
        return self._take(max_rows, max_bytes)

    def _is_late(self, linger_s: float) -> bool:
        """Whether a record that is buffered has stood in the log for as long as it may wait."""
        latest_ms = (time.time() - linger_s) * 1_000
        return any(
            held.batches[0].first_timestamp <= latest_ms for held in self._held.values() if held.batches
        )

    def _is_at_end(self) -> bool:
        """Whether all that the log held when it was last asked is fetched, of partitions that hold any."""
        return all(
            (held.batches[-1].last_offset + 1 if held.batches else held.position) >= held.end_offset
            for held in self._held.values()
        )

    def _take(self, max_rows: int, max_bytes: int) -> list[Taken]:
        """A fair share of each partition, in whole batches, one at least; what one leaves, others take."""
        waiting = [held for held in self._held.values() if held.ref is not None and held.batches]
        waiting.sort(key=lambda held: held.rows)
        taken: list[Taken] = []
        for number, held in enumerate(waiting):
            sharing = len(waiting) - number
            batches: list[RecordBatch] = []
            rows = size = 0
            while held.batches and (
                not batches
                or (
                    rows + held.batches[0].count <= max_rows // sharing
                    and size + len(held.batches[0]) <= max_bytes // sharing
                )
            ):
                batch = held.batches.popleft()
                rows += batch.count
                size += len(batch)
                batches.append(batch)
            self._count(held, -rows, -size)
            max_rows -= rows
            max_bytes -= size
            if held.ref is not None:
                portion = Taken(held.ref, held.epoch, held.position, batches)
                held.position = portion.next_offset
                taken.append(portion)
        return taken

    def stored(self, ref: PartitionRef, epoch: int, next_offset: int) -> None:
        """A transaction that ends before `next_offset` is committed."""
        held = self._held.get(TopicPartition(ref.topic, ref.partition))
        if held is not None and held.epoch == epoch:
            held.stored = next_offset
            while held.unstored and held.unstored[0][0] <= next_offset:
                held.unstored.popleft()

    @property
    def rows(self) -> int:
        """Records that are fetched and not taken."""
        return self._rows

    def behind_s(self, linger_s: float = 0.0) -> dict[str, float]:
        """By topic the age of the oldest record that was fetched and is not stored, s; 0 if there is none.

        The time `linger_s`, for which records wait for company on purpose, does not count. A topic is left
        out while nothing is known of one of its partitions. Of one that has no partition here nothing waits
        here.
        """
        now_ms = time.time_ns() // 1_000_000
        unknown = {tp.topic for tp, held in self._held.items() if held.ref is None and not held.unstored}
        found = dict.fromkeys(self._topics - unknown, 0.0)
        for tp, held in self._held.items():
            if held.unstored and tp.topic in found:
                age_s = (now_ms - held.unstored[0][1]) / 1_000 - linger_s
                found[tp.topic] = max(found[tp.topic], age_s)
        return found

    async def show_positions(self) -> dict[str, int]:
        """Commit what is stored to the group, for displays of lag; returns the lag by topic, in records.

        A topic is left out while it is not known of any of its partitions where it begins.
        """
        known = {partition: held for partition, held in self._held.items() if held.ref is not None}
        if known:
            await self._reader.commit({partition: held.stored for partition, held in known.items()})
        lag = dict.fromkeys(self._topics - {partition.topic for partition in self._held}, 0)
        for partition, held in known.items():
            lag[partition.topic] = lag.get(partition.topic, 0) + max(0, held.end_offset - held.stored)
        return lag
