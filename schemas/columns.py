"""Whole batches of values as columns: the fast twin of `rows`, through the compiled walker.

A batch may mix schemas (trades and marks, say); each value names its own in the Confluent prefix. The result
is an array of cells, one row a slot and one column a value, in the order of the batch, so that a kernel can
read trades and marks in turn; and, for people and sinks, one array a field.
"""

import functools
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from schemas import registry
from schemas.errors import ConfigurationError
from schemas.kernels import walk
from schemas.key_table import KeyTable
from schemas.programs import Entry, Field, Layout, compile_program, layout_of
from schemas.row_status import RowStatus

__all__ = ["ColumnReader", "Columns", "RowStatus"]

Int64s = npt.NDArray[np.int64]
_SCRATCH_SLOTS = 3
_FIRST_POOL = 1 << 12


class ColumnReader:
    """Reads batches into columns; holds the programs of its schemas and the dictionaries of its texts.

    Not safe for two threads at once: give each its own. Interned codes keep their meaning for the life of
    the reader.

    Args:
        entries: Schemas that may occur; those of one record in the order of their making. The layout of
            a record is that of its last entry.
        interned: Names of string fields that get a slot with a code as well. Fields of one name share a
            dictionary, whatever their record: a trade's venue and a mark's have one code.

    Raises:
        ConfigurationError: An id occurs twice, an older entry cannot be read as the newest of its record, or
            an interned name is no string field.
    """

    def __init__(self, entries: Sequence[Entry] = registry.ENTRIES, interned: Sequence[str] = ()) -> None:
        self.entries = tuple(entries)
        newest = {entry.record: entry for entry in self.entries}
        layouts = {record: layout_of(entry.definition) for record, entry in newest.items()}
        self._layouts: dict[Hashable, Layout] = {
            r: layout for r, layout in layouts.items() if layout is not None
        }
        self.dictionaries: Mapping[str, KeyTable] = {name: KeyTable() for name in interned}
        self._entries_of = {
            record: np.array([i for i, e in enumerate(self.entries) if e.record == record], np.int16)
            for record in newest
        }
        self._ids = np.array([entry.schema_id for entry in self.entries], np.int64)
        if np.unique(self._ids).size != self._ids.size:
            raise ConfigurationError(f"every schema needs an id of its own, got {self._ids.tolist()}")
        own = max((layout.slots for layout in self._layouts.values()), default=0)
        self._slots = max(own, *(self._written(entry, newest[entry.record]) for entry in self.entries), 0)
        self._codes = {name: self._slots + index for index, name in enumerate(interned)}
        self._bounds, self._program = self._compile(newest)
        for name in interned:
            if not any(self._is_text(layout, name) for layout in self._layouts.values()):
                raise ConfigurationError(
                    f"{name} is to be interned, but no columnar schema has such a string"
                )

    @staticmethod
    def _is_text(layout: Layout, name: str) -> bool:
        return name in layout.fields and layout.fields[name].type == "string"

    def _written(self, entry: Entry, newest: Entry) -> int:
        layout = self._layouts.get(entry.record)
        return 0 if layout is None else layout.slots + (0 if entry is newest else _SCRATCH_SLOTS)

    def _compile(self, newest: Mapping[Hashable, Entry]) -> tuple[Int64s, Int64s]:
        bounds: list[tuple[int, int, int]] = []
        programs = [np.empty((0, 5), np.int64)]
        end = 0
        for entry in self.entries:
            layout = self._layouts.get(entry.record)
            if layout is None:
                bounds.append((-1, -1, 0))
                continue
            program = compile_program(entry.definition, newest[entry.record].definition)
            programs.append(program)
            bounds.append((end, end + len(program), layout.slots))
            end += len(program)
        return np.array(bounds, np.int64).reshape(-1, 3), np.concatenate(programs)

    def is_columnar(self, record: Hashable) -> bool:
        """Whether values of the record get cells; if not, `rows.decode` reads them one by one."""
        return record in self._layouts

    def field(self, record: Hashable, name: str) -> Field:
        """Where a field stands.

        Raises:
            KeyError: The record is opaque or unknown, or has no such field.
        """
        layout = self._layouts.get(record)
        if layout is None or name not in layout.fields:
            known = "is not columnar here" if layout is None else f"has {', '.join(layout.fields)}"
            raise KeyError(f"{getattr(record, '__name__', record)}.{name}: the record {known}")
        return layout.fields[name]

    def slot(self, record: Hashable, name: str) -> int:
        """Row of the cells with the value of a field (of a string or an array: its start)."""
        return self.field(record, name).slot

    def valid_slot(self, record: Hashable, name: str) -> int:
        """Row of the cells with 1 (value) or 0 (null); -1 when the field cannot be null."""
        return self.field(record, name).valid_slot

    def code_slot(self, record: Hashable, name: str) -> int:
        """Row of the cells with the dictionary code of an interned string; -1 in the cells: null."""
        if self.field(record, name).type != "string" or name not in self._codes:
            raise KeyError(f"{name} is not interned here; name it in `interned`")
        return self._codes[name]

    def schema_indexes(self, record: Hashable) -> npt.NDArray[np.int16]:
        """The values of `Columns.schema` that mean this record."""
        return self._entries_of[record]

    def read(self, data: npt.NDArray[np.uint8], value_start: Int64s, value_length: Int64s) -> "Columns":
        """Decode the values at data[value_start : value_start + value_length]; bad ones get a status.

        Never raises for what the bytes are.

        Args:
            data: Bytes, one-dimensional and contiguous.
            value_start: Positions in `data`.
            value_length: Bytes of each value, -1: null.

        Raises:
            ValueError: There are more starts than lengths, or fewer.
        """
        starts = np.ascontiguousarray(value_start, np.int64)
        lengths = np.ascontiguousarray(value_length, np.int64)
        rows = starts.size
        if lengths.size != rows:
            raise ValueError(f"every value needs both, got {rows} starts and {lengths.size} lengths")
        cells = np.empty((self._slots + len(self._codes), rows), np.int64)
        schema = np.empty(rows, np.int16)
        status = np.empty(rows, np.int16)
        pool = np.empty(_FIRST_POOL if rows else 0, np.int64)
        row = used = 0
        while True:
            row, used = walk(
                data,
                starts,
                lengths,
                row,
                self._ids,
                self._bounds,
                self._program,
                cells,
                schema,
                status,
                pool,
                used,
            )
            if row == rows:
                break
            pool = np.concatenate((pool, np.empty(pool.size, np.int64)))
        columns = Columns(self, data, starts, lengths, status, schema, cells, pool[:used])
        for name, slot in self._codes.items():
            for record, layout in self._layouts.items():
                if self._is_text(layout, name):
                    chosen = columns.rows(record)
                    if chosen.size:
                        spans = columns.spans(record, name)
                        cells[slot, chosen] = self.dictionaries[name].intern(data, *spans)
        return columns


class Columns:
    """The columns of one batch.

    Attributes:
        data: Bytes that starts point into.
        value_start: Position of each value.
        value_length: Bytes of each value, -1: null.
        status: `RowStatus` of each value, int16[n].
        schema: Index into the reader's entries, int16[n]; -1: unknown.
        cells: int64[slots, n]; what a row means depends on the schema, see `ColumnReader.slot`. All cells of
            values that are bad or opaque are zero.
        pool: Items of all arrays, int64 (doubles and floats bit-cast as float64).
    """

    def __init__(
        self,
        reader: ColumnReader,
        data: npt.NDArray[np.uint8],
        value_start: Int64s,
        value_length: Int64s,
        status: npt.NDArray[np.int16],
        schema: npt.NDArray[np.int16],
        cells: Int64s,
        pool: Int64s,
    ) -> None:
        self.reader = reader
        self.data = data
        self.value_start = value_start
        self.value_length = value_length
        self.status = status
        self.schema = schema
        self.cells = cells
        self.pool = pool
        self._rows: dict[Hashable, Int64s] = {}

    def __len__(self) -> int:
        return self.status.size

    @property
    def doubles(self) -> npt.NDArray[np.float64]:
        """The same memory as `cells`, as doubles."""
        return self.cells.view(np.float64)

    @functools.cached_property
    def bad(self) -> Int64s:
        """The rows whose status is not OK."""
        return np.flatnonzero(self.status)

    def rows(self, record: Hashable) -> Int64s:
        """The rows that hold good values of a record, opaque ones as well, ascending."""
        chosen = self._rows.get(record)
        if chosen is None:
            indexes = self.reader.schema_indexes(record)
            mask = self.schema == indexes[0]
            for index in indexes[1:]:
                mask |= self.schema == index
            chosen = self._rows[record] = np.flatnonzero(mask & (self.status == 0))
        return chosen

    def value(self, row: int) -> bytes | None:
        """The bytes of one value, prefix included; None: null. For opaque records and for dead letters."""
        length = int(self.value_length[row])
        start = int(self.value_start[row])
        return None if length < 0 else self.data[start : start + length].tobytes()

    def column(self, record: Hashable, name: str) -> npt.NDArray[Any]:
        """A field of the rows of a record: int64, float64 or bool; an enum as indexes. Nulls are 0.

        Raises:
            KeyError: No such field.
            TypeError: It is a string, bytes or an array: see `spans`, `strings`, `dictionary`, `arrays`.
        """
        field = self.reader.field(record, name)
        if field.is_span:
            raise TypeError(
                f"{name} is of type {field.type}; use spans(), strings(), dictionary() or arrays()"
            )
        cells: Int64s = self.cells[field.slot].take(self.rows(record))
        if field.type in ("float", "double"):
            return cells.view(np.float64)
        return cells.astype(np.bool_) if field.type == "boolean" else cells

    def valid(self, record: Hashable, name: str) -> npt.NDArray[np.bool_]:
        """Which rows of a record have a value in this field and no null."""
        field = self.reader.field(record, name)
        if field.valid_slot < 0:
            return np.ones(self.rows(record).size, np.bool_)
        flags: Int64s = self.cells[field.valid_slot].take(self.rows(record))
        return flags.astype(np.bool_)

    def spans(self, record: Hashable, name: str) -> tuple[Int64s, Int64s]:
        """(starts, lengths) of strings or bytes in `data`, or of arrays in `pool`; null: length -1."""
        field = self.reader.field(record, name)
        if not field.is_span:
            raise TypeError(f"{name} is of type {field.type}; use column()")
        rows = self.rows(record)
        lengths = self.cells[field.slot + 1].take(rows)
        if field.valid_slot >= 0:
            lengths[self.cells[field.valid_slot].take(rows) == 0] = -1
        return self.cells[field.slot].take(rows), lengths

    def bytes_of(self, record: Hashable, name: str) -> list[bytes | None]:
        """A field of strings or bytes as byte strings; null: None."""
        starts, lengths = self.spans(record, name)
        view = self.data.data
        return [
            None if length < 0 else bytes(view[start : start + length])
            for start, length in zip(starts.tolist(), lengths.tolist(), strict=True)
        ]

    def strings(self, record: Hashable, name: str) -> list[str]:
        """A string field as texts; null: the empty text (see `valid`)."""
        return [(value or b"").decode() for value in self.bytes_of(record, name)]

    def symbols(self, record: Hashable, name: str) -> list[str]:
        """An enum field as symbols; null: the first one (see `valid`)."""
        known = self.reader.field(record, name).symbols
        return [known[index] for index in self.column(record, name).tolist()]

    def dictionary(self, record: Hashable, name: str) -> npt.NDArray[np.int32]:
        """An interned string field as codes into `reader.dictionaries[name].keys`; null: -1."""
        codes: Int64s = self.cells[self.reader.code_slot(record, name)].take(self.rows(record))
        return codes.astype(np.int32)

    def arrays(self, record: Hashable, name: str) -> list[npt.NDArray[Any]]:
        """An array field: one view of the pool for each row; null: empty (see `valid`)."""
        floating = self.reader.field(record, name).items in ("float", "double")
        pool: npt.NDArray[Any] = self.pool.view(np.float64) if floating else self.pool
        starts, lengths = self.spans(record, name)
        return [
            pool[start : start + max(count, 0)]
            for start, count in zip(starts.tolist(), lengths.tolist(), strict=True)
        ]
