"""Topics on the broker: made from the topic table, checked against it, looked up by id."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from confluent_kafka import ConsumerGroupTopicPartitions as _ConsumerGroupTopicPartitions
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka import TopicCollection as _TopicCollection
from confluent_kafka import TopicPartition as _TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, OffsetSpec, ResourceType

from infra.kafka.connection import librdkafka_config
from infra.settings import KafkaSettings
from schemas.errors import ConfigurationError, UnavailableError
from schemas.topics import DLQ_RETENTION_MS, TOPICS, Topic

TIMEOUT_S = 15.0
PASSING_S = 10.0
NEW_TOPICS_S = 60.0
"""New partitions have leaders after milliseconds; on a machine that is busy otherwise, it took 12 s."""
PASSING = frozenset(
    {
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.OFFSET_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.NOT_COORDINATOR,
        KafkaError._NOENT,
    }
)
"""Errors of a broker that is still settling; they pass within `PASSING_S`, or are real."""
STALE = frozenset({KafkaError.FENCED_LEADER_EPOCH, KafkaError.UNKNOWN_LEADER_EPOCH, KafkaError._NOENT})
"""Of these, what a client that knew the broker before its restart says for ever: it does not look again."""
OFFSETS_TOPIC = "__consumer_offsets"
"""A broker that has had no group has none."""
MAX_RECORD_BYTES = 16 * 1024 * 1024
"""Largest record that a topic takes."""


@dataclass(frozen=True, slots=True)
class ClusterLayout:
    """Brokers and replicas.

    Attributes:
        brokers: How many are up.
        replicas: By topic, of each of its partitions how many replicas it has and how many are in sync.
    """

    brokers: int
    replicas: Mapping[str, Sequence[tuple[int, int]]]


class Admin:
    """Blocking calls to the broker's administration; use from a thread in asynchronous code.

    Args:
        settings: Connection and layout.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._client = self._new_client()

    def ensure_topics(self, topics: Iterable[Topic] = TOPICS) -> None:
        """Create what is missing and check what exists.

        Raises:
            ConfigurationError: A topic exists with other partitions or settings than the table says.
            UnavailableError: The broker does not answer.
        """
        wanted = {name: (count, config) for name, count, config in self._layout(topics)}
        existing = self._existing()
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
        # librdkafka (2.16) ends the process where the answer to this names no broker.
        self._metadata()
        asked = _TopicCollection(list(names))
        found = self._ask(lambda client: client.describe_topics(asked, request_timeout=TIMEOUT_S))
        return {name: str(description.topic_id) for name, description in found.items()}

    def partition_counts(self) -> dict[str, int]:
        """How many partitions each topic on the broker has, by name; without the broker's own topics.

        Raises:
            UnavailableError: The broker does not answer.
        """
        return {
            name: len(found.partitions)
            for name, found in self._existing().items()
            if not name.startswith("__")
        }

    def cluster(self) -> ClusterLayout:
        """The brokers that are up, and the replicas of all topics but the brokers' own.

        Raises:
            UnavailableError: The broker does not answer.
        """
        found = self._metadata()
        return ClusterLayout(
            len(found.brokers),
            {
                name: [(len(each.replicas), len(each.isrs)) for each in topic.partitions.values()]
                for name, topic in found.topics.items()
                if not name.startswith("__")
            },
        )

    def end_offsets(self, topic: str, partitions: int) -> list[int]:
        """The offset after the last record, by partition.

        Raises:
            UnavailableError: The broker does not answer, or the topic does not exist.
        """
        found = self._offsets(
            [_TopicPartition(topic, number) for number in range(partitions)], OffsetSpec.latest()
        )
        return [found[topic, number] for number in range(partitions)]

    def log_ranges(self, partitions: Iterable[tuple[str, int]]) -> dict[tuple[str, int], tuple[int, int]]:
        """The first offset that the log still holds and the one after the last, by (topic, partition).

        Raises:
            UnavailableError: The broker does not answer, or a partition does not exist.
        """
        asked = [_TopicPartition(topic, number) for topic, number in partitions]
        firsts = self._offsets(asked, OffsetSpec.earliest())
        ends = self._offsets(asked, OffsetSpec.latest())
        return {key: (first, ends[key]) for key, first in firsts.items()}

    def offsets_at(
        self, partitions: Iterable[tuple[str, int]], time_ms: int
    ) -> dict[tuple[str, int], int | None]:
        """The first offset whose record was appended at a time or later, by (topic, partition).

        Args:
            partitions: Topics and partitions.
            time_ms: Milliseconds since the epoch, by the broker's clock.

        Returns:
            None for a partition where nothing was appended since.

        Raises:
            UnavailableError: The broker does not answer, or a partition does not exist.
        """
        asked = [_TopicPartition(topic, number) for topic, number in partitions]
        found = self._offsets(asked, OffsetSpec.for_timestamp(time_ms))
        return {key: None if offset < 0 else offset for key, offset in found.items()}

    def members(self, group: str) -> int:
        """How many consumers a group has now; 0 for one that does not exist.

        Raises:
            UnavailableError: The broker does not answer.
        """
        return len(self.readers(group))

    def readers(self, group: str) -> list[set[str]]:
        """Of each consumer that a group has now the topics of its partitions.

        Raises:
            UnavailableError: The broker does not answer.
        """
        found = self._ask(
            lambda client: client.describe_consumer_groups([group], request_timeout=TIMEOUT_S),
            tolerated=KafkaError.GROUP_ID_NOT_FOUND,
        )
        return [
            {tp.topic for tp in member.assignment.topic_partitions}
            for description in found.values()
            if description is not None
            for member in description.members
        ]

    def groups(self, known: Iterable[str] = ()) -> list[str]:
        """Names of all consumer groups that the broker knows.

        Args:
            known: Groups that may exist. A broker that was just started may list none yet, and not say so;
                asked for one by name, it answers when it has read what it keeps of it.

        Raises:
            UnavailableError: The broker does not answer, or not for all.
        """
        if OFFSETS_TOPIC in self._existing():
            for name in known:
                self.members(name)
        deadline = time.monotonic() + PASSING_S
        while True:
            found = self._ask(lambda client: {"all": client.list_consumer_groups(request_timeout=TIMEOUT_S)})
            listed = found["all"]
            if not listed.errors:
                return sorted(group.group_id for group in listed.valid)
            if listed.errors[0].code() not in PASSING or time.monotonic() > deadline:
                raise self._unavailable(KafkaException(listed.errors[0]))
            time.sleep(0.1)

    def committed(self, group: str) -> dict[tuple[str, int], int]:
        """The offsets that a group has committed, by (topic, partition); none for one that does not exist.

        Raises:
            UnavailableError: The broker does not answer.
        """
        # librdkafka (2.16) ends the process where a broker that is not the group's coordinator yet answers
        # this with NOT_COORDINATOR; asked who is in the group, it waits until the broker has become that.
        self.members(group)
        asked = [_ConsumerGroupTopicPartitions(group)]
        found = self._ask(
            lambda client: client.list_consumer_group_offsets(asked, request_timeout=TIMEOUT_S),
            tolerated=KafkaError.GROUP_ID_NOT_FOUND,
        )
        return {
            (tp.topic, tp.partition): tp.offset
            for answer in found.values()
            if answer is not None
            for tp in answer.topic_partitions
            if tp.offset >= 0
        }

    def delete_groups(self, names: Iterable[str]) -> None:
        """Delete consumer groups with their offsets; what is gone already counts as deleted.

        Raises:
            UnavailableError: The broker does not answer, or a group has members.
        """
        asked = list(names)
        if asked:
            self._ask(
                lambda client: client.delete_consumer_groups(asked, request_timeout=TIMEOUT_S),
                tolerated=KafkaError.GROUP_ID_NOT_FOUND,
            )

    def delete_topics(self, names: Iterable[str]) -> None:
        """Delete topics and wait until the broker lists them no more; what is gone already is none too many.

        Raises:
            UnavailableError: The broker does not answer, or still lists them.
        """
        asked = list(names)
        if not asked:
            return
        self._ask(
            lambda client: client.delete_topics(asked, request_timeout=TIMEOUT_S),
            tolerated=KafkaError.UNKNOWN_TOPIC_OR_PART,
        )
        deadline = time.monotonic() + PASSING_S
        while left := sorted(self._existing().keys() & set(asked)):
            if time.monotonic() > deadline:
                raise UnavailableError(f"Kafka still lists deleted topics, as {left[0]}: try again")
            time.sleep(0.1)

    def _offsets(
        self, asked: list[_TopicPartition], spec: OffsetSpec, patience_s: float = PASSING_S
    ) -> dict[tuple[str, int], int]:
        specs = dict.fromkeys(asked, spec)
        found = self._ask(
            lambda client: client.list_offsets(specs, request_timeout=TIMEOUT_S), patience_s=patience_s
        )
        return {(tp.topic, tp.partition): answer.offset for tp, answer in found.items()}

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
        topics = [
            NewTopic(name, count, replication, config=config) for name, (count, config) in wanted.items()
        ]
        # Another process may be making them as well: what matters is that they are there.
        self._ask(
            lambda client: client.create_topics(topics, request_timeout=TIMEOUT_S),
            tolerated=KafkaError.TOPIC_ALREADY_EXISTS,
        )
        partitions = [
            _TopicPartition(name, number) for name, (count, _) in wanted.items() for number in range(count)
        ]
        self._offsets(partitions, OffsetSpec.earliest(), patience_s=NEW_TOPICS_S)

    def _config_problems(self, wanted: dict[str, dict[str, str]]) -> list[str]:
        if not wanted:
            return []
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in wanted]
        problems: list[str] = []
        answers = self._ask(lambda client: client.describe_configs(resources, request_timeout=TIMEOUT_S))
        for resource, found in answers.items():
            for key in ("cleanup.policy", "message.timestamp.type"):
                expected = wanted[resource.name][key]
                actual = found[key].value
                if actual != expected:
                    problems.append(f"{resource.name} has {key}={actual}, expected {expected}")
        return problems

    def _new_client(self) -> AdminClient:
        config = {"socket.timeout.ms": int(TIMEOUT_S * 1000)}
        return AdminClient(librdkafka_config(self._settings) | config)

    def _existing(self) -> dict[str, Any]:
        found: dict[str, Any] = self._metadata().topics
        return found

    def _metadata(self) -> Any:
        deadline = time.monotonic() + PASSING_S
        while True:
            try:
                return self._client.list_topics(timeout=TIMEOUT_S)
            except KafkaException as error:
                # A broker that was starved counts as lost for a moment, and names none, not even itself.
                if error.args[0].code() != KafkaError._PARTIAL or time.monotonic() > deadline:
                    raise self._unavailable(error) from error
            time.sleep(0.1)

    def _ask(
        self,
        request: Callable[[AdminClient], Mapping[Any, Any]],
        tolerated: int | None = None,
        patience_s: float = PASSING_S,
    ) -> dict[Any, Any]:
        """Send a request and wait for its answers; what passes by itself, as with new topics, is asked again.

        Args:
            request: Asks a client; gives a future for each thing asked.
            tolerated: An error code that counts as an answer, None.
            patience_s: For how long it is asked again.
        """
        deadline = time.monotonic() + patience_s
        while True:
            # Held until it has answered: another thread may put a new one in its place, and answers to a
            # client that is gone never come.
            client = self._client
            try:
                return {key: _answer(future, tolerated) for key, future in request(client).items()}
            except KafkaException as error:
                code = error.args[0].code()
                if code not in PASSING or time.monotonic() > deadline:
                    raise self._unavailable(error) from error
                if code in STALE:
                    self._client = self._new_client()
            time.sleep(0.1)

    def _unavailable(self, error: KafkaException) -> UnavailableError:
        servers, reason = self._settings.bootstrap_servers, error.args[0]
        return UnavailableError(
            f"Kafka at {servers} does not answer as expected: {reason.str().strip(': ')} ({reason.name()})"
        )


def _answer(future: Any, tolerated: int | None) -> Any:
    try:
        return future.result()
    except KafkaException as error:
        if error.args[0].code() == tolerated:
            return None
        raise
