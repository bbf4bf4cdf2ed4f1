"""Topics as a source: what Kafka holds, from its bytes to columns without an object a record."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import aclosing
from typing import Any, Final

import numpy as np

from backtest.sources.asked import Asked, Found, Kind
from backtest.sources.collection import Collection
from backtest.sources.rows import (
    NONE,
    CandleRows,
    FundingRows,
    Ints,
    QuoteRows,
    TradeRows,
)
from infra.kafka.admin import Admin
from infra.kafka.log_scan import scan
from infra.kafka.partitioner import partition_of
from infra.kafka.record_batches import RawRecords
from infra.settings import KafkaSettings
from schemas import rows
from schemas.columns import ColumnReader, Columns
from schemas.errors import ConfigurationError, DecodeError
from schemas.identity import split_key
from schemas.key_table import KeyTable
from schemas.records import (
    BookUpdate,
    Candle,
    DerivativeTicker,
    Gap,
    Instrument,
    Quote,
    Record,
    Trade,
)
from schemas.topics import BOOKS, CANDLES, DERIVATIVES, INSTRUMENTS, QUOTES, TRADES, Topic

TOPICS: Final[dict[Kind, Topic]] = {
    "candles": CANDLES,
    "trades": TRADES,
    "quotes": QUOTES,
    "books": BOOKS,
    "funding": DERIVATIVES,
}
EARLY_MS: Final = 600_000
"""A record is in the log since its event time, or a little earlier where clocks differ."""
INTERNED: Final = ("venue", "symbol", "interval")


def read_topics(kafka: KafkaSettings, asked: Asked) -> Found:
    """What topics hold. Blocks.

    Only the partitions of the markets are read, from the time on that is asked for to their end as of now.

    Raises:
        UnavailableError: The broker does not answer.
        ConfigurationError: It has no such topic.
    """
    return asyncio.run(_Reading(kafka, asked).run())


class _Reading:
    def __init__(self, kafka: KafkaSettings, asked: Asked) -> None:
        self._kafka, self._asked = kafka, asked
        self._admin = Admin(kafka)
        self._counts = self._admin.partition_counts()
        self._reader = ColumnReader(interned=INTERNED)
        self._ids = KeyTable()
        self._collection = Collection(asked)

    async def run(self) -> Found:
        topics = [TOPICS[kind] for kind in sorted(self._asked.kinds)]
        missing = [
            topic.name for topic in topics if topic.name not in self._counts and topic is not DERIVATIVES
        ]
        if missing:
            raise ConfigurationError(f"Kafka has no topic {', '.join(missing)}: nothing was ever fed to it")
        for topic in (*topics, INSTRUMENTS):
            if topic.name in self._counts:
                await self._read(topic)
        return self._collection.found()

    async def _read(self, topic: Topic) -> None:
        count = self._counts[topic.name]
        chosen = {partition_of(market.encode(), count) for market in self._asked.markets}
        places = [(topic.name, number) for number in sorted(chosen)]
        ranges = self._admin.log_ranges(places)
        since_ms = self._asked.since // 1_000 - EARLY_MS
        starts = self._admin.offsets_at(places, since_ms) if since_ms > 0 and topic is not INSTRUMENTS else {}
        for place, (first, end) in ranges.items():
            start = starts.get(place, first)
            if start is None:
                continue  # nothing was appended since
            async with aclosing(scan(self._kafka, *place, max(first, start), end)) as found:
                async for records in found:
                    self._take(topic, records)

    def _take(self, topic: Topic, records: RawRecords) -> None:
        columns = self._reader.read(records.data, records.value_start, records.value_length)
        match topic.records[0]:
            case record if record is BookUpdate:
                self._collection.add_books(self._decoded(columns, BookUpdate))
            case record if record is Instrument:
                self._collection.add_instruments(self._decoded(columns, Instrument))
            case record:
                for market in self._asked.markets:
                    self._add(columns, record, market)
        if Gap in topic.records:
            self._collection.add_gaps(self._decoded(columns, Gap))

    def _add(self, columns: Columns, record: type[Record], market: str) -> None:
        places = self._of_market(columns, record, market)
        if not len(places):
            return
        fields = _Fields(columns, record, places)
        number = fields.number
        if record is Trade:
            sequences = number("sequence", NONE)
            self._collection.add(
                market,
                TradeRows(
                    number("event_time"),
                    number("price"),
                    number("size"),
                    fields.sides(),
                    sequences,
                    self._codes(columns, places, sequences),
                ),
            )
        elif record is Quote:
            times = fields.first_of("event_time", "receive_time")
            self._collection.add(
                market,
                QuoteRows(
                    times,
                    number("bid", np.nan),
                    number("bid_size"),
                    number("ask", np.nan),
                    number("ask_size"),
                    number("sequence", NONE),
                ),
            )
        elif record is Candle:
            found = CandleRows(
                number("open_time"),
                number("open"),
                number("high"),
                number("low"),
                number("close"),
                number("volume"),
                number("revision"),
            )
            codes = columns.dictionary(record, "interval")[places]
            names = columns.reader.dictionaries["interval"].keys
            wanted = [code for code, name in enumerate(names) if name == self._asked.interval.name]
            self._collection.add(market, found.take(np.isin(codes, wanted)))
        elif record is DerivativeTicker:
            self._collection.add(
                market,
                FundingRows(
                    fields.first_of("event_time", "receive_time"),
                    number("funding_rate", np.nan),
                    number("next_funding_time", 0),
                    number("mark_price", np.nan),
                ),
            )

    def _of_market(self, columns: Columns, record: type[Record], market: str) -> Ints:
        """Places of a market among the rows of a record."""
        chosen = np.ones(len(columns.rows(record)), np.bool_)
        for name, text in zip(("venue", "symbol"), split_key(market), strict=True):
            keys = columns.reader.dictionaries[name].keys
            code = keys.index(text) if text in keys else NONE - 1
            chosen &= columns.dictionary(record, name) == code
        return np.flatnonzero(chosen)

    def _codes(self, columns: Columns, places: Ints, sequences: Ints) -> Ints:
        found = np.full(len(places), NONE, np.int64)
        unnumbered = np.flatnonzero(sequences == NONE)
        if len(unnumbered):
            starts, lengths = columns.spans(Trade, "trade_id")
            chosen = places[unnumbered]
            found[unnumbered] = self._ids.intern(columns.data, starts[chosen], lengths[chosen])
        return found

    def _decoded(self, columns: Columns, record: type[Record]) -> Iterable[Any]:
        """Records that are few, or of no fixed shape; what cannot be read is passed over, as by the sinks."""
        for row in columns.rows(record).tolist():
            try:
                found: Any = rows.decode(columns.value(row))
            except DecodeError:
                continue
            if f"{found.venue}:{found.symbol}" in self._asked.markets:
                yield found


class _Fields:
    """Fields of some rows of a record."""

    def __init__(self, columns: Columns, record: type[Record], places: Ints) -> None:
        self._columns, self._record, self._places = columns, record, places

    def number(self, name: str, none: float = 0) -> Any:
        """A column of numbers, with a value for null."""
        values = self._columns.column(self._record, name)[self._places]
        valid = self._columns.valid(self._record, name)[self._places]
        return values if valid.all() else np.where(valid, values, none).astype(values.dtype)

    def first_of(self, name: str, other: str) -> Any:
        """A column, and another one where it is null."""
        valid = self._columns.valid(self._record, name)[self._places]
        return np.where(valid, self.number(name), self.number(other))

    def sides(self) -> Any:
        """Sides of takers: 1, -1 or 0."""
        symbols: Sequence[str] = self._columns.reader.field(self._record, "side").symbols
        signs = np.array([{"buy": 1, "sell": -1}.get(symbol, 0) for symbol in symbols], np.int8)
        return signs[self._columns.column(self._record, "side")[self._places]]
