"""Topics on a real broker: made from the table, checked against it."""

import dataclasses
import uuid

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from infra.kafka.admin import Admin
from infra.settings import KafkaSettings
from schemas.errors import ConfigurationError, UnavailableError
from schemas.topics import TRADES, Topic


@pytest.fixture
def topic() -> Topic:
    """A topic like that of the trades, under a name of its own."""
    return dataclasses.replace(TRADES, base_name=f"topics-{uuid.uuid4().hex[:8]}")


def settings(kafka: str, partitions: int = 3) -> KafkaSettings:
    return KafkaSettings(bootstrap_servers=kafka, partitions=partitions)


def test_missing_topics_are_made_once_and_found_the_next_time(kafka: str, topic: Topic) -> None:
    admin = Admin(settings(kafka))
    admin.ensure_topics([topic])
    admin.ensure_topics([topic])
    assert admin.end_offsets(topic.name, 3) == [0, 0, 0]
    assert admin.end_offsets(topic.dead_letter_name, 1) == [0]
    first, second = (admin.topic_ids([topic.name])[topic.name] for _ in range(2))
    assert first == second
    client = AdminClient({"bootstrap.servers": kafka})
    client.delete_topics([topic.name])[topic.name].result(30)
    admin.ensure_topics([topic])
    assert admin.topic_ids([topic.name])[topic.name] != first


def test_another_partition_count_is_refused_by_name(kafka: str, topic: Topic) -> None:
    Admin(settings(kafka)).ensure_topics([topic])
    with pytest.raises(ConfigurationError, match=f"{topic.name} has 3 partitions, settings say 5"):
        Admin(settings(kafka, partitions=5)).ensure_topics([topic])


def test_other_settings_of_a_topic_are_refused_by_name(kafka: str, topic: Topic) -> None:
    client = AdminClient({"bootstrap.servers": kafka})
    made = NewTopic(topic.name, 3, config={"message.timestamp.type": "CreateTime"})
    client.create_topics([made])[topic.name].result(30)
    with pytest.raises(ConfigurationError, match=r"message\.timestamp\.type=CreateTime"):
        Admin(settings(kafka)).ensure_topics([topic])


def test_a_broker_that_is_not_there_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.kafka.admin.TIMEOUT_S", 1.0)
    with pytest.raises(UnavailableError, match=r"127\.0\.0\.1:1"):
        Admin(settings("127.0.0.1:1")).ensure_topics()
