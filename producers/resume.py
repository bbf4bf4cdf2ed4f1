"""Where the log stood: what a restarted producer must know so that it publishes nothing twice.

While it runs, a source writes a `Position` for each of its topics: offsets, and for every symbol the
highest sequence before them. What lies before an offset becomes known by a mark, which goes to every
partition after the records that it covers: once it is acknowledged, all of them are, below its offset. A
restart takes the newest positions of the sources that fed its symbols and reads the topic on from their
lowest offsets to its end: what the positions do not cover is there, so together they name the last sequence
of every symbol ever published. Both parts are small: a compacted topic, and the traffic since the last
position. Of trades that carry no numbers the ids themselves are collected on the way; see `LogTail`.
"""

import time
from collections.abc import Collection
from typing import Final

from confluent_kafka import Message

from infra.logging import get_logger
from infra.settings import KafkaSettings
from producers import continuity
from producers.log_reader import LogReader
from producers.log_tail import LogTail
from producers.resumed import Resumed
from schemas import rows
from schemas.errors import DecodeError
from schemas.records import Position
from schemas.topics import POSITIONS, QUOTES, TRADES

BEFORE_POSITION_MS: Final = 10_000
"""Where trades are not numbered, so much before the position is read as well: a venue tells several trades
of one moment one after the other, and a position may fall between them."""

logger = get_logger(__name__)


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
    log = LogReader(settings)
    try:
        known: dict[tuple[str, str], tuple[Position, int]] = {}
        log.read(POSITIONS.name, None, lambda message: _take_position(message, known))
        related = [
            (position, appended_ms)
            for position, appended_ms in known.values()
            if position.source == source
            or (position.venue == venue and not position.event_times.keys().isdisjoint(symbols))
        ]
        trades = LogTail(venue, source, TRADES.name, [position for position, _ in related])
        starts = trades.starts
        for position, appended_ms in related:
            if position.topic == TRADES.name and position.event_times.keys() - position.sequences.keys():
                earlier = log.offsets_at(TRADES.name, appended_ms - BEFORE_POSITION_MS)
                starts = {number: min(start, earlier.get(number, start)) for number, start in starts.items()}
        read = log.read(TRADES.name, starts, lambda message: trades.take(message.value()))
        newest = trades.newest_mark
        quote_positions: dict[str, continuity.Position] = {}
        if quotes:
            tail = LogTail(venue, source, QUOTES.name, [position for position, _ in related])
            read += log.read(QUOTES.name, tail.starts, lambda message: tail.take(message.value()))
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
    return Resumed(trades.sequences, quote_positions, newest, tuple(trades.holes.values()), trades.delivered)


def _take_position(message: Message, known: dict[tuple[str, str], tuple[Position, int]]) -> None:
    try:
        record = rows.decode(message.value())
    except DecodeError:
        return
    if isinstance(record, Position):
        known[record.source, record.topic] = record, message.timestamp()[1]
