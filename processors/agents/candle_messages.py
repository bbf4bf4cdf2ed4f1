"""Candles as outgoing records: columns to bytes by a compiled kernel, without an object a candle."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from infra.kafka.outgoing_records import OutgoingRecords
from infra.kafka.record_batches import RawRecords
from processors.candles.batches import CandleColumns, LiveColumns
from processors.intervals import Interval
from schemas.column_writer import ColumnWriter, Draft
from schemas.records import Candle, LiveCandle
from schemas.spans import Spans

Ints = npt.NDArray[np.int64]


class SeriesTexts:
    """Keys, venues, symbols and intervals of one partition as spans of one buffer; follows a growing table.

    Args:
        names: Venue and symbol by index; a list that grows.
        keys: Market keys by index; a list that grows with it.
        intervals: By index.
        endings: A key of a symbol is its market key and one of these.
    """

    def __init__(
        self,
        names: Sequence[tuple[str, str]],
        keys: Sequence[str],
        intervals: Sequence[Interval],
        endings: Sequence[str] = ("",),
    ) -> None:
        self._names, self._keys, self._intervals, self._endings = names, keys, intervals, endings
        self._count = -1
        self._spans = Spans.of([])

    def is_of(self, keys: Sequence[str]) -> bool:
        """Whether it follows this table."""
        return self._keys is keys

    @property
    def spans(self) -> Spans:
        """All texts: intervals, then venue, symbol and keys of each symbol."""
        if self._count != len(self._keys):
            self._count = len(self._keys)
            texts = [interval.name.encode() for interval in self._intervals]
            for (venue, symbol), key in zip(self._names, self._keys, strict=True):
                texts += (venue.encode(), symbol.encode())
                texts += [f"{key}{ending}".encode() for ending in self._endings]
            self._spans = Spans.of(texts)
        return self._spans

    def first(self, symbols: Ints) -> Ints:
        """Where the texts of symbols stand in `spans`."""
        return len(self._intervals) + (2 + len(self._endings)) * symbols


class CandleMessages:
    """Makes outgoing records of candles; one for each partition.

    Bytes and order are those of `rows.encode` candle by candle.
    """

    def __init__(self) -> None:
        self._writer = ColumnWriter(Candle)
        self._texts: SeriesTexts | None = None

    def of(self, candles: CandleColumns) -> OutgoingRecords:
        """The records, in the order of the candles."""
        if self._texts is None or not self._texts.is_of(candles.keys):
            self._texts = SeriesTexts(candles.names, candles.keys, candles.intervals)
        texts = self._texts.spans
        first = self._texts.first(candles.symbols)
        volumes, sequences = candles.volumes, candles.sequences
        draft = begin(self._writer, self._texts, candles)
        for index, name in enumerate(("first_sequence", "last_sequence")):
            draft.set(name, sequences[:, index], valid=sequences[:, index] >= 0)
        draft.set("revision", candles.revisions)
        draft.set("complete", candles.complete)
        has_traded = volumes[:, 0] > 0.0
        averages = np.divide(volumes[:, 1], volumes[:, 0], out=np.zeros(len(candles)), where=has_traded)
        within = np.clip(averages, candles.prices[:, 2], candles.prices[:, 1])
        draft.set("vwap", within, valid=has_traded)
        draft.set("backfilled", False)
        return OutgoingRecords(texts.take(first + 2), draft.encode())


class LiveMessages:
    """Makes outgoing records of open candles, as `CandleMessages`; keys end in the interval."""

    def __init__(self) -> None:
        self._writer = ColumnWriter(LiveCandle)
        self._texts: SeriesTexts | None = None

    def of(self, candles: LiveColumns) -> OutgoingRecords:
        """The records, in the order of the candles."""
        if self._texts is None or not self._texts.is_of(candles.keys):
            endings = [f":{interval.name}" for interval in candles.intervals]
            self._texts = SeriesTexts(candles.names, candles.keys, candles.intervals, endings)
        draft = begin(self._writer, self._texts, candles)
        draft.set("as_of", candles.as_of)
        keys = self._texts.first(candles.symbols) + 2 + candles.interval_ids
        return OutgoingRecords(self._texts.spans.take(keys), draft.encode())


def begin(writer: ColumnWriter, series: SeriesTexts, candles: CandleColumns | LiveColumns) -> Draft:
    """Records with all fields that open and closed candles share."""
    texts = series.spans
    first = series.first(candles.symbols)
    prices, volumes = candles.prices, candles.volumes
    draft = writer.begin(len(candles), texts.data)
    draft.text("venue", texts.take(first))
    draft.text("symbol", texts.take(first + 1))
    draft.text("interval", texts.take(candles.interval_ids))
    draft.set("open_time", candles.open_times)
    draft.set("close_time", candles.ends)
    for index, name in enumerate(("open", "high", "low", "close")):
        draft.set(name, prices[:, index])
    for index, name in enumerate(("volume", "quote_volume", "taker_buy_volume")):
        draft.set(name, volumes[:, index])
    draft.set("trade_count", candles.trade_counts)
    return draft


def with_marks(
    mark_rows: Ints, derived: OutgoingRecords, marks: Sequence[int], records: RawRecords
) -> OutgoingRecords:
    """Derived records and the marks, every mark after what it has closed.

    Args:
        mark_rows: Row of the mark that each derived record came of, ascending.
        derived: As many.
        marks: Rows of all marks, ascending.
        records: Where the marks stand; they go out byte for byte.
    """
    forwarded = OutgoingRecords.of([(records.key(row), records.value(row)) for row in marks])
    return OutgoingRecords.merged([(mark_rows, derived), (np.array(marks, np.int64), forwarded)])
