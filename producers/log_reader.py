"""Reads topics from given offsets to their present end, once."""

import time
from collections.abc import Callable, Mapping
from typing import Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from infra.kafka.connection import librdkafka_config
from infra.settings import KafkaSettings
from schemas.errors import UnavailableError

POLL_RECORDS: Final = 10_000
TIMEOUT_S: Final = 30.0
"""The log must move on within this time while it is read; a large one may take longer as a whole."""

RETRY_S: Final = 0.1

_LEADERLESS: Final = frozenset(
    {
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._UNKNOWN_PARTITION,
        KafkaError._UNKNOWN_TOPIC,
    }
)


class LogReader:
    """Reads partitions from given offsets to their present end. Blocks; use from a thread."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._consumer = Consumer(
            librdkafka_config(settings)
            | {
                "group.id": "kandle-producers-resume",
                "enable.auto.commit": False,
                "auto.offset.reset": "error",
                "enable.partition.eof": False,
                # Waits that suit a stream, not a log that is read once to its end.
                "fetch.wait.max.ms": 50,
                "fetch.queue.backoff.ms": 5,
                "log_level": 2,
            }
        )

    def close(self) -> None:
        """Let the connection go."""
        self._consumer.close()

    def read(
        self,
        topic: str,
        starts: Mapping[int, int] | None,
        take: Callable[[Message], None],
        ends: Mapping[int, int] | None = None,
    ) -> int:
        """Hand every message to `take`, from `starts` or the beginning; returns the count.

        Args:
            topic: Name of the topic.
            starts: Offsets to begin at, by partition; None: everything from its beginning.
            take: Takes the messages.
            ends: Offsets before which to stop, at the latest soon after; None: the present end.

        Raises:
            UnavailableError: The broker does not answer.
        """
        try:
            return self._read(topic, starts or {}, take, ends or {})
        except KafkaException as error:
            raise UnavailableError(f"{topic} cannot be read: {error.args[0].str()}") from error

    def _read(
        self,
        topic: str,
        starts: Mapping[int, int],
        take: Callable[[Message], None],
        until: Mapping[int, int],
    ) -> int:
        found = self._consumer.list_topics(topic, timeout=TIMEOUT_S).topics[topic]
        ends: dict[int, int] = {}
        begin: list[TopicPartition] = []
        for number in found.partitions:
            low, high = self._watermarks(TopicPartition(topic, number))
            high = min(high, until.get(number, high))
            start = max(low, starts.get(number, OFFSET_BEGINNING))
            # A start beyond the end belongs to a topic that was deleted and made again.
            start = start if start <= high else low
            if start < high:
                ends[number] = high
                begin.append(TopicPartition(topic, number, start))
        self._consumer.assign(begin)
        count, moved = 0, time.monotonic()
        while ends:
            messages = self._consumer.consume(POLL_RECORDS, timeout=0.2)
            if messages:
                moved = time.monotonic()
            elif time.monotonic() - moved > TIMEOUT_S:
                raise UnavailableError(f"{topic} stands still while it is read; is the broker up?")
            for message in messages:
                if message.error() is not None:
                    raise KafkaException(message.error())
                count += 1
                take(message)
            for position in self._consumer.position([TopicPartition(topic, number) for number in ends]):
                if position.offset >= ends[position.partition]:
                    del ends[position.partition]
        return count

    def offsets_at(self, topic: str, at_ms: int) -> dict[int, int]:
        """Of each partition the offset of the first message appended at a time (ms since the epoch) or later.

        Raises:
            UnavailableError: The broker does not answer.
        """
        try:
            numbers = self._consumer.list_topics(topic, timeout=TIMEOUT_S).topics[topic].partitions
            asked = [TopicPartition(topic, number, at_ms) for number in numbers]
            found = self._consumer.offsets_for_times(asked, timeout=TIMEOUT_S)
        except KafkaException as error:
            raise UnavailableError(f"{topic} cannot be read: {error.args[0].str()}") from error
        return {place.partition: place.offset for place in found if place.offset >= 0}

    def _watermarks(self, partition: TopicPartition) -> tuple[int, int]:
        """Lowest and next offset; a partition that was just made has no leader for a moment."""
        deadline = time.monotonic() + TIMEOUT_S
        while True:
            try:
                low, high = self._consumer.get_watermark_offsets(partition, timeout=TIMEOUT_S)
            except KafkaException as error:
                if error.args[0].code() not in _LEADERLESS or time.monotonic() > deadline:
                    raise
                time.sleep(RETRY_S)
            else:
                return low, high
