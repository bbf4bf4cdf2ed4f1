"""A broker that is killed under whole batches: each record once, in order."""

import asyncio

import pytest
from confluent_kafka import Consumer, TopicPartition

from infra.kafka.outgoing_records import OutgoingRecords
from infra.kafka.publisher import Publisher
from infra.settings import KafkaSettings
from schemas.topics import CANDLES
from tests.chaos.test_producer_faults import Broker, broker

__all__ = ["broker"]

BATCHES = 400
RECORDS = 50
KILL_AT = (100, 250)


@pytest.mark.full
async def test_a_broker_killed_under_batches_has_every_record_once_and_in_order(broker: Broker) -> None:
    servers = broker.topics.servers
    publisher = Publisher(KafkaSettings(bootstrap_servers=servers))

    async def publish() -> None:
        for number in range(BATCHES):
            values = [(None, b"%d" % (number * RECORDS + row)) for row in range(RECORDS)]
            await publisher.publish_columns(CANDLES.name, 0, OutgoingRecords.of(values))
            await asyncio.sleep(0.01)

    publishing = asyncio.ensure_future(publish())
    for at in KILL_AT:
        while publisher.acknowledged(CANDLES.name) < at * RECORDS:
            await asyncio.sleep(0.01)
        broker.kill()
        await asyncio.sleep(1.0)
        assert not publishing.done(), "the caller waits for the broker"
        await broker.start()
    await asyncio.wait_for(publishing, 60)
    await publisher.flush(60)
    await publisher.close()
    wanted = [b"%d" % number for number in range(BATCHES * RECORDS)]
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "none"})
    consumer.assign([TopicPartition(CANDLES.name, 0, 0)])
    found: list[bytes | None] = []
    while len(found) < len(wanted):
        messages = consumer.consume(10_000, timeout=5.0)
        assert messages, f"{len(found)} of {len(wanted)} records"
        found += [message.value() for message in messages]
    consumer.close()
    assert found == wanted
