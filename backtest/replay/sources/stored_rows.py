"""Rows of the tables as records again: from the bytes of a COPY to encoded values, by columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from psycopg import sql

from schemas.column_writer import ColumnWriter, Draft
from schemas.identity import market_key
from schemas.programs import Field
from schemas.records import Record
from schemas.spans import Bytes, Int64s, Spans
from sinks.timescale.copy_binary import POSTGRES_EPOCH_US
from sinks.timescale.copy_reader import WIDTHS, CopiedColumns, read_rows
from sinks.timescale.table import TIME_TYPE, Column, Table

_LETTERS: Final = {
    "side": {"b": "buy", "s": "sell", "u": "unknown", "": "unknown"},
    "kind": {"s": "spot", "p": "perpetual", "f": "future"},
    "status": {"t": "trading", "h": "halted", "d": "delisted"},
}
"""What a letter of a column stands for; an empty one for null."""
_ORDER: Final = ("time", "instrument_id", "sequence", "receive_time", "trade_id", "side", "price", "size")
"""Columns by which rows are put in one order, as far as a table has them: together they hold its key."""


@dataclass(frozen=True, slots=True)
class Markets:
    """The instruments of a database, by their place in these lists.

    Attributes:
        numbers: Their numbers in the database, ascending.
        names: Venue and symbol of each.
    """

    numbers: Int64s
    names: list[tuple[str, str]]

    def places(self, numbers: Int64s) -> Int64s:
        """The places of numbers."""
        return np.searchsorted(self.numbers, numbers)


@dataclass(frozen=True, slots=True)
class StoredRows:
    """Rows of one table, in order.

    Attributes:
        times: Event time of each, µs.
        markets: Place of its instrument in `Markets`.
        keys, values: As they would stand in Kafka.
    """

    times: Int64s
    markets: Int64s
    keys: Spans
    values: Spans

    def __len__(self) -> int:
        return int(self.times.size)


def query_of(table: Table, since: sql.Composable, until: sql.Composable) -> sql.Composed:
    """The COPY that gives the rows of a time, in an order that follows from them alone."""
    names = {cell.name for cell in table.cells}
    return sql.SQL(
        'COPY (SELECT {} FROM {} WHERE "time" >= {} AND "time" < {} ORDER BY {}) TO STDOUT (FORMAT binary)'
    ).format(
        sql.SQL(", ").join(sql.Identifier(cell.name) for cell in table.cells),
        sql.Identifier("kandle", table.name),
        since,
        until,
        sql.SQL(", ").join(sql.Identifier(name) for name in _ORDER if name in names),
    )


class RowEncoder:
    """Encodes the rows of one table.

    Args:
        table: Which; what it does not hold of a record has the record's default.
        markets: The instruments.
    """

    def __init__(self, table: Table, markets: Markets) -> None:
        self._table = table
        self._markets = markets
        self._writer = ColumnWriter(table.record)
        self._places = {cell.name: place for place, cell in enumerate(table.cells)}
        self._held = {field: cell for cell in table.cells for field in cell.fields if cell.name != "time"}
        venues, symbols = zip(*markets.names, strict=True) if markets.names else ((), ())
        keys = [market_key(*name) for name in markets.names]
        self._texts = Spans.of([text.encode() for text in (*venues, *symbols, *keys)])

    def encode(self, data: Bytes) -> StoredRows:
        """The records of what a COPY gave.

        Raises:
            DecodeError: It is not rows of the table.
        """
        copied = read_rows(data, [WIDTHS.get(cell.type, 0) for cell in self._table.cells])
        count = copied.cells.shape[1]
        markets = self._markets.places(copied.cells[self._places["instrument_id"]])
        times = copied.cells[self._places["time"]] + POSTGRES_EPOCH_US
        texts, spans = self._all_texts(copied, markets)
        draft = self._writer.begin(count, texts)
        for name, field in self._writer.fields.items():
            if field.is_span:
                draft.text(name, spans[name])
            elif name == "event_time" and name not in self._held:
                self._set_event_time(draft, copied, times, field)
            elif name in self._held:
                self._set(draft, copied, field, self._held[name])
            else:
                default = _default(self._table.record, name)
                draft.set(name, 0 if default is None else default, default is not None)
        size = len(self._markets.names)
        return StoredRows(times, markets, self._texts.take(2 * size + markets), draft.encode())

    def _set_event_time(self, draft: Draft, copied: CopiedColumns, times: Int64s, field: Field) -> None:
        """`time` is the venue's; where it gave none, it is the receive time, so the two are equal."""
        told: Any = True
        if field.valid_slot >= 0:
            told = times != copied.cells[self._places["receive_time"]] + POSTGRES_EPOCH_US
        draft.set(field.name, times, told)

    def _set(self, draft: Draft, copied: CopiedColumns, field: Field, cell: Column) -> None:
        cells, lengths = copied.cells[self._places[cell.name]], copied.lengths[self._places[cell.name]]
        values: npt.NDArray[Any] = cells
        if field.type == "enum":
            codes = np.zeros(256, np.int64)
            for letter, word in _LETTERS[field.name].items():
                codes[ord(letter) if letter else 0] = field.symbols.index(word)
            values = codes[np.where(lengths < 0, 0, cells & 0xFF)]
        elif cell.type == TIME_TYPE:
            values = cells + POSTGRES_EPOCH_US
        elif field.type == "double":
            values = np.ascontiguousarray(cells).view(np.float64)
        draft.set(field.name, values, lengths >= 0)

    def _all_texts(self, copied: CopiedColumns, markets: Int64s) -> tuple[Bytes, dict[str, Spans]]:
        """The texts of all rows over one buffer, by field."""
        own: dict[str, Spans] = {}
        for name, field in self._writer.fields.items():
            if field.is_span and name not in ("venue", "symbol"):
                place = self._places[name]
                found = Spans(copied.data, copied.cells[place], copied.lengths[place])
                own[name] = self._trade_ids(copied, found) if name == "trade_id" else found
        joined = Spans.joined([self._texts, *own.values()])
        size, count = len(self._markets.names), markets.size
        spans = {"venue": joined.take(markets), "symbol": joined.take(size + markets)}
        first = len(self._texts)
        for name in own:
            spans[name] = joined.take(np.arange(first, first + count))
            first += count
        return joined.data, spans

    def _trade_ids(self, copied: CopiedColumns, stored: Spans) -> Spans:
        """Ids; those that are the sequence in decimal are not stored."""
        implied = np.flatnonzero(stored.lengths < 0)
        sequences = copied.cells[self._places["sequence"]][implied].tolist()
        joined = Spans.joined([stored, Spans.of([str(number).encode() for number in sequences])])
        rows = np.arange(len(stored))
        rows[implied] = len(stored) + np.arange(implied.size)
        return joined.take(rows)


def _default(record: type[Record], name: str) -> Any:
    behind = len(record.__struct_fields__) - record.__struct_fields__.index(name)
    held = record.__struct_defaults__
    return held[-behind] if behind <= len(held) else None
