"""The publisher on a real broker: order, partitions, back-pressure, refusals."""

import asyncio
import os
import time
import uuid

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from prometheus_client import REGISTRY

from infra.kafka import publisher as publisher_module
from infra.kafka.publisher import Publisher, PublishError
from infra.kafka.tally import Age
from infra.settings import KafkaSettings
from schemas import rows
from schemas.errors import UnavailableError, ValidationError
from schemas.records import TimeMark, Trade

TRADE = Trade("binance", "BTC/USDT", "7", 7, 1.5, 2.0, "buy", 1_700_000_000_000_000, 1)


@pytest.fixture
def settings(kafka: str) -> KafkaSettings:
    return KafkaSettings(bootstrap_servers=kafka)


@pytest.fixture
def topic(kafka: str) -> str:
    name = f"publisher-{uuid.uuid4().hex[:8]}"
    client = AdminClient({"bootstrap.servers": kafka})
    for future in client.create_topics([NewTopic(name, 4, 1)]).values():
        future.result(15)
    return name


def stored(kafka: str, topic: str) -> list[tuple[int, bytes, bytes, list[tuple[str, bytes]]]]:
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": "none", "enable.auto.commit": False})
    found = []
    for number in range(4):
        partition = TopicPartition(topic, number, 0)
        low, high = consumer.get_watermark_offsets(partition, timeout=15)
        consumer.assign([partition])
        while low < high:
            for message in consumer.consume(min(10_000, high - low), timeout=1.0):
                low = message.offset() + 1
                found.append((number, message.key(), message.value(), message.headers() or []))
    consumer.close()
    return found


async def test_a_record_is_encoded_and_keyed_by_its_market(
    settings: KafkaSettings, kafka: str, topic: str
) -> None:
    publisher = Publisher(settings)
    await publisher.publish(topic, TRADE, headers=[("a", b"1"), ("b", "2")])
    await publisher.close()
    ((_, key, value, headers),) = stored(kafka, topic)
    assert (key, rows.decode(value)) == (b"binance:BTC/USDT", TRADE)
    assert headers == [("a", b"1"), ("b", b"2")]
    assert publisher.acknowledged(topic) == 1


async def test_keys_choose_the_partition_that_java_chooses(
    settings: KafkaSettings, kafka: str, topic: str
) -> None:
    publisher = Publisher(settings)
    await publisher.publish_batch(topic, [(b"binance:BTC/USDT", b"x"), (b"21", b"y")])
    await publisher.close()
    # murmur2 as in org.apache.kafka.common.utils.Utils: "21" is one of its test vectors.
    found = {key: partition for partition, key, _, _ in stored(kafka, topic)}
    assert found[b"21"] == (-973932308 & 0x7FFFFFFF) % 4


async def test_records_of_one_key_stay_in_order(settings: KafkaSettings, kafka: str, topic: str) -> None:
    publisher = Publisher(settings)
    keys = [b"a", b"b", b"c", b"d", b"e"]
    for start in range(0, 5_000, 500):
        batch = [(keys[number % 5], b"%d" % number) for number in range(start, start + 500)]
        await publisher.publish_batch(topic, batch)
    await publisher.flush()
    found = stored(kafka, topic)
    for key in keys:
        numbers = [int(value) for _, own, value, _ in found if own == key]
        assert numbers == sorted(numbers)
        assert len(numbers) == 1_000
    await publisher.close()


async def test_a_partition_may_be_named_and_its_offset_is_told(
    settings: KafkaSettings, kafka: str, topic: str
) -> None:
    publisher = Publisher(settings)
    told: list[tuple[int, int]] = []
    mark = TimeMark("binance", "s", 1, False, "i")
    for partition in (3, 1, 3):
        await publisher.publish(
            topic, mark, partition=partition, on_acknowledged=lambda part, offset: told.append((part, offset))
        )
    await publisher.close()
    assert sorted(told) == [(1, 0), (3, 0), (3, 1)]
    assert [partition for partition, *_ in stored(kafka, topic)] == [1, 3, 3]


async def test_a_full_queue_makes_the_caller_wait_and_loses_nothing(
    settings: KafkaSettings, kafka: str, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher_module, "QUEUE_MESSAGES", 100)
    publisher = Publisher(settings)
    await publisher.publish_batch(topic, [(b"k", b"%d" % number) for number in range(5_000)])
    assert publisher.waiting <= 100
    await publisher.close()
    assert [int(value) for _, _, value, _ in stored(kafka, topic)] == list(range(5_000))


@pytest.mark.parametrize("way", ["one", "batch"])
async def test_the_wait_for_a_full_queue_is_part_of_the_age(
    settings: KafkaSettings, topic: str, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    def total() -> float:
        return REGISTRY.get_sample_value("kandle_event_age_seconds_sum", {"hop": "publish"}) or 0.0

    monkeypatch.setattr(publisher_module, "QUEUE_MESSAGES", 1)
    publisher = Publisher(settings, linger_ms=400)
    before, began_us = total(), time.time_ns() // 1_000
    await publisher.publish(topic, b"fills the queue", partition=0)
    age = Age("publish", began_us)
    if way == "one":
        await publisher.publish(topic, b"waits", partition=0, age=age)
    else:
        await publisher.publish_batch(topic, [(None, b"waits")], partition=0, age=age)
    waited_s = time.time_ns() / 1e9 - began_us / 1e6
    await publisher.close()
    assert waited_s > 0.2, "the one before lingers"
    assert total() - before > waited_s / 2, "not its own way alone"


async def test_flushes_at_the_same_time_do_not_take_each_others_records_for_lost(
    settings: KafkaSettings, topic: str
) -> None:
    publisher = Publisher(settings)

    async def work(name: int) -> None:
        for _ in range(30):
            await publisher.publish(topic, b"x", key=b"%d" % name)
            await publisher.flush()

    await asyncio.gather(*(work(name) for name in range(8)))
    assert publisher.acknowledged(topic) == 240
    await publisher.close()


async def test_a_record_that_the_topic_refuses_is_told(settings: KafkaSettings, kafka: str) -> None:
    name = f"publisher-{uuid.uuid4().hex[:8]}"
    client = AdminClient({"bootstrap.servers": kafka})
    config = {"max.message.bytes": "1000"}
    for future in client.create_topics([NewTopic(name, 1, 1, config=config)]).values():
        future.result(15)
    publisher = Publisher(settings)
    await publisher.publish(name, b"small")
    await publisher.flush()
    await publisher.publish(name, os.urandom(5_000))
    with pytest.raises(PublishError, match=f"refused 1 records for good: {name}"):
        await publisher.flush()
    with pytest.raises(PublishError):
        publisher.raise_if_failed()
    with pytest.raises(PublishError):
        await publisher.close()


async def test_a_record_against_its_schema_is_refused_at_once(settings: KafkaSettings, topic: str) -> None:
    publisher = Publisher(settings)
    wrong = TimeMark("binance", "s", "now", False, "i")  # type: ignore[arg-type]
    with pytest.raises(ValidationError):
        await publisher.publish(topic, wrong, partition=0)
    await publisher.close()


async def test_a_broker_that_is_away_is_waited_for() -> None:
    publisher = Publisher(KafkaSettings(bootstrap_servers="127.0.0.1:9"))
    await publisher.publish("nowhere", b"x")
    with pytest.raises(UnavailableError, match="not acknowledged 1 records within"):
        await publisher.flush(0.2)
    publisher.raise_if_failed()
    with pytest.raises(UnavailableError):
        await asyncio.wait_for(publisher.close(0.2), 5.0)
