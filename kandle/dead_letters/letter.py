"""One dead letter, and the note that says what became of some.

A log cannot be deleted from the middle. So that a dead letter was sent back or dropped stands behind it, in
the same partition of the same topic, as a note: a record without a key, with a header. Retention deletes a
letter before its note.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import msgspec
from confluent_kafka import Message

from infra.kafka.dead_letters import HEADER_PREFIX, NOTE_HEADER, SUFFIX
from infra.range_set import RangeSet

Outcome: TypeAlias = Literal["retried", "dropped"]

_RANGES: Final = msgspec.json.Decoder(list[tuple[int, int]])


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """What a stage could not use.

    Attributes:
        topic: The dead letter topic ...
        partition: ... and where it stands there.
        offset: As above.
        time_ms: When it was put aside, by the broker's clock; ms since 1970.
        key: Key of the record, as it was.
        value: Value of the record, as it was.
        headers: Headers of the record, as they were, in order.
        stage: Which stage put it aside.
        cause: Why, in words.
        kind: Name of the error's class; `Refused` where there was none.
        source: Topic that it was read from.
        source_partition: Where it stood there; -1: it never stood there, as a frame of a venue.
        source_offset: As above.
        outcome: What became of it; None while it waits.
    """

    topic: str
    partition: int
    offset: int
    time_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    stage: str
    cause: str
    kind: str
    source: str
    source_partition: int
    source_offset: int
    outcome: Outcome | None = None

    @property
    def name(self) -> str:
        """Where it stands, as topic/partition/offset."""
        return f"{self.topic}/{self.partition}/{self.offset}"

    @property
    def can_return(self) -> bool:
        """Whether it came from a topic, so that it can be sent back there."""
        return self.source_offset >= 0

    @classmethod
    def of(cls, message: Message, outcome: Outcome | None) -> DeadLetter:
        """Read a record of a dead letter topic; what it does not say is empty."""
        topic = message.topic() or ""
        headers = _headers(message)
        told = {
            name.removeprefix(HEADER_PREFIX): (value or b"").decode("utf-8", "replace")
            for name, value in headers
            if name.startswith(HEADER_PREFIX)
        }
        return cls(
            topic=topic,
            partition=message.partition() or 0,
            offset=message.offset() or 0,
            time_ms=message.timestamp()[1],
            key=message.key(),
            value=message.value(),
            headers=tuple((name, value) for name, value in headers if not name.startswith(HEADER_PREFIX)),
            stage=told.get("stage") or told.get("connector.name", ""),
            cause=told.get("exception.message", ""),
            kind=told.get("exception.class.name", ""),
            source=told.get("topic") or topic.removesuffix(SUFFIX),
            source_partition=_number(told.get("partition")),
            source_offset=_number(told.get("offset")),
            outcome=outcome,
        )


def note_of(outcome: Outcome, offsets: RangeSet) -> tuple[bytes, list[tuple[str, bytes]]]:
    """Value and headers of a note."""
    return msgspec.json.encode(list(offsets)), [(NOTE_HEADER, outcome.encode())]


def read_note(message: Message) -> tuple[Outcome, RangeSet] | None:
    """What a note says; None for a dead letter."""
    said = dict(_headers(message)).get(NOTE_HEADER)
    if said is None:
        return None
    return "retried" if said == b"retried" else "dropped", RangeSet(_RANGES.decode(message.value() or b"[]"))


def _headers(message: Message) -> list[tuple[str, bytes | None]]:
    return [
        (name, value.encode() if isinstance(value, str) else value) for name, value in message.headers() or []
    ]


def _number(text: str | None) -> int:
    return int(text) if text and text.lstrip("-").isdigit() else -1
