"""Dead letters sent back or dropped, each once, whatever is killed in between.

A record that is sent back and the note that it was stand in one Kafka transaction: both are there, or
neither. All such commands share one transactional id, so that one that was killed, or still runs, is shut out
before the notes are read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Producer

from infra.kafka.admin import MAX_RECORD_BYTES
from infra.kafka.connection import librdkafka_config
from infra.kafka.dead_letters import RETRY_HEADER
from infra.kafka.partitioner import partition_of
from infra.range_set import RangeSet
from infra.settings import KafkaSettings
from kandle.dead_letters.letter import DeadLetter, Outcome, note_of
from schemas.errors import ConfigurationError, ConflictError, KandleError, UnavailableError
from schemas.namespace import current

CLIENT_ID: Final = "kandle-dlq"
TRANSACTION_TIMEOUT_S: Final = 20.0
"""A command that is killed in a transaction holds up readers of the topic for so long, or until the next."""
LETTERS: Final = 500
"""Letters of one transaction, at most."""
FENCED_BY_ANOTHER: Final = "another kandle dlq has begun to settle dead letters"
FENCED: Final = frozenset({KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH})


LASTING: Final = frozenset(
    {
        KafkaError._INVALID_ARG,
        KafkaError._UNKNOWN_PARTITION,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.INVALID_MSG,
        KafkaError.INVALID_RECORD,
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.POLICY_VIOLATION,
        KafkaError.RECORD_LIST_TOO_LARGE,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.TOPIC_EXCEPTION,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
    }
)
"""Why a topic does not take a record, now or later; else the broker is away, or has trouble that passes."""


def fault_of(failures: Sequence[tuple[str, KafkaError]]) -> KandleError:
    """What it means that topics did not take records, by the error that says most.

    Once one record of a transaction has failed, those after it fail for no reason of their own.
    """
    if any(error.code() in FENCED for _, error in failures):
        return ConflictError(FENCED_BY_ANOTHER)
    refused = [
        f"{topic} does not take a record: {error.str()}"
        for topic, error in failures
        if error.code() in LASTING
    ]
    if refused:
        return ConfigurationError(f"nothing of these dead letters was settled: {'; '.join(refused[:3])}")
    topic, error = failures[0]
    lost = f"Kafka did not acknowledge a record for {topic}: {error.str()}"
    return UnavailableError(f"nothing of these dead letters was settled: {lost}")


class Settling:
    """Settles dead letters; one at a time on a broker, the newest. Blocks.

    Args:
        kafka: Where the topics are.
        partition_counts: Partitions of the topics that letters may go back to.
        on_settled: Called after each transaction with its letters.

    Raises:
        UnavailableError: The broker does not answer.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        partition_counts: Mapping[str, int],
        on_settled: Callable[[list[DeadLetter]], None] = lambda _: None,
    ) -> None:
        self._counts = partition_counts
        self._on_settled = on_settled
        self._failures: list[tuple[str, KafkaError]] = []
        self._producer = Producer(
            librdkafka_config(kafka)
            | {
                "client.id": CLIENT_ID,
                "transactional.id": current().name_of(CLIENT_ID),
                "transaction.timeout.ms": round(TRANSACTION_TIMEOUT_S * 1000),
                "compression.type": "lz4",
                "message.max.bytes": MAX_RECORD_BYTES,
                "log_level": 0,
            }
        )
        self._call(self._producer.init_transactions)

    def settle(self, letters: Iterable[DeadLetter], outcome: Outcome) -> int:
        """Send letters back to where they came from, or drop them; returns how many.

        A letter goes back as it was: key, value and headers, to the partition of its key as producers choose
        it, without a key to the one that it came from; and in the order of the letters. One header is added.

        Args:
            letters: Letters that wait, in order.
            outcome: What to do.

        Raises:
            ConfigurationError: A topic does not take a letter.
            ConflictError: Another command has begun to settle letters.
            UnavailableError: The broker does not answer. What was settled before stays so.
        """
        rest = iter(letters)
        settled = 0
        while portion := list(islice(rest, LETTERS)):
            self._call(self._producer.begin_transaction, timed=False)
            try:
                self._write(portion, outcome)
                self._call(self._producer.commit_transaction)
            except BaseException:
                self._abort()
                raise
            settled += len(portion)
            self._on_settled(portion)
        return settled

    def _write(self, portion: list[DeadLetter], outcome: Outcome) -> None:
        offsets: dict[tuple[str, int], RangeSet] = {}
        for letter in portion:
            if outcome == "retried":
                kept = [header for header in letter.headers if header[0] != RETRY_HEADER]
                headers = [*kept, (RETRY_HEADER, letter.name.encode())]
                self._put(letter.source, letter.value, letter.key, self._partition(letter), headers)
            offsets.setdefault((letter.topic, letter.partition), RangeSet()).add(letter.offset)
        for (topic, partition), settled in offsets.items():
            value, note = note_of(outcome, settled)
            self._put(topic, value, None, partition, note)
        self._call(self._producer.flush, timed=False)
        if self._failures:
            raise fault_of(self._failures)

    def _partition(self, letter: DeadLetter) -> int:
        count = self._counts.get(letter.source, 0)
        if not count:
            raise ConfigurationError(f"{letter.name} came from {letter.source}, which is no topic now")
        if letter.key is not None:
            return partition_of(letter.key, count)
        return letter.source_partition if letter.source_partition < count else 0

    def _put(self, topic: str, value: bytes | None, key: bytes | None, partition: int, headers: Any) -> None:
        handed_over = False
        while not handed_over:
            try:
                self._producer.produce(
                    topic, value, key, partition=partition, headers=headers, on_delivery=self._delivered
                )
                handed_over = True
            except BufferError:
                self._producer.poll(0.1)
            except KafkaException as error:
                self._failures.append((topic, error.args[0]))
                raise fault_of(self._failures) from error

    def _delivered(self, error: KafkaError | None, message: Any) -> None:
        if error is not None:
            self._failures.append((message.topic(), error))

    def _call(self, call: Callable[..., Any], timed: bool = True) -> None:
        try:
            call(*((TRANSACTION_TIMEOUT_S,) if timed else ()))
        except KafkaException as error:
            cause = error.args[0]
            if cause.code() in FENCED:
                raise ConflictError(FENCED_BY_ANOTHER) from error
            raise UnavailableError(f"Kafka does not settle dead letters: {cause.str()}") from error

    def _abort(self) -> None:
        try:
            self._producer.abort_transaction(TRANSACTION_TIMEOUT_S)
        except KafkaException:
            # It was fenced, or the broker is away: then the broker aborts it, before the next begins.
            self._producer.purge()
