"""When partitions write checkpoints, and what becomes of a state whose checkpoint is not written."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from faust.types import TP

from infra.kafka.raw_fetcher import Chunk
from infra.kafka.record_batches import RawRecords, split_batches
from processors.engine.checkpoint import Record, replay
from processors.engine.partitions import CHECKPOINT_PACE, Partitions
from schemas.errors import ConflictError, UnavailableError
from tests.record_batch_bytes import Row, batch_of

PLACE = TP("topic", 0)


class Counter:
    """A state of one number; see `pages.Part`."""

    value = 0

    def snapshot(self) -> bytes:
        return b"%d" % self.value

    def restore(self, snapshot: bytes) -> None:
        self.value = int(snapshot)


class Count:
    """Counts; see `partitions.Step`."""

    name, topic, parameters = "count", "topic", "p"

    def create(self, tp: TP) -> Counter:
        return Counter()

    async def fold(self, state: Counter, tp: TP, records: RawRecords) -> bool:
        raise NotImplementedError


@dataclass
class Log:
    """A changelog in memory, which may be slow, or take no more than it has; see `partitions.Outputs`."""

    records: list[Record] = field(default_factory=list)
    delay_s: float = 0.0
    error: Exception | None = None
    taken: int = 0

    async def publish(
        self, topic: str, record: Any, key: Any = None, partition: int | None = None, headers: Any = None
    ) -> None:
        self.records.append((key, record))

    async def flush(self, timeout_s: float) -> None:
        await asyncio.sleep(self.delay_s)

    def raise_if_failed(self) -> None:
        if self.error is not None and len(self.records) > self.taken:
            raise self.error


class Group:
    """A group that nothing happens in; see `partitions.Group`."""

    generation = 1

    def is_current(self, tp: TP, generation: int) -> bool:
        return True

    async def bounds(self, tps: set[TP]) -> Mapping[TP, tuple[int, int]]:
        return dict.fromkeys(tps, (0, 100))

    async def seek(self, tp: TP, offset: int) -> None:
        raise NotImplementedError


def partitions_of(log: Log) -> Partitions[Counter]:
    made = Partitions(Count(), log, changelog="log", topic_id="i", checkpoint_interval_s=0.01, group=Group())
    made.restore({PLACE: (0, 100)}, 1, lambda topic, partition: replay(log.records))
    return made


def move(partitions: Partitions[Counter], offset: int) -> None:
    held = partitions.held[PLACE]
    held.state.value = held.position = offset
    held.folded += 1


async def test_checkpoints_take_no_more_than_their_share_of_the_time() -> None:
    partitions = partitions_of(Log(delay_s=0.03))
    move(partitions, 5)
    began = time.monotonic()
    await partitions.checkpoint()
    took = time.monotonic() - began
    assert partitions.rest_s is None
    move(partitions, 6)
    rest_s = partitions.rest_s
    assert rest_s is not None
    assert 0.5 * CHECKPOINT_PACE * 0.06 < rest_s <= CHECKPOINT_PACE * took


async def test_a_slow_broker_does_not_put_the_next_checkpoint_off_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("processors.engine.partitions.LONGEST_PACE_S", 1.0)
    partitions = partitions_of(Log(delay_s=0.03))
    move(partitions, 5)
    await partitions.checkpoint()
    move(partitions, 6)
    rest_s = partitions.rest_s
    assert rest_s is not None
    assert 0.5 < rest_s <= 1.0 < CHECKPOINT_PACE * 0.06


async def test_a_state_goes_on_from_its_last_checkpoint() -> None:
    log = Log()
    partitions = partitions_of(log)
    for offset in (5, 9):
        move(partitions, offset)
        await partitions.checkpoint()
    move(partitions, 12)
    held = partitions_of(log).held[PLACE]
    assert (held.state.value, held.position, held.committable) == (9, 9, 9)


async def test_a_state_whose_checkpoint_was_not_written_is_not_used_any_more() -> None:
    log = Log()
    partitions = partitions_of(log)
    move(partitions, 5)
    await partitions.checkpoint()
    move(partitions, 7)
    log.error, log.taken = UnavailableError("away"), len(log.records)
    with pytest.raises(UnavailableError):
        await partitions.checkpoint()
    log.error = None
    await partitions.checkpoint()  # leaves alone what is not whole
    assert partitions.held[PLACE].committable == 5
    with pytest.raises(ConflictError, match="not whole"):
        await partitions.take(PLACE, 1, Chunk([], 7, 8))


async def test_a_backlog_is_as_old_as_what_is_being_folded(monkeypatch: pytest.MonkeyPatch) -> None:
    partitions, seen = partitions_of(Log()), list[int]()

    async def fold(*_: Any) -> bool:
        seen.append(partitions.held[PLACE].since_ms)
        return False

    monkeypatch.setattr(partitions.step, "fold", fold)
    batches = split_batches(batch_of([Row(0, 1_000), Row(1, 7_000)]))
    await partitions.take(PLACE, 1, Chunk(batches, 0, 2))
    assert seen == [1_000], "not as young as the start of the worker"
    assert partitions.held[PLACE].since_ms == 7_000
