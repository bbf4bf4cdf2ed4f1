"""The batch reader on a real broker: positions, groups, compressions, transactions, pauses."""

import asyncio
import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from infra.kafka.reader import BatchReader, PositionGoneError, TopicPartition
from infra.kafka.record_batches import CorruptLogError, RecordBatch, read_records
from infra.settings import KafkaSettings

DEADLINE_S = 30.0


def new_topic(kafka: str, partitions: int = 1) -> str:
    name = f"reader-{uuid.uuid4().hex[:8]}"
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.create_topics([NewTopic(name, partitions)])[name].result(30)
    return name


def publish(kafka: str, topic: str, numbers: range, *, partition: int = 0, compression: str = "lz4") -> None:
    producer = Producer({"bootstrap.servers": kafka, "linger.ms": 50, "compression.type": compression})
    for number in numbers:
        producer.produce(topic, b"%d" % number, key=b"k", partition=partition, headers={"n": b"1"})
    assert producer.flush(30) == 0


class Member:
    """A reader that collects what it reads and remembers what it was told."""

    def __init__(self, kafka: str, topic: str, group: str, starts: int | None = 0, **more: object) -> None:
        settings = KafkaSettings(bootstrap_servers=kafka, session_timeout_ms=6_000, heartbeat_interval_ms=500)
        self.starts = starts
        self.revoked: set[TopicPartition] = set()
        self.values: dict[int, list[int]] = {}
        self.positions: dict[TopicPartition, int] = {}
        self.reader = BatchReader(
            settings,
            [topic],
            group,
            on_assigned=self.on_assigned,
            on_revoked=self.on_revoked,
            **more,  # type: ignore[arg-type]
        )

    async def on_assigned(self, partitions: set[TopicPartition]) -> Mapping[TopicPartition, int]:
        if self.starts is None:
            return {}
        return {tp: self.positions.get(tp, self.starts) for tp in partitions}

    async def on_revoked(self, partitions: set[TopicPartition]) -> None:
        self.revoked |= partitions

    async def read(self, until: int | None = None, timeout_s: float = DEADLINE_S) -> None:
        """Fetch until so many values are there, or for the given time."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        while loop.time() < deadline and (until is None or self.count < until):
            for fetched in await self.reader.fetch(0.2):
                self.take(fetched.tp, fetched.batches)

    def take(self, tp: TopicPartition, batches: list[RecordBatch]) -> None:
        records = read_records(batches, self.positions.get(tp, self.starts or 0))
        assert not records.corrupt
        values = self.values.setdefault(tp.partition, [])
        values.extend(int(records.value(row) or b"-1") for row in range(len(records)))
        self.positions[tp] = batches[-1].last_offset + 1

    @property
    def count(self) -> int:
        return sum(len(values) for values in self.values.values())


@pytest.mark.parametrize("compression", ["none", "gzip", "snappy", "lz4", "zstd"])
async def test_every_compression_is_read_from_the_position_that_the_caller_names(
    kafka: str, compression: str
) -> None:
    topic = new_topic(kafka)
    publish(kafka, topic, range(500), compression=compression)
    member = Member(kafka, topic, f"{topic}-g", starts=123)
    await member.reader.start()
    await member.read(until=377)
    await member.reader.stop()
    assert member.values == {0: list(range(123, 500))}


async def test_a_partition_without_a_position_is_held_back_until_it_has_one(kafka: str) -> None:
    topic = new_topic(kafka)
    publish(kafka, topic, range(50))
    member = Member(kafka, topic, f"{topic}-g", starts=None)
    await member.reader.start()
    await member.read(timeout_s=1.0)
    member.reader.resume(TopicPartition(topic, 0))
    await member.read(timeout_s=0.5)
    assert member.count == 0
    await member.reader.seek(TopicPartition(topic, 0), 40)
    member.positions[TopicPartition(topic, 0)] = 40
    await member.read(until=10)
    await member.reader.stop()
    assert member.values == {0: list(range(40, 50))}


async def test_markers_of_transactions_are_passed_over(kafka: str) -> None:
    topic = new_topic(kafka)
    producer = Producer({"bootstrap.servers": kafka, "transactional.id": f"{topic}-t"})
    producer.init_transactions(30)
    for number in range(3):
        producer.begin_transaction()
        producer.produce(topic, b"%d" % number, partition=0)
        producer.commit_transaction(30)
    publish(kafka, topic, range(3, 5))
    member = Member(kafka, topic, f"{topic}-g")
    await member.reader.start()
    await member.read(until=5)
    await member.reader.stop()
    assert member.values == {0: [0, 1, 2, 3, 4]}
    assert member.positions[TopicPartition(topic, 0)] == 8


async def test_what_transactions_gave_up_is_passed_over(kafka: str) -> None:
    topic = new_topic(kafka)
    given_up = transaction(kafka, topic, range(10, 12))
    kept = transaction(kafka, topic, range(2))
    given_up.abort_transaction(30)
    kept.commit_transaction(30)
    publish(kafka, topic, range(2, 4))
    member = Member(kafka, topic, f"{topic}-g")
    await member.reader.start()
    await member.read(until=4)
    await member.reader.stop()
    assert member.values == {0: [0, 1, 2, 3]}
    assert member.positions[TopicPartition(topic, 0)] == 8


def transaction(kafka: str, topic: str, numbers: range) -> Producer:
    """A producer whose transaction has written and is still open."""
    producer = Producer({"bootstrap.servers": kafka, "transactional.id": f"{topic}-{numbers}"})
    producer.init_transactions(30)
    producer.begin_transaction()
    for number in numbers:
        producer.produce(topic, b"%d" % number, partition=0)
    assert producer.flush(30) == 0
    return producer


async def test_a_position_outside_of_the_log_is_an_error_that_names_it(kafka: str) -> None:
    topic = new_topic(kafka)
    publish(kafka, topic, range(5))
    member = Member(kafka, topic, f"{topic}-g", starts=99)
    await member.reader.start()
    with pytest.raises(PositionGoneError, match=f"{topic}/0 at 99"):
        await member.read(until=1)
    await member.reader.stop()


async def test_paused_partitions_bring_nothing_and_the_member_stays(kafka: str) -> None:
    topic = new_topic(kafka)
    member = Member(kafka, topic, f"{topic}-g")
    await member.reader.start()
    tp = TopicPartition(topic, 0)
    member.reader.pause(tp)
    publish(kafka, topic, range(10))
    await member.read(timeout_s=1.0)
    assert member.count == 0
    member.reader.resume(tp)
    await member.read(until=10)
    assert member.reader.assignment == {tp}
    await member.reader.commit({tp: 10})
    await member.reader.stop()


async def test_two_members_share_the_partitions_and_nothing_is_lost_when_one_leaves(kafka: str) -> None:
    topic = new_topic(kafka, partitions=4)
    for partition in range(4):
        publish(kafka, topic, range(100), partition=partition)
    first, second = Member(kafka, topic, f"{topic}-g"), Member(kafka, topic, f"{topic}-g")
    await first.reader.start()
    joining = asyncio.create_task(second.reader.start())
    async with asyncio.timeout(DEADLINE_S):
        while not joining.done() or not len(first.reader.assignment) == len(second.reader.assignment) == 2:
            await first.read(timeout_s=0.1)
            if joining.done():
                await second.read(timeout_s=0.1)
    await joining
    assert first.revoked
    await second.reader.stop()
    for partition in range(4):
        publish(kafka, topic, range(100, 110), partition=partition)
    first.positions |= second.positions
    for partition in second.values:
        first.values[partition] = second.values[partition]
    await first.read(until=440)
    await first.reader.stop()
    assert {p: sorted(set(values)) for p, values in first.values.items()} == {
        p: list(range(110)) for p in range(4)
    }


async def test_a_static_member_that_was_killed_is_back_at_once(kafka: str) -> None:
    topic = new_topic(kafka)
    publish(kafka, topic, range(5))
    lost = Member(kafka, topic, f"{topic}-g", instance_id="one")
    await lost.reader.start()
    await lost.read(until=5)
    # Like a kill: the member vanishes without a word to its group.
    consumer = lost.reader._running
    assert consumer._coordinator is not None
    consumer._coordinator._maybe_leave_group = _nothing
    await lost.reader.stop()
    loop = asyncio.get_running_loop()
    began = loop.time()
    again = Member(kafka, topic, f"{topic}-g", instance_id="one")
    await again.reader.start()
    await again.read(until=5)
    assert loop.time() - began < 5.0, "it waited for the session of the lost member"
    await again.reader.stop()


def rot_last_byte(topic: str) -> None:
    """Change a byte in the file where the broker of the fixture keeps the topic."""
    (segment,) = Path(tempfile.gettempdir()).glob(f"kandle-kafka-*/**/{topic}-0/*.log")
    segment.write_bytes(segment.read_bytes()[:-1] + b"?")


async def test_bytes_that_rot_on_the_broker_are_told_by_their_offsets_and_cost_no_neighbours(
    kafka: str,
) -> None:
    topic = new_topic(kafka)
    for first in (0, 10, 20):
        publish(kafka, topic, range(first, first + 10), compression="none")
    rot_last_byte(topic)
    member = Member(kafka, topic, f"{topic}-g")
    await member.reader.start()
    batches: list[RecordBatch] = []
    while not batches or batches[-1].last_offset < 29:
        for fetched in await member.reader.fetch(DEADLINE_S):
            batches += fetched.batches
    await member.reader.stop()
    records = read_records(batches)
    assert records.offsets.tolist() == list(range(20))
    with pytest.raises(CorruptLogError, match=f"{topic}, partition 0, offsets 20 to 29: the checksum"):
        records.raise_if_corrupt(topic, 0)


async def _nothing() -> None:
    return None
