"""What one transaction takes of what was fetched."""

from __future__ import annotations

import pytest
from aiokafka import TopicPartition

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
    for count in counts:
        held.batches.append(batch(held.batches[-1].last_offset + 1 if held.batches else 0, count, size))
    intake._held[TopicPartition("t", partition)] = held
    intake._bytes += len(counts) * size
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
