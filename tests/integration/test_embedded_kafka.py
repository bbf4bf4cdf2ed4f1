"""The embedded broker: what it keeps over stops and kills, and whom it listens to."""

import os
import signal
import time
from pathlib import Path

import psutil
import pytest
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from infra.embedded import cluster
from infra.embedded.child import Child
from infra.embedded.kafka import KafkaServer
from infra.embedded.stage_log import StageLog
from infra.kafka.admin import Admin
from infra.settings import KafkaSettings

TOPIC = "kept"


def produce(servers: str, *values: str) -> None:
    producer = Producer({"bootstrap.servers": servers, "acks": "all", "log_level": 0})
    for value in values:
        producer.produce(TOPIC, value)
    assert producer.flush(10) == 0


def consume(servers: str, count: int) -> list[str]:
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "reader", "log_level": 0})
    consumer.assign([TopicPartition(TOPIC, 0, 0)])
    values: list[str] = []
    deadline = time.monotonic() + 10
    while len(values) < count and time.monotonic() < deadline:
        for message in consumer.consume(count, timeout=0.2):
            value = message.value()
            assert value is not None
            values.append(value.decode())
    consumer.close()
    return values


@pytest.mark.full
def test_records_survive_a_stop_a_kill_and_other_ports(tmp_path: Path) -> None:
    with cluster.broker(tmp_path) as first:
        admin = AdminClient({"bootstrap.servers": first, "log_level": 0})
        admin.create_topics([NewTopic(TOPIC, 1, 1)])[TOPIC].result(10)
        produce(first, "a", "b")

    server = KafkaServer.prepare(tmp_path)
    assert server.bootstrap_servers != first
    child = Child.start(server.spec, StageLog.of(tmp_path, "kafka"))
    try:
        child.wait_until_ready()
        produce(server.bootstrap_servers, "c")
        process = psutil.Process(child.pid)
        listening = [each.laddr for each in process.net_connections() if each.status == "LISTEN"]
        assert len(listening) == 2
        assert {address.ip.removeprefix("::ffff:") for address in listening} == {"127.0.0.1"}
        asked = Admin(KafkaSettings(bootstrap_servers=server.bootstrap_servers))
        assert asked.end_offsets(TOPIC, 1) == [3]
        os.kill(child.pid, signal.SIGKILL)
        child.kill()
        child = Child.start(server.spec, StageLog.of(tmp_path, "kafka"))
        child.wait_until_ready()
        assert asked.end_offsets(TOPIC, 1) == [3], "who knew the broker before goes on asking it"
        os.kill(child.pid, signal.SIGKILL)
    finally:
        child.kill()

    with cluster.broker(tmp_path) as third:
        assert consume(third, 3) == ["a", "b", "c"]
        admin = AdminClient({"bootstrap.servers": third, "log_level": 0})
        unknown = admin.list_topics("never-made", timeout=5).topics["never-made"].error
        assert unknown is not None
        assert unknown.code() == KafkaError.UNKNOWN_TOPIC_OR_PART
        assert "never-made" not in admin.list_topics(timeout=5).topics
    assert not process.is_running()


def test_an_interrupted_formatting_is_done_again(tmp_path: Path) -> None:
    draft = tmp_path / "kafka" / "log.draft"
    draft.mkdir(parents=True)
    (draft / "meta.properties").write_text("cut o")
    KafkaServer.prepare(tmp_path)
    assert not draft.exists()
    assert "cluster.id" in (tmp_path / "kafka" / "log" / "meta.properties").read_text()
