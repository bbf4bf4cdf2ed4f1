"""Records that cannot be used go to `<topic>.dlq`: the original bytes, and headers that say why.

The headers are Kafka Connect's (KIP-298), so that existing tools read them. Delivery is at least once: a
stage that is killed between sending a dead letter and moving its own offset sends it again.
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from typing import Any, Final, Protocol

from infra.metrics.publishing import DEAD_LETTERS
from infra.metrics.stages import count_error
from infra.secrets import MASK
from schemas.errors import KandleError, UnavailableError
from schemas.topics import DEAD_LETTER_SUFFIX

SUFFIX: Final = DEAD_LETTER_SUFFIX
HEADER_PREFIX: Final = "__connect.errors."
RETRY_HEADER: Final = "kandle.retry"
"""Of a record that was sent back: the dead letter that it was, as topic/partition/offset."""
NOTE_HEADER: Final = "kandle.settled"
"""Of a note behind settled dead letters: the outcome. Its value is JSON: [[first, end], ...]."""
MESSAGE_LIMIT: Final = 1000
"""Characters of an error's message that a header keeps: a header is read by people."""

Headers = Sequence[tuple[str, bytes | None]]


class DeadLetterRefused(KandleError):  # noqa: N818 - named by what happened, as the whole tree is
    """The dead letter topic did not take a record: stop the stage, its offset must not move."""

    code = "DEAD_LETTER_REFUSED"


class RecordPublisher(Protocol):
    """What dead letters need of `infra.kafka.publisher.Publisher`."""

    async def publish(
        self,
        topic: str,
        record: Any,
        key: Any = None,
        partition: int | None = None,
        headers: Any = None,
    ) -> Any:
        """Hand a record (or its bytes) to the producer's queue; waits while that is full."""

    async def flush(self, timeout_s: float) -> Any:
        """Wait until everything handed over is acknowledged."""

    def raise_if_failed(self) -> None:
        """Raise if a delivery failed."""


def dead_letter_topic(topic: str) -> str:
    """Name of the topic that holds the dead letters of `topic`; a dead letter's own topic is itself."""
    return topic if topic.endswith(SUFFIX) else topic + SUFFIX


def error_headers(
    *,
    stage: str,
    topic: str,
    partition: int,
    offset: int,
    reason: str,
    error: BaseException | None = None,
) -> list[tuple[str, bytes]]:
    """The `__connect.errors.*` headers of one record.

    Args:
        stage: Name of the stage that refused it; Connect's "connector name" and "stage".
        topic: Topic it was read from.
        partition: Its partition there.
        offset: Its offset there.
        reason: Why, in words for a person.
        error: The exception, where there was one: gives the class name and, for a bug's sake, the trace.
    """
    values = {
        "topic": topic,
        "partition": str(partition),
        "offset": str(offset),
        "connector.name": stage,
        "stage": stage,
        "exception.class.name": type(error).__qualname__ if error is not None else "Refused",
        "exception.message": reason[:MESSAGE_LIMIT],
    }
    if error is not None and not isinstance(error, KandleError):
        values["exception.stacktrace"] = "".join(traceback.format_exception(error))[-4 * MESSAGE_LIMIT :]
    told = {name: MASK.masked(value) for name, value in values.items()}
    return [(HEADER_PREFIX + name, value.encode("utf-8", "replace")) for name, value in told.items()]


class DeadLetters:
    """Sends what a stage refuses to the dead letter topics.

    Args:
        publisher: Where to publish; shared with the stage's outputs where it has some.
        stage: Name of the stage, for the headers and the metric.
    """

    def __init__(self, publisher: RecordPublisher, stage: str) -> None:
        self._publisher = publisher
        self._stage = stage
        self._settled = 0
        self.sent = 0
        """Dead letters handed over since the start."""

    async def send(
        self,
        topic: str,
        partition: int,
        offset: int,
        key: bytes | None,
        value: bytes | None,
        headers: Headers = (),
        error: BaseException | None = None,
        reason: str | None = None,
    ) -> None:
        """Queue one record for `<topic>.dlq`; call `settle` before the source's offset moves.

        Args:
            topic: Topic the record was read from.
            partition: Its partition there.
            offset: Its offset there.
            key: Its key, byte for byte.
            value: Its value, byte for byte.
            headers: Its own headers; kept, the error headers come after them.
            error: Why it was refused, as an exception ...
            reason: ... or in words; one of the two must be given.

        Raises:
            DeadLetterRefused: The producer does not take it.
            ValueError: Neither `error` nor `reason` was given.
        """
        if error is None and reason is None:
            raise ValueError("a dead letter needs its error or its reason")
        text = reason if reason is not None else str(error)
        described = error_headers(
            stage=self._stage, topic=topic, partition=partition, offset=offset, reason=text, error=error
        )
        target = dead_letter_topic(topic)
        kept = [entry for entry in headers if not entry[0].startswith(HEADER_PREFIX)]
        try:
            await self._publisher.publish(target, value, key=key, headers=[*kept, *described])
        except Exception as failure:
            raise self._refused(target, failure) from failure
        self.sent += 1
        DEAD_LETTERS.labels(self._stage, topic).inc()
        count_error(self._stage, error)

    async def settle(self, timeout_s: float = 30.0) -> None:
        """Wait until the broker has acknowledged every dead letter sent; returns at once if there is none.

        Raises:
            UnavailableError: The broker is away, nothing was acknowledged within `timeout_s` seconds. They
                stay queued, call `settle` again.
            DeadLetterRefused: One was refused for good.
        """
        sent = self.sent
        if self._settled >= sent:
            return
        try:
            await self._publisher.flush(timeout_s)
            self._publisher.raise_if_failed()
        except UnavailableError:
            raise
        except Exception as failure:
            raise self._refused("the dead letter topics", failure) from failure
        self._settled = max(self._settled, sent)

    def _refused(self, target: str, failure: Exception) -> DeadLetterRefused:
        return DeadLetterRefused(
            f"{target} did not take a dead letter of stage {self._stage}: {failure}. Nothing was skipped; "
            "mend the topic (does it exist, may this user write, is the record too large?) and start again"
        )
