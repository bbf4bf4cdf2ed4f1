"""Where the log stood: what a restarted producer must know so that it publishes nothing twice.

While it runs, a source writes a `Position` for each of its topics: offsets, and for every symbol the
highest sequence before them. What lies before an offset becomes known by a mark, which goes to every
partition after the records that it covers: once it is acknowledged, all of them are, below its offset. A
restart takes the newest positions of the sources that fed its symbols and reads the topic on from their
lowest offsets to its end: what the positions do not cover is there, so together they name the last sequence
of every symbol ever published. Both parts are small: a compacted topic, and the traffic since the last
position.
"""

import time
from collections.abc import Callable, Collection
from typing import Any, Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from infra.kafka.connection import librdkafka_config
from infra.logging import get_logger
from infra.settings import KafkaSettings
from producers import continuity
from producers.feed import OpenHole, Resumed
from schemas import rows
from schemas.errors import DecodeError, UnavailableError
from schemas.records import Gap, Position, Quote, TimeMark, Trade
from schemas.topics import POSITIONS, QUOTES, TRADES

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

logger = get_logger(__name__)

_Sequences = dict[str, continuity.Position]


class _Log:
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
        self._consumer.close()

    def read(self, topic: str, starts: dict[int, int] | None, take: Callable[[Any], None]) -> int:
        """Hand every record value to `take`, from `starts` or the beginning; returns the count.

        Raises:
            UnavailableError: The broker does not answer.
        """
        try:
            return self._read(topic, starts or {}, take)
        except KafkaException as error:
            raise UnavailableError(f"{topic} cannot be read: {error.args[0].str()}") from error

    def _read(self, topic: str, starts: dict[int, int], take: Callable[[Any], None]) -> int:
        found = self._consumer.list_topics(topic, timeout=TIMEOUT_S).topics[topic]
        ends: dict[int, int] = {}
        begin: list[TopicPartition] = []
        for number in found.partitions:
            low, high = self._watermarks(TopicPartition(topic, number))
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
                take(message.value())
            for position in self._consumer.position([TopicPartition(topic, number) for number in ends]):
                if position.offset >= ends[position.partition]:
                    del ends[position.partition]
        return count

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


def resume(
    settings: KafkaSettings, venue: str, source: str, symbols: Collection[str], quotes: bool
) -> Resumed:
    """Where the log stands for a source of a venue. Blocks; use from a thread.

    Args:
        settings: Where Kafka is.
        venue: Venue of the source.
        source: Stable name of the shard; its newest mark is looked for.
        symbols: Unified symbols that it feeds: positions of sources that never fed one do not matter.
        quotes: Whether quotes are fed as well.

    Raises:
        UnavailableError: The broker does not answer.
    """
    began = time.monotonic()
    log = _Log(settings)
    try:
        known: dict[tuple[str, str], Position] = {}
        log.read(POSITIONS.name, None, lambda value: _take_position(value, known))
        related = [
            position
            for position in known.values()
            if position.source == source
            or (position.venue == venue and not position.event_times.keys().isdisjoint(symbols))
        ]
        trades = _Tail(venue, source, TRADES.name, related)
        read = log.read(TRADES.name, trades.starts, trades.take)
        newest = trades.newest_mark
        quote_positions: _Sequences = {}
        if quotes:
            tail = _Tail(venue, source, QUOTES.name, related)
            read += log.read(QUOTES.name, tail.starts, tail.take)
            quote_positions = tail.sequences
    finally:
        log.close()
    logger.info(
        "the log was read to where it stands",
        symbols=len(trades.sequences),
        records=read,
        newest_mark=newest,
        open_gaps=len(trades.holes),
        seconds=round(time.monotonic() - began, 2),
    )
    return Resumed(trades.sequences, quote_positions, newest, tuple(trades.holes.values()))


class _Tail:
    """Positions of a topic, completed by the records after them."""

    def __init__(self, venue: str, source: str, topic: str, related: list[Position]) -> None:
        self._venue = venue
        self._source = source
        self.sequences: _Sequences = {}
        self.newest_mark: int | None = None
        self.holes: dict[tuple[str, int, int], OpenHole] = {}
        """Gaps announced as open and not closed since, by symbol and ids."""
        positions = [position for position in related if position.topic == topic]
        for position in positions:
            for symbol, event_time in position.event_times.items():
                self._note(symbol, position.sequences.get(symbol), event_time)
            if position.source == source:
                self.newest_mark = position.time
        numbers = {number for position in positions for number in position.offsets}
        self.starts: dict[int, int] = {
            int(number): min(position.offsets.get(number, 0) for position in positions) for number in numbers
        }

    def take(self, value: bytes | None) -> None:
        try:
            record = rows.decode(value)
        except DecodeError:
            return
        if isinstance(record, Trade | Quote):
            if record.venue == self._venue:
                self._take_record(record)
        elif isinstance(record, Gap):
            if record.source == self._source:
                self._take_gap(record)
        elif isinstance(record, TimeMark) and record.source == self._source:
            self.newest_mark = max(record.time, self.newest_mark or record.time)

    def _take_record(self, record: Trade | Quote) -> None:
        if isinstance(record, Trade):
            for (symbol, first, last), hole in self.holes.items():
                if (
                    symbol == record.symbol
                    and record.sequence is not None
                    and first <= record.sequence <= last
                ):
                    hole.found[record.sequence] = record.event_time
            self._note(record.symbol, record.sequence, record.event_time)
        elif record.sequence is not None:
            self._note(record.symbol, record.sequence, record.event_time or 0)

    def _take_gap(self, gap: Gap) -> None:
        first, last = gap.first_sequence, gap.last_sequence
        if first is None or last is None:
            return
        if gap.status == "opened":
            self.holes[gap.symbol, first, last] = OpenHole(gap, {})
            return
        for symbol, opened, closed in list(self.holes):
            if symbol == gap.symbol and opened <= first and last <= closed:
                del self.holes[symbol, opened, closed]

    def _note(self, symbol: str, sequence: int | None, event_time: int) -> None:
        known = self.sequences.get(symbol)
        if known is None or _is_further(sequence, event_time, known):
            self.sequences[symbol] = continuity.Position(sequence, event_time)


_RENUMBERED: Final = continuity.RENUMBERED_AFTER_US


def _is_further(sequence: int | None, event_time: int, known: continuity.Position) -> bool:
    if sequence is None or known.sequence is None:
        return event_time > known.event_time
    return sequence > known.sequence or event_time > known.event_time + _RENUMBERED


def _take_position(value: bytes | None, known: dict[tuple[str, str], Position]) -> None:
    try:
        record = rows.decode(value)
    except DecodeError:
        return
    if isinstance(record, Position):
        known[record.source, record.topic] = record
