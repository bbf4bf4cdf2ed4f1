"""What is shown of Kafka while parts of it do not answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from infra.kafka.admin import ClusterLayout
from infra.metrics.brokers import GROUP_LAG, REPLICATION, TOPIC_BYTES, TOPIC_RECORDS
from infra.settings import KafkaSettings, ProcessorSettings, Settings
from schemas.errors import UnavailableError
from schemas.topics import SIGNALS, SYSTEM_EVENTS
from serve import broker_watch, brokers
from serve.broker_watch import BrokerWatch
from serve.brokers import Brokers

TOPIC = SYSTEM_EVENTS.name
TP = (TOPIC, 0)


def value(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(f"kandle_kafka_{name}", labels)


class Kafka:
    """Stands for the broker's administration, and fails where it is told to."""

    def __init__(self) -> None:
        self.silent = ""

    def cluster(self) -> ClusterLayout:
        self._answer("cluster")
        return ClusterLayout(3, {TOPIC: [(3, 2)], SIGNALS.name: []})

    def log_ranges(self, partitions: Iterable[tuple[str, int]]) -> dict[tuple[str, int], tuple[int, int]]:
        self._answer("offsets")
        return dict.fromkeys(partitions, (40, 100))

    def partition_counts(self) -> dict[str, int]:
        return {TOPIC: 1, SIGNALS.name: 0}

    def readers(self, _: str) -> list[set[str]]:
        return []

    def committed(self, group: str) -> dict[tuple[str, int], int]:
        return {TP: 10} if group == "half-watched" else {}

    async def sizes(self, _: KafkaSettings) -> dict[str, int]:
        self._answer("sizes")
        return {TOPIC: 7}

    def _answer(self, question: str) -> None:
        if question == self.silent:
            raise UnavailableError("no answer")


@pytest.fixture
def kafka(monkeypatch: pytest.MonkeyPatch) -> Kafka:
    made = Kafka()
    monkeypatch.setattr(brokers, "Admin", lambda _: made)
    monkeypatch.setattr(broker_watch, "topic_bytes", made.sizes)
    return made


@pytest.fixture
async def watch(kafka: Kafka, tmp_path: Path) -> AsyncIterator[BrokerWatch]:
    for gauge in (REPLICATION, TOPIC_BYTES, TOPIC_RECORDS, GROUP_LAG):
        gauge.clear()  # others of this process may have looked at a real broker
    settings = Settings(data_dir=tmp_path, processors=ProcessorSettings(app_id="half-watched"))
    made = BrokerWatch(settings.kafka, Brokers(settings, fresh_s=0))
    yield made
    kafka.silent = "cluster"
    await made.look()


async def test_a_topic_without_partitions_yet_is_left_out(watch: BrokerWatch) -> None:
    await watch.look()
    assert value("brokers") == 3
    assert value("topic_replication", topic=TOPIC) == 3
    assert value("topic_replication", topic=SIGNALS.name) is None
    assert value("topic_bytes", topic=TOPIC) == 7


async def test_records_that_are_deleted_are_no_lag(watch: BrokerWatch) -> None:
    await watch.look()
    assert value("group_lag_records", group="half-watched", topic=TOPIC) == 60


@pytest.mark.parametrize("silent", ["sizes", "offsets", "cluster"])
async def test_what_is_not_known_is_not_shown_and_the_rest_is(
    watch: BrokerWatch, kafka: Kafka, silent: str
) -> None:
    await watch.look()
    kafka.silent = silent
    await watch.look()
    assert value("brokers") == (0 if silent == "cluster" else 3)
    assert value("topic_bytes", topic=TOPIC) is None
    assert value("group_lag_records", group="half-watched", topic=TOPIC) == (
        60 if silent == "sizes" else None
    )
    kafka.silent = ""
    await watch.look()
    assert value("topic_bytes", topic=TOPIC) == 7
