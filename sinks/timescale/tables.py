"""The tables of market data as COPY sees them: their columns, and how records become their bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from schemas import topics
from schemas.records import Candle, IndicatorValue, Quote, Record, Trade
from schemas.topics import Topic
from sinks.portion import Slice
from sinks.timescale.copy_binary import Bytes, Fixed, Text, doubles, integers, is_decimal_of, lay_out, times

Int64s = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

SEQUENCE_END: Final = 2**62
"""Sequence numbers are 0 or more, and below this: what lies outside is no running number."""
SIDE_LETTERS: Final[Mapping[str, int]] = {"buy": ord("b"), "sell": ord("s"), "unknown": 0}


@dataclass(frozen=True, slots=True)
class Table:
    """A table that is written from columns.

    Attributes:
        name: Its name in schema kandle.
        topic: Where its rows come from.
        record: The record that a row is made of.
        columns: The columns that are copied, in the order of the table.
        key: What makes rows of a topic the same, as SQL over a row `{row}`.
        texts: String fields that are stored.
        times: Time fields that are stored.
        fields: The fields of a slice, given the numbers of its instruments.
        row_times: int64[n]: the times by which rows are partitioned.
        revised: Whether rows of one key replace each other by revision; else each is stored once.
    """

    name: str
    topic: Topic
    record: type[Record]
    columns: tuple[str, ...]
    key: tuple[str, ...]
    texts: tuple[str, ...]
    times: tuple[str, ...]
    fields: Callable[[Slice, Int64s], list[Fixed | Text]]
    row_times: Callable[[Slice], Int64s]
    revised: bool

    def rows(self, slice_: Slice, instruments: Int64s, chosen: Mask) -> Bytes:
        """The bytes of the chosen rows for COPY, without header and trailer."""
        return lay_out(self.fields(slice_, instruments), slice_.columns.data, chosen)

    def inspect(self, slice_: Slice) -> None:
        """Refuse rows that the table cannot take."""
        for name in self.times:
            slice_.refuse_times(self.record, name)
        slice_.refuse_texts(self.record, "venue", "symbol", *self.texts)
        if not self.revised:
            rows = slice_.columns.rows(self.record)
            sequence = slice_.columns.column(self.record, "sequence")
            wrong = (sequence < 0) | (sequence >= SEQUENCE_END)
            slice_.refuse(rows[wrong].tolist(), "the sequence is negative or beyond 62 bits")


def _trade_fields(slice_: Slice, instruments: Int64s) -> list[Fixed | Text]:
    columns = slice_.columns
    sequence, numbered = columns.column(Trade, "sequence"), columns.valid(Trade, "sequence")
    starts, lengths = columns.spans(Trade, "trade_id")
    implied = numbered & is_decimal_of(columns.data, starts, lengths, sequence)
    symbols = columns.reader.field(Trade, "side").symbols
    letters = np.array([SIDE_LETTERS[symbol] for symbol in symbols], np.int64)
    sides = letters[columns.column(Trade, "side")]
    return [
        times(columns.column(Trade, "event_time")),
        times(columns.column(Trade, "receive_time")),
        integers(sequence, 8, numbered),
        doubles(columns.column(Trade, "price")),
        doubles(columns.column(Trade, "size")),
        integers(instruments, 4),
        integers(sides, 1, sides != 0),
        Text(starts, np.where(implied, -1, lengths)),
    ]


def _trade_times(slice_: Slice) -> Int64s:
    found: Int64s = slice_.columns.column(Trade, "event_time")
    return found


def _quote_times(slice_: Slice) -> Int64s:
    columns = slice_.columns
    return np.where(
        columns.valid(Quote, "event_time"),
        columns.column(Quote, "event_time"),
        columns.column(Quote, "receive_time"),
    )


def _quote_fields(slice_: Slice, instruments: Int64s) -> list[Fixed | Text]:
    columns = slice_.columns
    return [
        times(_quote_times(slice_)),
        times(columns.column(Quote, "receive_time")),
        integers(columns.column(Quote, "sequence"), 8, columns.valid(Quote, "sequence")),
        doubles(columns.column(Quote, "bid"), columns.valid(Quote, "bid")),
        doubles(columns.column(Quote, "bid_size")),
        doubles(columns.column(Quote, "ask"), columns.valid(Quote, "ask")),
        doubles(columns.column(Quote, "ask_size")),
        integers(instruments, 4),
    ]


def _candle_times(slice_: Slice) -> Int64s:
    found: Int64s = slice_.columns.column(Candle, "open_time")
    return found


def _candle_fields(slice_: Slice, instruments: Int64s) -> list[Fixed | Text]:
    columns = slice_.columns
    figures = ("open", "high", "low", "close", "volume", "quote_volume", "taker_buy_volume")
    return [
        times(columns.column(Candle, "open_time")),
        times(columns.column(Candle, "close_time")),
        *(doubles(columns.column(Candle, name)) for name in figures),
        integers(columns.column(Candle, "trade_count")),
        integers(instruments, 4),
        integers(columns.column(Candle, "revision"), 4),
        integers(columns.column(Candle, "complete"), 1),
        Text(*columns.spans(Candle, "interval")),
        integers(columns.column(Candle, "backfilled"), 1),
    ]


def _indicator_times(slice_: Slice) -> Int64s:
    found: Int64s = slice_.columns.column(IndicatorValue, "open_time")
    return found


def _indicator_fields(slice_: Slice, instruments: Int64s) -> list[Fixed | Text]:
    columns = slice_.columns
    return [
        times(columns.column(IndicatorValue, "open_time")),
        doubles(columns.column(IndicatorValue, "value")),
        integers(instruments, 4),
        integers(columns.column(IndicatorValue, "revision"), 4),
        integers(columns.column(IndicatorValue, "complete"), 1),
        Text(*columns.spans(IndicatorValue, "interval")),
        Text(*columns.spans(IndicatorValue, "name")),
    ]


TRADES: Final = Table(
    name="market_trades",
    topic=topics.TRADES,
    record=Trade,
    columns=("time", "receive_time", "sequence", "price", "size", "instrument_id", "side", "trade_id"),
    key=('{row}."instrument_id"', '{row}."time"', "coalesce({row}.trade_id, {row}.sequence::text)"),
    texts=("trade_id",),
    times=("event_time", "receive_time"),
    fields=_trade_fields,
    row_times=_trade_times,
    revised=False,
)
QUOTES: Final = Table(
    name="market_quotes",
    topic=topics.QUOTES,
    record=Quote,
    columns=("time", "receive_time", "sequence", "bid", "bid_size", "ask", "ask_size", "instrument_id"),
    key=('{row}."instrument_id"', '{row}."time"', '{row}."receive_time"'),
    texts=(),
    times=("event_time", "receive_time"),
    fields=_quote_fields,
    row_times=_quote_times,
    revised=False,
)
CANDLES: Final = Table(
    name="market_candles",
    topic=topics.CANDLES,
    record=Candle,
    columns=(
        *("time", "close_time", "open", "high", "low", "close", "volume", "quote_volume", "taker_buy_volume"),
        *("trade_count", "instrument_id", "revision", "complete", "interval", "backfilled"),
    ),
    key=('{row}."instrument_id"', '{row}."interval"', '{row}."time"'),
    texts=("interval",),
    times=("open_time", "close_time"),
    fields=_candle_fields,
    row_times=_candle_times,
    revised=True,
)
INDICATORS: Final = Table(
    name="market_indicators",
    topic=topics.INDICATORS,
    record=IndicatorValue,
    columns=("time", "value", "instrument_id", "revision", "complete", "interval", "name"),
    key=('{row}."instrument_id"', '{row}."interval"', '{row}."name"', '{row}."time"'),
    texts=("interval", "name"),
    times=("open_time",),
    fields=_indicator_fields,
    row_times=_indicator_times,
    revised=True,
)
