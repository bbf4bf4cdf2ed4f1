"""Reading a topic from a terminal: from its beginning, its last records, or as they come."""

from collections.abc import Iterator
from types import TracebackType
from typing import Self

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from infra.kafka.admin import Admin
from infra.kafka.connection import librdkafka_config
from infra.settings import KafkaSettings
from schemas import rows
from schemas.errors import ConfigurationError, KandleError, UnavailableError
from schemas.records import TimeMark

POLL_S = 0.2
TIMEOUT_S = 10.0
FIRST_WINDOW = 1_000

_MARK_HEADER = rows.encode(TimeMark("", "", 0, False, ""))[: rows.HEADER.size]


def is_mark(message: Message) -> bool:
    """Whether the value is a time mark, by its schema id."""
    value = message.value()
    return value is not None and value[: rows.HEADER.size] == _MARK_HEADER


class TopicReader:
    """Reads all partitions of a topic without joining a group. Blocks; a context manager.

    Args:
        settings: Connection.
        topic: Name of an existing topic.
        marks: Whether time marks are wanted.

    Raises:
        ConfigurationError: There is no such topic.
        UnavailableError: The broker does not answer.
    """

    def __init__(self, settings: KafkaSettings, topic: str, *, marks: bool) -> None:
        self._marks = marks
        self._consumer = Consumer(
            librdkafka_config(settings)
            | {"group.id": "kandle-tail", "enable.auto.commit": False, "enable.partition.eof": True}
        )
        try:
            self._partitions = self._existing(topic)
            ranges = Admin(settings).log_ranges([(topic, tp.partition) for tp in self._partitions])
        except KandleError:
            self._consumer.close()
            raise
        self._bounds = {number: bounds for (_, number), bounds in ranges.items()}

    def _existing(self, topic: str) -> list[TopicPartition]:
        try:
            found = self._consumer.list_topics(timeout=TIMEOUT_S).topics
        except KafkaException as error:
            raise UnavailableError(f"Kafka does not answer: {error.args[0].str()}") from error
        if topic not in found:
            known = ", ".join(sorted(name for name in found if not name.startswith("__")))
            raise ConfigurationError(f"there is no topic {topic!r}; there are: {known or 'none yet'}")
        return [TopicPartition(topic, number) for number in sorted(found[topic].partitions)]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._consumer.close()

    @property
    def low(self) -> dict[int, int]:
        """Offset of the first record, by partition."""
        return {number: low for number, (low, _) in self._bounds.items()}

    @property
    def high(self) -> dict[int, int]:
        """Offset after the last record when the reader was made, by partition."""
        return {number: high for number, (_, high) in self._bounds.items()}

    def present(self, starts: dict[int, int]) -> Iterator[Message]:
        """Records from `starts` to what was the end when the reader was made."""
        left = {number for number, start in starts.items() if start < self.high[number]}
        self._assign({number: starts[number] for number in left})
        while left:
            for message in self._poll(left):
                if message.offset() < self.high[message.partition()] and self._wanted(message):
                    yield message
                if message.offset() >= self.high[message.partition()] - 1:
                    left.discard(message.partition())

    def last(self, count: int) -> list[Message]:
        """The newest `count` records, fewer if the topic holds fewer, oldest first."""
        window = max(FIRST_WINDOW, 2 * count)
        while True:
            starts = {number: max(self.low[number], high - window) for number, high in self.high.items()}
            found = list(self.present(starts))
            if len(found) >= count or starts == self.low:
                ordered = sorted(found, key=lambda m: (m.timestamp()[1], m.partition(), m.offset()))
                return ordered[-count:]
            window *= 8

    def coming(self) -> Iterator[Message]:
        """Records after what was the end when the reader was made, without end."""
        self._assign(self.high)
        while True:
            for message in self._poll(set()):
                if self._wanted(message):
                    yield message

    def _assign(self, starts: dict[int, int]) -> None:
        topic = self._partitions[0].topic
        self._consumer.assign([TopicPartition(topic, number, start) for number, start in starts.items()])

    def _poll(self, left: set[int]) -> Iterator[Message]:
        for message in self._consumer.consume(500, timeout=POLL_S):
            error = message.error()
            if error is None:
                yield message
            elif error.code() == KafkaError._PARTITION_EOF:
                # Control records take offsets that no message shows: an end may lack its last offset.
                left.discard(message.partition())
            elif error.fatal() or error.code() == KafkaError._ALL_BROKERS_DOWN:
                raise UnavailableError(f"Kafka does not answer: {error.str()}")

    def _wanted(self, message: Message) -> bool:
        return self._marks or not is_mark(message)
