"""What a table of market data is: columns, what fills them, what becomes of a record that comes again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from schemas.records import Record
from schemas.topics import Topic
from sinks.portion import Slice
from sinks.timescale.copy_binary import Bytes, Fixed, Text, doubles, integers, lay_out, times

Int64s = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Made:
    """Values whose bytes do not stand in the slice.

    Attributes:
        data: The bytes.
        starts: int64[n], positions in them.
        lengths: int64[n].
    """

    data: Bytes
    starts: Int64s
    lengths: Int64s


Fill = Callable[[Slice, type[Record], Int64s], Fixed | Text | Made]
"""The values of a column for all rows of a record in a slice, given the numbers of their instruments."""
Repeats = Literal["numbered", "first", "newest", "filled"]

SEQUENCE_END: Final = 2**62
"""Sequence numbers are 0 or more, and below this: what lies outside is no running number."""
DOUBLE_OID: Final = 701
"""Of `double precision`, in every PostgreSQL."""
TIME_TYPE: Final = "timestamp with time zone"
_WIDTHS: Final = {
    TIME_TYPE: 8,
    "double precision": 8,
    "bigint": 8,
    "integer": 4,
    "boolean": 1,
    '"char"': 1,
    "text": 0,
    "double precision[]": 0,
}


@dataclass(frozen=True, slots=True)
class Column:
    """A column, and what it is made of.

    Attributes:
        name: Its name.
        type: Its type as PostgreSQL prints it.
        fields: Fields of the record that it holds.
        fill: Its values.
    """

    name: str
    type: str
    fields: tuple[str, ...]
    fill: Fill

    @property
    def width(self) -> int:
        """Bytes of a value; 0: it has no fixed width."""
        return _WIDTHS[self.type]


@dataclass(frozen=True, slots=True)
class Table:
    """A table that is written from columns.

    What becomes of a record whose key is stored already, by `repeats`:

    - `numbered`: it is dropped; by its sequence number where it has one, else the table is asked.
    - `first`: it is dropped.
    - `newest`: it replaces the row if it is newer by `version`, else it is dropped.
    - `filled`: it fills those columns of `filled` that are null, else it is dropped.

    Attributes:
        name: Its name in schema kandle.
        view: Name of the view in schema public that shows it.
        topic: Where its rows come from.
        record: The record that a row is made of.
        cells: Its columns that are copied.
        left_out: Fields of the record that no column holds, and why.
        key: What makes rows of a topic the same, as SQL over a row `{row}`.
        repeats: What becomes of a record that comes again.
        time: Fields that give the time by which rows are partitioned: the first that has a value.
        version: Columns by which rows of a key are ordered.
        filled: Columns that a later record may fill.
    """

    name: str
    view: str
    topic: Topic
    record: type[Record]
    cells: tuple[Column, ...]
    key: tuple[str, ...]
    repeats: Repeats
    time: tuple[str, ...]
    version: tuple[str, ...] = ()
    filled: tuple[str, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns, in the order in which they are copied."""
        return tuple(column.name for column in self.cells)

    @property
    def revised(self) -> bool:
        """Whether rows of one key replace each other; else what is stored stays."""
        return self.repeats == "newest"

    @property
    def is_bounded(self) -> bool:
        """Whether rows of one key have one time: then only partitions of that time are looked at."""
        return '{row}."time"' in self.key

    def fixed(self, slice_: Slice, instruments: Int64s) -> list[Fixed]:
        """The columns of a slice, of a table that has no texts."""
        found = [column.fill(slice_, self.record, instruments) for column in self.cells]
        return [each for each in found if isinstance(each, Fixed)]

    def rows(self, slice_: Slice, instruments: Int64s, chosen: Mask) -> Bytes:
        """The bytes of the chosen rows for COPY, without header and trailer."""
        data = [slice_.columns.data]
        fields: list[Fixed | Text] = []
        for column in self.cells:
            found = column.fill(slice_, self.record, instruments)
            if isinstance(found, Made):
                begin = sum(len(part) for part in data)
                data.append(found.data)
                found = Text(found.starts + begin, found.lengths)
            fields.append(found)
        return lay_out(fields, data[0] if len(data) == 1 else np.concatenate(data), chosen)

    def row_times(self, slice_: Slice) -> Int64s:
        """int64[n]: the times by which rows are partitioned, microseconds since 1970."""
        return first_time(slice_, self.record, self.time)

    def inspect(self, slice_: Slice) -> None:
        """Refuse rows that the table cannot take."""
        held = {column.type: list[str]() for column in self.cells}
        for column in self.cells:
            held[column.type] += column.fields
        for name in dict.fromkeys(held.get(TIME_TYPE, ())):
            slice_.refuse_times(self.record, name)
        slice_.refuse_texts(self.record, "venue", "symbol", *held.get("text", ()))
        if self.repeats == "numbered":
            rows = slice_.columns.rows(self.record)
            sequence = slice_.columns.column(self.record, "sequence")
            wrong = (sequence < 0) | (sequence >= SEQUENCE_END)
            slice_.refuse(rows[wrong].tolist(), "the sequence is negative or beyond 62 bits")


def by(*names: str) -> tuple[str, ...]:
    """A key of columns."""
    return tuple(f'{{row}}."{name}"' for name in names)


def first_time(slice_: Slice, record: type[Record], names: tuple[str, ...]) -> Int64s:
    """int64[n]: of several time fields, the first that has a value."""
    columns = slice_.columns
    *preferred, last = names
    found: Int64s = columns.column(record, last)
    for name in reversed(preferred):
        found = np.where(columns.valid(record, name), columns.column(record, name), found)
    return found


def moment(name: str, *fields: str) -> Column:
    """A time: of several fields the first that has a value."""

    def fill(slice_: Slice, record: type[Record], instruments: Int64s) -> Fixed:
        if len(fields) > 1:
            return times(first_time(slice_, record, fields))
        return times(slice_.columns.column(record, fields[0]), _valid(slice_, record, fields[0]))

    return Column(name, TIME_TYPE, fields, fill)


def numbers(*names: str) -> tuple[Column, ...]:
    """Prices, sizes and the like, each in a column of its own name."""
    return tuple(_number(name) for name in names)


def _number(name: str) -> Column:
    def fill(slice_: Slice, record: type[Record], instruments: Int64s) -> Fixed:
        return doubles(slice_.columns.column(record, name), _valid(slice_, record, name))

    return Column(name, "double precision", (name,), fill)


def count(name: str, width: int = 8) -> Column:
    """A whole number of 8 or 4 bytes."""

    def fill(slice_: Slice, record: type[Record], instruments: Int64s) -> Fixed:
        return integers(slice_.columns.column(record, name), width, _valid(slice_, record, name))

    return Column(name, {8: "bigint", 4: "integer"}[width], (name,), fill)


def flag(name: str, source: str | None = None) -> Column:
    """A boolean."""
    origin = source or name

    def fill(slice_: Slice, record: type[Record], instruments: Int64s) -> Fixed:
        return integers(slice_.columns.column(record, origin), 1, _valid(slice_, record, origin))

    return Column(name, "boolean", (origin,), fill)


def name_of(name: str) -> Column:
    """A text that is a name: not empty, and short enough for an index."""

    def fill(slice_: Slice, record: type[Record], instruments: Int64s) -> Text:
        return Text(*slice_.columns.spans(record, name))

    return Column(name, "text", (name,), fill)


def letter(name: str, letters: Mapping[str, str]) -> Column:
    """An enum as one letter; null where the symbol has an empty one."""

    def fill(slice_: Slice, record: type[Record], instruments: Int64s) -> Fixed:
        symbols = slice_.columns.reader.field(record, name).symbols
        codes = np.array([ord(letters[symbol] or "\0") for symbol in symbols], np.int64)
        found = codes[slice_.columns.column(record, name)]
        return integers(found, 1, found != 0)

    return Column(name, '"char"', (name,), fill)


def arrays(*names: str) -> tuple[Column, ...]:
    """Arrays of numbers, each in a column of its own name."""
    return tuple(_array(name) for name in names)


def _array(name: str) -> Column:
    def fill(slice_: Slice, record: type[Record], instruments: Int64s) -> Made:
        return double_arrays(slice_.columns.pool.view(np.float64), *slice_.columns.spans(record, name))

    return Column(name, "double precision[]", (name,), fill)


def double_arrays(pool: npt.NDArray[np.float64], starts: Int64s, counts: Int64s) -> Made:
    """Arrays as PostgreSQL's `array_send` writes them.

    Words of four bytes, big-endian: dimensions, 0 (no nulls), the oid of the type; then, unless it is empty,
    items, 1 (the lower bound), and each item as its length and its two words.

    Args:
        pool: Items of all arrays.
        starts: int64[n], places of their first items.
        counts: int64[n], numbers of their items.
    """
    heads = np.where(counts > 0, 5, 3)
    words = heads + 3 * counts
    begins = np.cumsum(words) - words
    out = np.zeros(int(words.sum()), ">i4")
    held = counts > 0
    out[begins] = held
    out[begins + 2] = DOUBLE_OID
    out[begins[held] + 3] = counts[held]
    out[begins[held] + 4] = 1
    within = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
    items = pool[np.repeat(starts, counts) + within].astype(">f8").view(">i4").reshape(-1, 2)
    places = np.repeat(begins + heads, counts) + 3 * within
    out[places] = 8
    out[places + 1] = items[:, 0]
    out[places + 2] = items[:, 1]
    return Made(out.view(np.uint8), 4 * begins, 4 * words)


def _instrument(slice_: Slice, record: type[Record], instruments: Int64s) -> Fixed:
    return integers(instruments, 4)


INSTRUMENT: Final = Column("instrument_id", "integer", ("venue", "symbol"), _instrument)
"""The number of venue and symbol."""


def _valid(slice_: Slice, record: type[Record], name: str) -> Mask | None:
    """Which rows have a value; None: all."""
    if slice_.columns.reader.valid_slot(record, name) < 0:
        return None
    return slice_.columns.valid(record, name)
