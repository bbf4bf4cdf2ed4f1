"""Sources that will not come back: they are told to have ended, so that candles wait for them no longer.

A source leaves by its final mark. One whose process was lost, or whose shard is gone since the shards are
fewer, has written none: its venue's watermark stands still where the source has stopped. Here that mark is
written in its place, to each partition of each topic that it has fed; if it comes back after all, it joins
again by its next mark.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from confluent_kafka import Message

from infra.kafka.publisher import Publisher
from infra.settings import KafkaSettings
from producers.log_reader import LogReader
from producers.outlet import CHANNEL_TOPICS, fed_topics
from schemas import rows
from schemas.errors import ConflictError, DecodeError, KandleError
from schemas.records import Micros, Position, TimeMark
from schemas.topics import POSITIONS, Topic

ALIVE_S: Final = 30.0
"""A source that has written within this time is not gone: it does so every second."""

WINDOW_MS: Final = 10_000
"""Marks of a source are looked for so long before and after the last position that it wrote."""

INSTANCE: Final = "retired"
"""Whose mark it is, where others name the run of a producer."""

FLUSH_TIMEOUT_S: Final = 30.0


class UnknownSourceError(KandleError):
    """No producer has ever fed under this name."""

    code = "UNKNOWN_SOURCE"


@dataclass(frozen=True, slots=True)
class Source:
    """A shard of a venue, as its last position shows it.

    Attributes:
        venue: Name of the venue.
        name: Stable name of the shard.
        time: Event time of its newest mark, µs.
        written_ms: When it wrote last, ms since the epoch, by Kafka's clock.
        symbols: That it fed.
    """

    venue: str
    name: str
    time: Micros
    written_ms: int
    symbols: tuple[str, ...]

    @property
    def silent_s(self) -> float:
        """How long ago it wrote last, s."""
        return max(0.0, time.time() - self.written_ms / 1_000)


def known_sources(kafka: KafkaSettings) -> list[Source]:
    """All sources that ever fed trades or quotes, by name. Blocks; use from a thread.

    Raises:
        UnavailableError: The broker does not answer.
    """
    found: dict[str, Source] = {}

    def take(message: Message) -> None:
        try:
            record = rows.decode(message.value())
        except DecodeError:
            return
        if isinstance(record, Position):
            before = found.get(record.source)
            symbols = set(record.event_times).union(before.symbols if before is not None else ())
            found[record.source] = Source(
                record.venue,
                record.source,
                max(record.time, before.time if before is not None else record.time),
                # A source has a position for each topic: one that it feeds no longer stays old.
                max(message.timestamp()[1], before.written_ms if before is not None else 0),
                tuple(sorted(symbols)),
            )

    log = LogReader(kafka)
    try:
        log.read(POSITIONS.name, None, take)
    finally:
        log.close()
    return [found[name] for name in sorted(found)]


def find_source(kafka: KafkaSettings, name: str) -> Source:
    """The source of a name, which must be gone. Blocks; use from a thread.

    Raises:
        UnknownSourceError: There was none.
        ConflictError: It still writes.
        UnavailableError: The broker does not answer.
    """
    sources = {source.name: source for source in known_sources(kafka)}
    if name not in sources:
        raise UnknownSourceError(f"no source is called {name}; there are: {', '.join(sources) or 'none yet'}")
    source = sources[name]
    if source.silent_s < ALIVE_S:
        raise ConflictError(
            f"{name} has written {source.silent_s:.0f} s ago, so it lives: stop its producer, which then "
            f"says that it ends, or wait until it has been silent for {ALIVE_S:g} s"
        )
    return source


def last_marks(kafka: KafkaSettings, source: Source) -> list[tuple[Topic, Micros]]:
    """The topics that a source has fed, each with the newest mark that it wrote there. Blocks.

    Raises:
        UnavailableError: The broker does not answer.
    """
    log = LogReader(kafka)
    try:
        found = []
        for topic in fed_topics(CHANNEL_TOPICS):
            times: list[Micros] = []

            def take(message: Message, times: list[Micros] = times) -> None:
                record = _mark_of(message)
                if record is not None and record.source == source.name:
                    times.append(record.time)

            first = log.offsets_at(topic.name, source.written_ms - WINDOW_MS).get(0)
            end = log.offsets_at(topic.name, source.written_ms + WINDOW_MS).get(0)
            if first is not None:
                # Marks go to all partitions alike: one tells.
                ends = dict.fromkeys(range(1, kafka.partitions), 0)
                log.read(topic.name, {0: first}, take, ends if end is None else ends | {0: end})
            if times:
                found.append((topic, max(times)))
        return found
    finally:
        log.close()


async def retire(kafka: KafkaSettings, source: Source, marks: Sequence[tuple[Topic, Micros]]) -> None:
    """Write a final mark for a source to every partition of the topics that it has fed.

    Args:
        kafka: Where the topics are.
        source: That is gone.
        marks: Topics, with the time of the mark in each.

    Raises:
        UnavailableError: Kafka has not acknowledged them within 30 s.
        PublishError: Kafka refused one.
    """
    publisher = Publisher(kafka, client_id="kandle-retire")
    try:
        for topic, marked in marks:
            mark = TimeMark(source.venue, source.name, marked, True, INSTANCE)
            key = source.name if topic.cleanup == "compact" else None
            for partition in range(kafka.partitions):
                await publisher.publish(topic.name, mark, key=key, partition=partition)
        await publisher.flush(FLUSH_TIMEOUT_S)
    finally:
        await publisher.close()


def _mark_of(message: Message) -> TimeMark | None:
    try:
        record = rows.decode(message.value())
    except DecodeError:
        return None
    return record if isinstance(record, TimeMark) else None
