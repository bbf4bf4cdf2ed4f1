"""Rows of a table as keyed columns, whether they come out of a topic or out of the table."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar

import numpy as np

from infra.keyed_rows import Column, Ints, Rows, group, newest
from kandle.times import format_time
from schemas.key_table import KeyTable
from schemas.spans import Spans
from sinks.timescale.copy_binary import (
    POSTGRES_EPOCH_US,
    Bytes,
    Fixed,
    Text,
    doubles,
    integers,
    lay_out,
    times,
)
from sinks.timescale.copy_reader import WIDTHS, read_rows
from sinks.timescale.row_tables import RowTable
from sinks.timescale.table import TIME_TYPE, Table

_IN_KEY: Final = re.compile(r"\{row\}\.\"?(\w+)\"?")
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_DOUBLE: Final = "double precision"
R = TypeVar("R", bound=Sequence[object])


class Words(Sequence[str]):
    """The keys of a table of keys as texts, made when one is asked for."""

    def __init__(self, keys: KeyTable) -> None:
        self._keys = keys

    def __len__(self) -> int:
        return len(self._keys)

    def __getitem__(self, code: Any) -> Any:
        return self._keys.key_bytes(code).decode("utf-8", "backslashreplace")


class TableColumns:
    """The columns of one table, with one list of words for all rows that are made here.

    Attributes:
        table: The table.
        identity: Columns by which a row is known.
        shown: Columns by which people know it.

    Args:
        table: The table.
        name_of: Name of an instrument by its number.
    """

    def __init__(self, table: Table, name_of: Callable[[int], str]) -> None:
        self.table = table
        self.shown = tuple(dict.fromkeys(name for part in table.key for name in _IN_KEY.findall(part)))
        self.identity = self.shown
        if table.repeats == "numbered":
            # The sequence alone makes a row where there is one; the rest of the key is for those without.
            rest = (f"~{name}" for name in self.shown if name not in ("instrument_id", "sequence"))
            self.identity = ("instrument_id", "sequence", *rest)
        self._widths = [WIDTHS.get(column.type, 0) for column in table.cells]
        self._keys = {column.name: KeyTable() for column in table.cells if column.type not in WIDTHS}
        self._words = {name: Words(keys) for name, keys in self._keys.items()}
        self._show: dict[str, Callable[[Any], object]] = {TIME_TYPE: format_time, '"char"': chr}
        self._name_of = name_of

    @property
    def has_instruments(self) -> bool:
        """Whether its rows are of instruments."""
        return True

    def read(self, data: Bytes) -> Rows:
        """Rows from the bytes of a COPY of the table's columns.

        Raises:
            DecodeError: They are not rows of these columns.
        """
        copied = read_rows(data, self._widths)
        found: dict[str, Column] = {}
        for place, column in enumerate(self.table.cells):
            cells, lengths = copied.cells[place], copied.lengths[place]
            valid = lengths >= 0
            values: Any = cells
            if column.name in self._keys:
                values = self._keys[column.name].intern(data, cells, lengths)
            elif column.type == TIME_TYPE:
                values = cells + POSTGRES_EPOCH_US
            elif column.type == _DOUBLE:
                values = cells.view(np.float64)
            elif column.type == "boolean":
                values = cells.astype(np.bool_)
            show = self._name_of if column.name == "instrument_id" else self._show.get(column.type)
            found[column.name] = Column(
                values, None if valid.all() else valid, self._words.get(column.name), show
            )
        return self._with_identity(Rows(found))

    def _with_identity(self, rows: Rows) -> Rows:
        if self.table.repeats != "numbered":
            return rows
        unnumbered = ~rows.columns["sequence"].present
        extra = {}
        for name in self.identity:
            if name.startswith("~"):
                column = rows.columns[name[1:]]
                extra[name] = Column(column.values, column.present & unnumbered, column.words, column.show)
        return Rows({**rows.columns, **extra})

    def settled(self, rows: Rows) -> Rows:
        """Of rows in the order of the topic what the table should hold: one a key."""
        if not len(rows):
            return rows
        if self.table.repeats != "filled":
            return rows.take(newest(rows, self.identity, self.table.version))
        key = [(rows.columns[name].values, rows.columns[name].present) for name in self.identity]
        codes, end = group(key, len(rows))
        chosen = newest(rows, self.identity)
        merged = dict(rows.take(chosen).columns)
        for name in self.table.filled:
            # Of each key the first value that was given.
            column = rows.columns[name]
            given = np.flatnonzero(column.present)[::-1]
            first = np.full(end, -1, np.int64)
            first[codes[given]] = given
            source = first[codes[chosen]]
            merged[name] = Column(column.values[source], source >= 0, column.words, column.show)
        return Rows(merged)

    def write(self, rows: Rows) -> Bytes:
        """The bytes of rows for COPY, without header and trailer."""
        texts, starts = self._texts(rows)
        fields: list[Fixed | Text] = []
        for column in self.table.cells:
            cells = rows.columns[column.name]
            if column.name in starts:
                places = starts[column.name]
                fields.append(Text(texts.starts[places], np.where(cells.present, texts.lengths[places], -1)))
            elif column.type == TIME_TYPE:
                fields.append(times(cells.values, cells.valid))
            elif column.type == _DOUBLE:
                fields.append(doubles(cells.values, cells.valid))
            else:
                fields.append(integers(cells.values, WIDTHS[column.type], cells.valid))
        return lay_out(fields, texts.data)

    def _texts(self, rows: Rows) -> tuple[Spans, Mapping[str, Ints]]:
        """Each text once, and for each column the place of every row's text; 0 where it has none."""
        texts, starts = [b""], {}
        for name, keys in self._keys.items():
            column = rows.columns[name]
            codes, back = np.unique(column.values[column.present], return_inverse=True)
            starts[name] = np.zeros(len(rows), np.int64)
            starts[name][column.present] = len(texts) + back.reshape(-1)
            texts += [keys.key_bytes(code) for code in codes.tolist()]
        return Spans.of(texts), starts


class RecordColumns:
    """The columns of a table whose records are few: from objects.

    Attributes:
        table: The table.
        identity: Columns by which a row is known.
        shown: The same.

    Args:
        table: The table.
        name_of: Name of an instrument by its number.
    """

    def __init__(self, table: RowTable[Any], name_of: Callable[[int], str]) -> None:
        self.table = table
        has_id = any(cell.name == "id" for cell in table.cells)
        # What has no id of its own is a signal: a rule fires once at a candle.
        self.identity = self.shown = ("id",) if has_id else ("instrument_id", "interval", "rule", "time")
        self._name_of = name_of

    @property
    def has_instruments(self) -> bool:
        """Whether its rows are of instruments."""
        return "instrument_id" in self.identity

    def rows(self, found: Iterable[Sequence[object]]) -> Rows:
        """Rows from tuples of the table's columns as psycopg takes or gives them."""
        listed = list(found)
        if not listed:
            return Rows({})
        fields = {
            cell.name: [_plain(row[place], cell.type) for row in listed]
            for place, cell in enumerate(self.table.cells)
        }
        made = dict(Rows.of(fields).columns)
        for cell in self.table.cells:
            if cell.name == "instrument_id":
                made[cell.name] = replace(made[cell.name], show=self._name_of)
            elif cell.type == TIME_TYPE:
                made[cell.name] = replace(made[cell.name], show=format_time)
        return Rows(made)

    def first(self, records: Sequence[R]) -> list[R]:
        """Of tuples as `rows` takes them the first of each key."""
        made = self.rows(records)
        return [records[place] for place in newest(made, self.identity).tolist()] if len(made) else []

    def settled(self, rows: Rows) -> Rows:
        """Of rows in the order of the topic what the table should hold: the first of each key."""
        return rows.take(newest(rows, self.identity)) if len(rows) else rows


def _plain(value: object, type_: str) -> object:
    """A value as it can be compared: times as microseconds, JSON by what it says."""
    if isinstance(value, dt.datetime):
        return (value - _EPOCH) // dt.timedelta(microseconds=1)
    if type_ in ("json", "jsonb") and value is not None:
        said = json.loads(value) if isinstance(value, str) else value
        return json.dumps(said, sort_keys=True)
    return value
