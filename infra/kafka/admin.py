"""Topics on the broker: made from the topic table, checked against it, looked up by id."""

from collections.abc import Iterable
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka import TopicCollection as _TopicCollection
from confluent_kafka import TopicPartition as _TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, OffsetSpec, ResourceType

from infra.kafka.connection import librdkafka_config
from infra.settings import KafkaSettings
from schemas.errors import ConfigurationError, UnavailableError
from schemas.topics import DLQ_RETENTION_MS, TOPICS, Topic

TIMEOUT_S = 15.0
MAX_RECORD_BYTES = 16 * 1024 * 1024
"""Largest record that a topic takes."""


class Admin:
    """Blocking calls to the broker's administration; use from a thread in asynchronous code.

    Args:
        settings: Connection and layout.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._client = AdminClient(librdkafka_config(settings) | {"socket.timeout.ms": int(TIMEOUT_S * 1000)})

    def ensure_topics(self, topics: Iterable[Topic] = TOPICS) -> None:
        """Create what is missing and check what exists.

        Raises:
            ConfigurationError: A topic exists with other partitions or settings than the table says.
            UnavailableError: The broker does not answer.
        """
        wanted = {name: (count, config) for name, count, config in self._layout(topics)}
        existing = self._call(lambda: self._client.list_topics(timeout=TIMEOUT_S)).topics
        missing = [name for name in wanted if name not in existing]
        if missing:
            self._create({name: wanted[name] for name in missing})
        present = [name for name in wanted if name in existing]
        problems = [
            f"{name} has {len(existing[name].partitions)} partitions, settings say {wanted[name][0]}"
            for name in present
            if len(existing[name].partitions) != wanted[name][0]
        ]
        problems += self._config_problems({name: wanted[name][1] for name in present})
        if problems:
            raise ConfigurationError(
                "topics on the broker differ from what is wanted:\n  "
                + "\n  ".join(problems)
                + "\nUse the partition count they were made with (KANDLE_KAFKA__PARTITIONS), or delete them."
            )

    def topic_ids(self, names: Iterable[str]) -> dict[str, str]:
        """The broker's own id of each topic: another one after a topic was deleted and made again.

        Raises:
            UnavailableError: The broker does not answer, or a topic does not exist.
        """
        futures = self._client.describe_topics(_TopicCollection(list(names)), request_timeout=TIMEOUT_S)
        return {name: str(self._call(future.result).topic_id) for name, future in futures.items()}

    def end_offsets(self, topic: str, partitions: int) -> list[int]:
        """The offset after the last record, by partition.

        Raises:
            UnavailableError: The broker does not answer, or the topic does not exist.
        """
        asked = {_TopicPartition(topic, number): OffsetSpec.latest() for number in range(partitions)}
        futures = self._client.list_offsets(asked, request_timeout=TIMEOUT_S)
        found = {tp.partition: self._call(future.result).offset for tp, future in futures.items()}
        return [found[number] for number in range(partitions)]

    def log_ranges(self, partitions: Iterable[tuple[str, int]]) -> dict[tuple[str, int], tuple[int, int]]:
        """The first offset that the log still holds and the one after the last, by (topic, partition).

        Raises:
            UnavailableError: The broker does not answer, or a partition does not exist.
        """
        asked = [_TopicPartition(topic, number) for topic, number in partitions]
        firsts, ends = (
            {
                (tp.topic, tp.partition): self._call(future.result).offset
                for tp, future in self._client.list_offsets(
                    dict.fromkeys(asked, spec), request_timeout=TIMEOUT_S
                ).items()
            }
            for spec in (OffsetSpec.earliest(), OffsetSpec.latest())
        )
        return {key: (first, ends[key]) for key, first in firsts.items()}

    def _layout(self, topics: Iterable[Topic]) -> Iterable[tuple[str, int, dict[str, str]]]:
        common = {
            "message.timestamp.type": "LogAppendTime",
            "max.message.bytes": str(MAX_RECORD_BYTES),
            "min.insync.replicas": str(self._settings.min_insync_replicas),
        }
        for topic in topics:
            kept = {} if topic.retention_ms is None else {"retention.ms": str(topic.retention_ms)}
            count = self._settings.partitions if topic.keyed else 1
            yield topic.name, count, {**common, "cleanup.policy": topic.cleanup, **kept, **topic.config}
            if topic.dead_letters:
                dead = {"cleanup.policy": "delete", "retention.ms": str(DLQ_RETENTION_MS)}
                yield topic.dead_letter_name, 1, {**common, **dead}

    def _create(self, wanted: dict[str, tuple[int, dict[str, str]]]) -> None:
        replication = self._settings.replication_factor
        futures = self._client.create_topics(
            [NewTopic(name, count, replication, config=config) for name, (count, config) in wanted.items()],
            request_timeout=TIMEOUT_S,
        )
        for future in futures.values():
            self._call(future.result, tolerate=KafkaError.TOPIC_ALREADY_EXISTS)

    def _config_problems(self, wanted: dict[str, dict[str, str]]) -> list[str]:
        if not wanted:
            return []
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in wanted]
        problems: list[str] = []
        for resource, future in self._client.describe_configs(resources, request_timeout=TIMEOUT_S).items():
            found = self._call(future.result)
            for key in ("cleanup.policy", "message.timestamp.type"):
                expected = wanted[resource.name][key]
                actual = found[key].value
                if actual != expected:
                    problems.append(f"{resource.name} has {key}={actual}, expected {expected}")
        return problems

    def _call(self, call: Any, tolerate: int | None = None) -> Any:
        try:
            return call()
        except KafkaException as error:
            if tolerate is not None and error.args[0].code() == tolerate:
                return None
            raise UnavailableError(
                f"Kafka at {self._settings.bootstrap_servers} does not answer as expected: "
                f"{error.args[0].str()}"
            ) from error
