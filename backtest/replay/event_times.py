"""When records happened, read from their encoded values, a batch at a time."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from schemas.columns import ColumnReader, Columns
from schemas.records import (
    BookUpdate,
    DerivativeTicker,
    ExchangeCandle,
    Gap,
    Instrument,
    Liquidation,
    Micros,
    PriceAlert,
    Quote,
    Record,
    Ticker,
    TimeMark,
    Trade,
)
from schemas.spans import Int64s, Spans

TIMES: Final[dict[type[Record], tuple[str, ...]]] = {
    Trade: ("event_time",),
    TimeMark: ("time",),
    Gap: ("from_time",),
    Quote: ("event_time", "receive_time"),
    BookUpdate: ("event_time", "receive_time"),
    Ticker: ("event_time",),
    ExchangeCandle: ("event_time", "receive_time"),
    DerivativeTicker: ("event_time", "receive_time"),
    Liquidation: ("event_time",),
    Instrument: ("event_time",),
    PriceAlert: ("event_time",),
}
"""The time of each replayed record: the first of these fields that has a value."""

UNKNOWN: Final = int(np.iinfo(np.int64).min)
PLAYED_US: Final = 3_600_000_000
"""What was received so much later than the venue's newest time before it was played, not lived through."""


class EventTimes:
    """Reads the event times of one partition's records, in their order.

    What tells no time (a value that cannot be decoded, a tombstone) happened when the record before it did;
    at the very beginning, when Kafka took it. What tells only when it was received (quotes of some venues)
    happened then; but in a run that played a capture, at the newest mark, or time of the venue, before it.

    Args:
        before: Time of the record before the first one that is read, µs; `UNKNOWN`: there is none.
    """

    def __init__(self, before: Micros = UNKNOWN) -> None:
        self._reader = ColumnReader()
        self._newest = before
        self._told = UNKNOWN

    def read(self, values: Spans, kafka_times: Int64s) -> tuple[Int64s, Int64s]:
        """Beginning and end of what each record is about, µs; equal but for gaps.

        Args:
            values: Encoded records.
            kafka_times: When Kafka took each, ms.
        """
        columns = self._reader.read(values.data, values.starts, values.lengths)
        begins = np.full(len(values), UNKNOWN, np.int64)
        told, received = np.zeros((2, len(values)), np.bool_)
        for record in TIMES:
            rows = columns.rows(record)
            if rows.size:
                begins[rows] = _times(columns, record)
                told[rows] = columns.valid(record, TIMES[record][0]) & (record is not Gap)
                received[rows] = ~columns.valid(record, TIMES[record][0])
        self._correct(begins, told, received)
        begins = self._filled(begins, kafka_times)
        gaps = columns.rows(Gap)
        if not gaps.size:
            return begins, begins
        ends = begins.copy()
        ends[gaps] = columns.column(Gap, "to_time")
        return begins, ends

    def _correct(self, begins: Int64s, told: npt.NDArray[np.bool_], received: npt.NDArray[np.bool_]) -> None:
        """Put the newest time that was told in the place of times of receipt that are of another day."""
        places = np.flatnonzero(told)
        if not places.size and self._told == UNKNOWN:
            return
        if received.any():
            first = int(begins[places[0]]) if self._told == UNKNOWN else self._told
            before = np.maximum.accumulate(np.where(told, np.arange(told.size), -1))
            newest = np.where(before >= 0, begins[np.maximum(before, 0)], first)
            played = received & (begins > newest + PLAYED_US)
            begins[played] = newest[played]
        if places.size:
            self._told = int(begins[places[-1]])

    def _filled(self, times: Int64s, kafka_times: Int64s) -> Int64s:
        if not times.size:
            return times
        known = times != UNKNOWN
        if not known.all():
            before = np.maximum.accumulate(np.where(known, np.arange(times.size), -1))
            first = self._newest if self._newest != UNKNOWN else int(kafka_times[0]) * 1_000
            times = np.where(before >= 0, times[np.maximum(before, 0)], first)
        self._newest = int(times[-1])
        return times


def _times(columns: Columns, record: type[Record]) -> Int64s:
    first, *others = TIMES[record]
    found: Int64s = columns.column(record, first)
    for name in others:
        found = np.where(columns.valid(record, first), found, columns.column(record, name))
    return found


def time_of(record: Record) -> Micros:
    """The time of one record.

    Raises:
        KeyError: Its type is none that is replayed.
    """
    for name in TIMES[type(record)]:
        time: Micros | None = getattr(record, name)
        if time is not None:
            return time
    raise AssertionError("the last of the fields is never null")
