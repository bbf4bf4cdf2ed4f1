"""What became of records that were handed to Kafka: counted by kind, with the age of some."""

import time
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeAlias

from confluent_kafka import KafkaError

from infra import metrics
from infra.kafka.batch_sender import Outcome
from schemas.records import Micros

Acknowledged: TypeAlias = Callable[[int, int], None]
"""Called with partition and offset once the broker has a record."""
Report: TypeAlias = Callable[[KafkaError | None, Any], None]
"""What librdkafka calls with the outcome of a record."""


class Age(NamedTuple):
    """What is measured when Kafka has a record: how old its event is then.

    Attributes:
        hop: See the metric `kandle_event_age_seconds`.
        event_us: When it happened at the venue, µs since the epoch.
    """

    hop: Literal["publish", "signal"]
    event_us: Micros


class Tally:
    """Counts the acknowledgements of one kind of record in one topic; librdkafka calls it for each."""

    __slots__ = ("_bytes", "_counter", "_refused", "_reported", "_topic", "size", "total")

    def __init__(self, topic: str, kind: str, refused: Callable[[str, int, str], None]) -> None:
        self._topic = topic
        self._counter = metrics.publishing.RECORDS_PUBLISHED.labels(topic, kind)
        self._bytes = metrics.publishing.BYTES_PUBLISHED.labels(topic)
        self._refused = refused
        self.total = 0
        self.size = 0
        """Bytes of the values since the last report."""
        self._reported = 0

    def __call__(self, error: KafkaError | None, message: Any) -> None:
        """Take in what became of a record."""
        if error is not None:
            self._refused(self._topic, 1, error.str())
            return
        self.total += 1
        self.size += len(message)

    def settle(self, count: int, reason: str | None) -> None:
        """Take in what became of a batch, see `batch_sender.Outcome`."""
        if reason is None:
            self.total += count
        else:
            self._refused(self._topic, count, reason)

    def report(self) -> None:
        """Bring the metric up to date: cheaper by the portion than by the record."""
        if self.total != self._reported:
            self._counter.inc(self.total - self._reported)
            self._reported = self.total
            self._bytes.inc(self.size)
            self.size = 0

    def then(self, acknowledged: Acknowledged) -> Report:
        """A callback that counts and passes partition and offset on."""

        def both(error: KafkaError | None, message: Any) -> None:
            self(error, message)
            if error is None:
                acknowledged(message.partition(), message.offset())

        return both


def aged(report: Report, age: Age) -> Report:
    """A callback that reports, and observes the age of an event at its acknowledgement."""
    handed_s = (time.time_ns() // 1_000 - age.event_us) / 1_000_000

    def observed(error: KafkaError | None, message: Any) -> None:
        report(error, message)
        if error is None:
            # The acknowledgement may have waited for the next poll: the library knows when it came.
            age_s = handed_s + (message.latency() or 0.0)
            metrics.stages.EVENT_AGE.labels(age.hop).observe(max(age_s, 0.0))

    return observed


def whole(settle: Outcome, count: int, acknowledged: Callable[[], None]) -> Outcome:
    """An outcome that passes on, and says when all of `count` records stand."""
    left = count

    def settled(part: int, reason: str | None) -> None:
        nonlocal left
        settle(part, reason)
        left -= part if reason is None else 0
        if not left:
            acknowledged()

    return settled
