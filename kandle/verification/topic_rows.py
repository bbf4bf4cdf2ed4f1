"""What one partition of a topic says that a table should hold."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from infra.kafka.log_scan import scan
from infra.kafka.record_batches import RawRecords
from infra.keyed_rows import Mask, Rows
from infra.settings import KafkaSettings
from kandle.verification.known_instruments import KnownInstruments
from kandle.verification.stored import AnyColumns, Range
from kandle.verification.table_columns import TableColumns
from schemas.columns import ColumnReader
from schemas.records import TimeMark
from schemas.topics import Topic
from sinks.portion import Slice, refuse_undecodable
from sinks.positions import PartitionRef
from sinks.runner import INTERNED
from sinks.timescale.quote_samples import QuoteSamples
from sinks.timescale.seen_ids import SeenIds
from sinks.timescale.tables import QUOTES

Told = Callable[[int], None]
"""Called with the number of records that were read since the last call."""
SAME_START_US: Final = 60_000_000
"""Sources whose first marks are so near to each other feed a partition since its log begins."""
AHEAD_US: Final = 60_000_000
"""No source delivers a record so long before the mark of its time."""


class TopicRows:
    """Collects the rows of one partition, as the sink would store them.

    Attributes:
        instruments: Numbers of all instruments that it has rows of, whatever the range.

    Args:
        columns: The table's.
        known: The numbers of instruments.
        range_: Which rows are wanted.
        quotes_every_ms: How quotes are sampled; 0: all are stored.
    """

    def __init__(
        self, columns: AnyColumns, known: KnownInstruments, range_: Range, quotes_every_ms: int = 0
    ) -> None:
        self._columns = columns
        self._known = known
        self._range = range_
        self._parts: list[Rows] = []
        self._records: list[tuple[object, ...]] = []
        self._seen = SeenIds()
        self._samples = QuoteSamples(quotes_every_ms)
        self.instruments: set[int] = set()

    def take(self, slice_: Slice) -> None:
        """Take in consecutive records; those that are refused are left out."""
        table = self._columns.table
        table.inspect(slice_)
        if not isinstance(self._columns, TableColumns):
            self._take_records(slice_)
            return
        record = self._columns.table.record
        numbers = self._known.ids(slice_, record)
        chosen = slice_.kept(record)
        self.instruments.update(np.unique(numbers[chosen]).tolist())
        if table is QUOTES:
            self._take_quotes(slice_, numbers, chosen)
            return
        chosen &= self._wanted(self._columns.table.row_times(slice_), numbers)
        if chosen.any():
            self._parts.append(self._columns.read(self._columns.table.rows(slice_, numbers, chosen)))

    def _wanted(self, times: npt.NDArray[Any], numbers: npt.NDArray[Any]) -> Mask:
        """Which rows of these times and instruments are in the range."""
        wanted = np.ones(len(times), np.bool_)
        if self._range.since is not None:
            wanted &= times >= self._range.since
        if self._range.until is not None:
            wanted &= times < self._range.until
        if self._range.symbols:
            wanted &= np.isin(numbers, self._known.numbers_of(self._range.symbols))
        return wanted

    def _take_quotes(self, slice_: Slice, numbers: npt.NDArray[np.int64], kept: Mask) -> None:
        """Of quotes with a number only those that are newer than all before are stored, sampled or not."""
        assert isinstance(self._columns, TableColumns)
        sequence = slice_.columns.column(QUOTES.record, "sequence")
        valid = slice_.columns.valid(QUOTES.record, "sequence")
        verdict = self._seen.judge_quotes(slice_.ref, numbers, sequence, valid, kept)
        self._seen.adopt(verdict.seen)
        if self._samples.every_us:
            sampled = self._samples.take(slice_, numbers, verdict)
            self._samples.adopt(sampled.held, [])
            parts = sampled.rows
        else:
            parts = [QUOTES.rows(slice_, numbers, verdict.new | verdict.doubtful)]
        for part in parts:
            rows = self._columns.read(part)
            wanted = self._wanted(rows.columns["time"].values, rows.columns["instrument_id"].values)
            if wanted.any():
                self._parts.append(rows.take(wanted))

    def _take_records(self, slice_: Slice) -> None:
        table: Any = self._columns.table
        for _, record in slice_.decoded:
            if not isinstance(record, table.record):
                continue
            symbol = getattr(record, "symbol", None)
            if symbol is not None:
                self.instruments.add(self._known.id_of(getattr(record, "venue", ""), symbol))
            time: int = getattr(record, table.time or "event_time")
            if (
                (self._range.since is None or time >= self._range.since)
                and (self._range.until is None or time < self._range.until)
                and (not self._range.symbols or symbol in self._range.symbols)
            ):
                self._records.append(tuple(cell.of(record, self._known) for cell in table.cells))

    def __len__(self) -> int:
        """How many there are, repeats included."""
        return sum(map(len, self._parts)) + len(self._records)

    def rows(self) -> Rows:
        """All of them in the order of the topic; repeats and older revisions too."""
        if isinstance(self._columns, TableColumns):
            return Rows.concatenated(self._parts)
        return self._columns.rows(self._records)

    @property
    def records(self) -> Sequence[tuple[object, ...]]:
        """Of a table that is not written from columns: the values of its columns, as rows are inserted."""
        return self._records


async def slices(
    kafka: KafkaSettings,
    reader: ColumnReader,
    topic: Topic,
    partition: int,
    start: int,
    end: int,
    told: Told,
) -> AsyncGenerator[Slice, None]:
    """The records of [start, end) of a partition, decoded; what cannot be is refused."""
    async with aclosing(scan(kafka, topic.name, partition, start, end)) as batches:
        async for records in batches:
            yield slice_of(reader, topic, partition, records)
            told(len(records))


def slice_of(reader: ColumnReader, topic: Topic, partition: int, records: RawRecords) -> Slice:
    """Consecutive records, decoded."""
    columns = reader.read(records.data, records.value_start, records.value_length)
    position = int(records.offsets[0]) if len(records) else 0
    ref = PartitionRef(0, partition, topic.name)
    good = np.ones(len(columns), np.bool_)
    slice_ = Slice(ref, 0, position, position, records, columns, good)
    refuse_undecodable(slice_, topic.records)
    return slice_


def new_reader() -> ColumnReader:
    """A reader of columns with the texts interned that the tables want codes of."""
    return ColumnReader(interned=INTERNED)


async def held_from(
    kafka: KafkaSettings, reader: ColumnReader, topic: Topic, partition: int, start: int, end: int
) -> int | None:
    """The time from which on the log holds all of a partition whose first records are gone.

    A mark says that everything before its time was delivered before: what is later comes after it, but for
    what the source had delivered ahead of its mark. So all is there from the first mark of the slowest source
    on, and `AHEAD_US` more.

    Returns:
        Microseconds; None if there is no mark.
    """
    first: dict[tuple[int, int], int] = {}
    async with aclosing(slices(kafka, reader, topic, partition, start, end, lambda _: None)) as found:
        async for slice_ in found:
            times = slice_.columns.column(TimeMark, "time")
            sources = zip(
                slice_.codes(TimeMark, "venue").tolist(),
                slice_.codes(TimeMark, "source").tolist(),
                strict=True,
            )
            for source, time in zip(sources, times.tolist(), strict=True):
                first.setdefault(source, time)
                if time > min(first.values()) + SAME_START_US:
                    began = min(first.values()) + SAME_START_US
                    return max(each for each in first.values() if each <= began) + AHEAD_US
    return max(first.values()) + AHEAD_US if first else None
