"""The newest dead letters of a topic, for people to look at; `kandle dlq` settles them."""

import asyncio
from dataclasses import dataclass, replace
from typing import Final

import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from infra.kafka.connection import aiokafka_config
from infra.kafka.dead_letters import HEADER_PREFIX, NOTE_HEADER
from infra.settings import KafkaSettings
from schemas import rows
from schemas.errors import DataError, UnavailableError
from schemas.records import Micros
from serve.brokers import Brokers

PREVIEW: Final = 2_000
"""Characters of a value that are shown."""
PATIENCE_S: Final = 5.0
"""A broker that has not brought the letters by then is taken to be away."""

_ranges: Final = msgspec.json.Decoder(list[tuple[int, int]])
_encoder: Final = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Letter:
    """A record that a stage could not use.

    Attributes:
        time: When it was put aside, µs since the epoch.
        partition: Where it stands in the dead letter topic ...
        offset: ... and at which offset.
        stage: Which stage put it aside.
        cause: Why, in words.
        source: Where it was read, as topic/partition/offset.
        key: Its key as text.
        value: Its value: as JSON if it is a record, as text or in hexadecimal digits if it is not; cut off.
        size: Bytes of the value.
        outcome: retried or dropped, once it was; None while it waits.
    """

    time: Micros
    partition: int
    offset: int
    stage: str
    cause: str
    source: str
    key: str | None
    value: str | None
    size: int
    outcome: str | None


async def newest(settings: KafkaSettings, brokers: Brokers, topic: str, limit: int) -> list[Letter]:
    """The newest letters of a dead letter topic, newest first.

    Args:
        settings: Where Kafka is.
        brokers: The same, asked for the ends of the topic.
        topic: Name of the dead letter topic.
        limit: As many, at most.

    Raises:
        UnavailableError: Kafka does not answer.
    """
    ends = await _ends(brokers, topic)
    if not ends:
        # A consumer that is stopped before it has waited for anything cancels whoever stops it.
        return []
    consumer = AIOKafkaConsumer(**aiokafka_config(settings), enable_auto_commit=False, fetch_max_wait_ms=50)
    try:
        async with asyncio.timeout(PATIENCE_S):
            await consumer.start()
            consumer.assign([TopicPartition(topic, number) for number in ends])
            return await _read(consumer, topic, ends, limit)
    except (KafkaError, TimeoutError) as error:
        raise UnavailableError(f"{topic} cannot be read: {error!r}") from error
    finally:
        # Also of a start that was cut short.
        await consumer.stop()


async def _ends(brokers: Brokers, topic: str) -> dict[int, tuple[int, int]]:
    """First offset and the one after the last of each partition that holds something."""
    partitions = (await brokers.layout()).replicas.get(topic, ())
    ranges = await brokers.ask(
        lambda admin: admin.log_ranges((topic, number) for number in range(len(partitions)))
    )
    return {number: bounds for (_, number), bounds in ranges.items() if bounds[0] < bounds[1]}


async def _read(
    consumer: AIOKafkaConsumer, topic: str, ends: dict[int, tuple[int, int]], limit: int
) -> list[Letter]:
    found: list[Letter] = []
    for number, (first, end) in ends.items():
        consumer.seek(TopicPartition(topic, number), max(first, end - limit))
    # A note stands behind the letters that it tells of, so that none of these is missed.
    settled: dict[int, list[tuple[str, list[tuple[int, int]]]]] = {number: [] for number in ends}
    waiting = set(ends)
    while waiting:
        for tp, records in (await consumer.getmany(timeout_ms=200)).items():
            for record in records:
                headers = dict(record.headers)
                if NOTE_HEADER in headers:
                    note = headers[NOTE_HEADER].decode(), _ranges.decode(record.value or b"[]")
                    settled[tp.partition].append(note)
                else:
                    found.append(_letter(record, headers))
        for number in [*waiting]:
            if await consumer.position(TopicPartition(topic, number)) >= ends[number][1]:
                waiting.discard(number)
    newest_first = sorted(found, key=lambda letter: letter.time, reverse=True)[:limit]
    return [_with_outcome(letter, settled[letter.partition]) for letter in newest_first]


def _letter(record: "ConsumerRecord[bytes, bytes]", headers: dict[str, bytes]) -> Letter:
    def said(name: str) -> str:
        return (headers.get(HEADER_PREFIX + name) or b"").decode("utf-8", "replace")

    place = [said(name) for name in ("topic", "partition", "offset")]
    return Letter(
        time=record.timestamp * 1_000,
        partition=record.partition,
        offset=record.offset,
        stage=said("stage") or said("connector.name"),
        cause=said("exception.message"),
        source="/".join(filter(None, place)),
        key=None if record.key is None else _as_text(record.key),
        value=None if record.value is None else _as_text(record.value),
        size=len(record.value or b""),
        outcome=None,
    )


def _as_text(value: bytes) -> str:
    try:
        text = _encoder.encode(rows.decode(value)).decode()
    except DataError:
        try:
            text = value.decode()
        except UnicodeDecodeError:
            text = ""
        if not text.isprintable() or not text:
            text = value[:PREVIEW].hex(" ")
    return text if len(text) <= PREVIEW else f"{text[: PREVIEW - 1]}…"


def _with_outcome(letter: Letter, notes: list[tuple[str, list[tuple[int, int]]]]) -> Letter:
    for outcome, ranges in notes:
        if any(first <= letter.offset < end for first, end in ranges):
            return replace(letter, outcome=outcome)
    return letter
