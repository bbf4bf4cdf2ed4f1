"""Finding the start positions of a batch reader on a real broker: it may fail, take long, or be overruled."""

import asyncio
import uuid
from collections.abc import Mapping

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from infra.kafka.reader import BatchReader, TopicPartition
from infra.kafka.record_batches import read_records
from infra.settings import KafkaSettings

DEADLINE_S = 30.0
SESSION_S = 6.0
RECORDS = 5


def filled_topic(kafka: str) -> TopicPartition:
    name = f"positions-{uuid.uuid4().hex[:8]}"
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.create_topics([NewTopic(name, 1)])[name].result(30)
    producer = Producer({"bootstrap.servers": kafka})
    for number in range(RECORDS):
        producer.produce(name, b"%d" % number, partition=0)
    assert producer.flush(30) == 0
    return TopicPartition(name, 0)


class Seeker:
    """A reader whose start positions take `delay_s`, or fail."""

    def __init__(self, kafka: str, tp: TopicPartition, delay_s: float, failure: Exception | None) -> None:
        settings = KafkaSettings(
            bootstrap_servers=kafka, session_timeout_ms=int(SESSION_S * 1000), heartbeat_interval_ms=500
        )
        self.delay_s = delay_s
        self.failure = failure
        self.calls = 0
        self.count = 0
        self.reader = BatchReader(
            settings,
            [tp.topic],
            f"{tp.topic}-g",
            on_assigned=self.on_assigned,
            on_revoked=self.on_revoked,
        )

    async def on_assigned(self, partitions: set[TopicPartition]) -> Mapping[TopicPartition, int]:
        self.calls += 1
        await asyncio.sleep(self.delay_s)
        if self.failure is not None:
            raise self.failure
        return dict.fromkeys(partitions, 0)

    async def on_revoked(self, partitions: set[TopicPartition]) -> None:
        pass

    async def read(self, until: int = RECORDS, timeout_s: float = DEADLINE_S) -> None:
        """Fetch until so many records are there, or for the given time."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        while loop.time() < deadline and self.count < until:
            for fetched in await self.reader.fetch(0.2):
                self.count += len(read_records(fetched.batches))


async def test_what_finding_a_position_raises_comes_out_of_the_next_fetch(kafka: str) -> None:
    tp = filled_topic(kafka)
    seeker = Seeker(kafka, tp, delay_s=0.0, failure=OSError("the database is away"))
    await seeker.reader.start()
    try:
        with pytest.raises(OSError, match="the database is away"):
            await seeker.read()
        await seeker.reader.seek(tp, 0)
        await seeker.read()
        assert seeker.count == RECORDS
    finally:
        await seeker.reader.stop()


@pytest.mark.full
async def test_a_member_that_seeks_its_positions_longer_than_its_session_stays(kafka: str) -> None:
    seeker = Seeker(kafka, filled_topic(kafka), delay_s=SESSION_S + 2.0, failure=None)
    await seeker.reader.start()
    try:
        await seeker.read()
        # One that was put out of its group would be told so by its next heartbeats, and join again.
        await seeker.read(until=RECORDS + 1, timeout_s=1.5)
        assert (seeker.count, seeker.calls) == (RECORDS, 1)
    finally:
        await seeker.reader.stop()


async def test_a_pause_outlasts_the_position_that_comes_after_it(kafka: str) -> None:
    tp = filled_topic(kafka)
    seeker = Seeker(kafka, tp, delay_s=0.5, failure=None)
    await seeker.reader.start()
    try:
        seeker.reader.pause(tp)
        await seeker.read(timeout_s=2.0)
        assert (seeker.calls, seeker.count) == (1, 0)
        seeker.reader.resume(tp)
        await seeker.read()
        assert seeker.count == RECORDS
    finally:
        await seeker.reader.stop()
