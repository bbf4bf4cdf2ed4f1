"""Whole batches from the publisher on a real broker: order, counting, refusals, back-pressure, an end."""

import asyncio
import os
import time
import uuid

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from infra.kafka.outgoing_records import OutgoingRecords
from infra.kafka.publisher import Publisher, PublishError
from infra.settings import KafkaSettings


@pytest.fixture
def settings(kafka: str) -> KafkaSettings:
    return KafkaSettings(bootstrap_servers=kafka)


def new_topic(kafka: str, **config: str) -> str:
    name = f"batches-{uuid.uuid4().hex[:8]}"
    client = AdminClient({"bootstrap.servers": kafka})
    for future in client.create_topics([NewTopic(name, 2, 1, config=config)]).values():
        future.result(15)
    return name


def stored(kafka: str, topic: str, partition: int) -> list[tuple[bytes | None, bytes | None]]:
    """Keys and values of a partition, by a client that knows nothing of how they came."""
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": "none", "check.crcs": True})
    place = TopicPartition(topic, partition, 0)
    _, end = consumer.get_watermark_offsets(place, timeout=15)
    consumer.assign([place])
    found: list[tuple[bytes | None, bytes | None]] = []
    while len(found) < end:
        messages = consumer.consume(min(10_000, end - len(found)), timeout=1.0)
        found += [(message.key(), message.value()) for message in messages]
    consumer.close()
    return found


async def test_batches_of_a_partition_stand_in_order_and_are_counted(
    settings: KafkaSettings, kafka: str
) -> None:
    topic = new_topic(kafka)
    publisher = Publisher(settings)
    numbered: list[list[tuple[bytes | None, bytes | None]]] = [[], []]
    for turn in range(20):
        for partition in (0, 1):
            portion: list[tuple[bytes | None, bytes | None]] = [
                (b"k%d" % number, b"%d " % turn + os.urandom(200)) for number in range(100 + turn)
            ]
            portion += [(None, b"m"), (b"tombstone", None)]
            numbered[partition] += portion
            await publisher.publish_columns(topic, partition, OutgoingRecords.of(portion))
    await publisher.publish_columns(topic, 0, OutgoingRecords.of([]))
    await publisher.flush()
    assert publisher.waiting == 0
    assert publisher.acknowledged(topic) == sum(map(len, numbered))
    await publisher.close()
    assert [stored(kafka, topic, 0), stored(kafka, topic, 1)] == numbered


async def test_a_batch_that_the_topic_refuses_is_told(settings: KafkaSettings, kafka: str) -> None:
    topic = new_topic(kafka, **{"max.message.bytes": "1000"})
    publisher = Publisher(settings)
    await publisher.publish_columns(topic, 0, OutgoingRecords.of([(None, b"small")]))
    await publisher.flush()
    await publisher.publish_columns(topic, 0, OutgoingRecords.of([(None, os.urandom(5_000)), (None, b"x")]))
    with pytest.raises(PublishError, match=f"refused 2 records for good: {topic}"):
        await publisher.flush()
    with pytest.raises(PublishError):
        await publisher.publish_columns(topic, 0, OutgoingRecords.of([(None, b"small")]))
    with pytest.raises(PublishError):
        await publisher.close()


async def test_while_the_broker_is_away_the_caller_waits_and_can_be_stopped() -> None:
    publisher = Publisher(KafkaSettings(bootstrap_servers="127.0.0.1:9"))
    handing_over = asyncio.ensure_future(
        publisher.publish_columns("nowhere", 0, OutgoingRecords.of([(None, b"x")]))
    )
    done, _ = await asyncio.wait([handing_over], timeout=1.2)
    assert not done
    handing_over.cancel()
    started = time.monotonic()
    await asyncio.wait_for(publisher.close(0.2), 5.0)
    assert time.monotonic() - started < 4.0
