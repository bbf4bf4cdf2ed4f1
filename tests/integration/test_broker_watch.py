"""What `kandle serve` shows of Kafka is what stands there."""

import asyncio
from pathlib import Path

from aiokafka import AIOKafkaConsumer, TopicPartition
from prometheus_client import REGISTRY

from infra.kafka.admin import Admin
from infra.kafka.publisher import Publisher
from infra.settings import KafkaSettings, ProcessorSettings, Settings
from schemas.records import SystemEvent
from schemas.topics import SYSTEM_EVENTS
from serve.broker_watch import BrokerWatch
from serve.brokers import Brokers
from tests.sink_harness import PARTITIONS, fresh_topics
from tests.sink_samples import sample


def value(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


async def test_brokers_topics_and_groups(kafka: str, tmp_path: Path) -> None:
    settings = Settings(
        data_dir=tmp_path,
        kafka=KafkaSettings(bootstrap_servers=kafka, partitions=PARTITIONS),
        processors=ProcessorSettings(app_id="watched"),
    )
    topic = SYSTEM_EVENTS.name
    await asyncio.to_thread(fresh_topics, settings.kafka)
    publisher = Publisher(settings.kafka)
    for number in range(5):
        await publisher.publish(topic, sample(SystemEvent, number), key=str(number), partition=0)
    await publisher.close(30)
    (end, *_) = await asyncio.to_thread(Admin(settings.kafka).end_offsets, topic, 1)
    reader = AIOKafkaConsumer(bootstrap_servers=kafka, group_id="watched", enable_auto_commit=False)
    await reader.start()
    reader.assign([TopicPartition(topic, 0)])
    await reader.commit({TopicPartition(topic, 0): end - 3})
    await reader.stop()

    await BrokerWatch(settings.kafka, Brokers(settings)).look()
    assert value("kandle_kafka_group_lag_records", group="watched", topic=topic) == 3
    assert value("kandle_kafka_brokers") == 1
    assert value("kandle_kafka_under_replicated_partitions") == 0
    assert value("kandle_kafka_topic_replication", topic=topic) == 1
    records, size = (value(f"kandle_kafka_topic_{what}", topic=topic) for what in ("records", "bytes"))
    assert records is not None
    assert records >= 5
    assert size is not None
    assert size > 50, "compressed, but on a disk"
