"""What one transaction takes of what was fetched."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import replace

import pytest
from aiokafka import TopicPartition

import sinks.intake
from infra.kafka.record_batches import RecordBatch
from infra.settings import KafkaSettings
from sinks.intake import Held, Intake
from sinks.positions import PartitionRef


def batch(first: int, count: int, size: int = 100) -> RecordBatch:
    return RecordBatch(first, first + count - 1, count, 0, 0, 0, 0, memoryview(bytes(size)))


@pytest.fixture
def intake() -> Intake:
    return Intake(KafkaSettings(bootstrap_servers="nowhere:1"), ["t"], "g")


def fill(intake: Intake, partition: int, counts: list[int], size: int = 100) -> Held:
    """Buffer batches of so many rows."""
    held = Held(partition + 1, PartitionRef(1, partition, "t"), 0)
    intake._held[TopicPartition("t", partition)] = held
    for count in counts:
        first = held.batches[-1].last_offset + 1 if held.batches else 0
        intake._add(held, [batch(first, count, size)])
    return held


async def take(intake: Intake, max_rows: int, max_bytes: int = 1_000_000) -> dict[int, int]:
    """Rows by partition of the next portion."""
    taken = await intake.take(max_rows, 0, max_bytes)
    return {part.ref.partition: sum(each.count for each in part.batches) for part in taken}


async def test_who_has_much_gets_what_the_others_leave(intake: Intake) -> None:
    fill(intake, 0, [10])
    fill(intake, 1, [10] * 50)
    fill(intake, 2, [10, 10])
    assert await take(intake, 200) == {0: 10, 1: 170, 2: 20}
    assert await take(intake, 200) == {1: 200}


async def test_each_partition_is_served_however_many_there_are(intake: Intake) -> None:
    for partition in range(5):
        fill(intake, partition, [10] * 4)
    assert await take(intake, 30) == dict.fromkeys(range(5), 10)


async def test_a_batch_larger_than_a_portion_is_taken_alone(intake: Intake) -> None:
    fill(intake, 0, [500, 10])
    assert await take(intake, 100) == {0: 500}
    assert await take(intake, 100) == {0: 10}


async def test_long_rows_make_portions_of_fewer_rows(intake: Intake) -> None:
    fill(intake, 0, [10] * 9, size=1_000)
    assert await take(intake, 100_000, 3_000) == {0: 30}
    assert intake._bytes == 6_000


async def test_positions_follow_what_was_taken(intake: Intake) -> None:
    held = fill(intake, 0, [10, 10, 10])
    (first,) = await intake.take(20, 0)
    (second,) = await intake.take(20, 0)
    assert (first.position, first.next_offset) == (0, 20)
    assert (second.position, second.next_offset) == (20, 30)
    assert held.position == 30
    assert intake._bytes == 0


@pytest.mark.parametrize(
    ("age_s", "end_offset", "waits"),
    [(3_600, 20, False), (3_600, 21, True), (0, 20, True)],
    ids=["late and all there is", "late and not all there is", "fresh"],
)
async def test_what_is_late_waits_for_the_rest_of_the_log_and_for_no_company(
    intake: Intake, monkeypatch: pytest.MonkeyPatch, age_s: float, end_offset: int, waits: bool
) -> None:
    monkeypatch.setattr(sinks.intake, "GATHER_S", 0.02)
    held = fill(intake, 0, [10, 10])
    since_ms = int((time.time() - age_s) * 1_000)
    held.batches = deque(replace(each, first_timestamp=since_ms) for each in held.batches)
    held.end_offset = end_offset
    taking = asyncio.create_task(intake.take(1_000, 60.0))
    if waits:
        _, pending = await asyncio.wait({taking}, timeout=0.3)
        assert pending
        intake.hurry()
    async with asyncio.timeout(10):
        assert [part.next_offset for part in await taking] == [20]


async def test_a_portion_that_waits_for_company_is_left_when_its_partitions_go_to_another(
    intake: Intake,
) -> None:
    fill(intake, 0, [10])
    taking = asyncio.create_task(intake.take(1_000, 0.2))
    await asyncio.sleep(0)
    await intake._on_revoked({TopicPartition("t", 0)})
    async with asyncio.timeout(10):
        assert await taking == []


class Unlooked(deque[RecordBatch]):
    """Batches that nobody goes through."""

    def __iter__(self) -> Iterator[RecordBatch]:
        raise AssertionError


async def test_what_is_buffered_is_counted_and_not_summed(intake: Intake) -> None:
    held = Held(1, PartitionRef(1, 0, "t"), 0, Unlooked())
    intake._held[TopicPartition("t", 0)] = held
    for number in range(10):
        intake._add(held, [batch(10 * number, 10)])
    assert (intake._rows, intake._bytes) == (100, 1_000)
    assert await take(intake, 30) == {0: 30}
    assert (intake._rows, intake._bytes, held.rows, held.size) == (70, 700, 70, 700)
    fill(intake, 1, [10, 10])
    intake.hold_all()
    assert (intake._rows, intake._bytes, held.rows, held.size) == (0, 0, 0, 0)
