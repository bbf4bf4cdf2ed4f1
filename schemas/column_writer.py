"""Columns to values: whole batches of one record, by a compiled kernel; the way back of `columns`.

The kernel follows the program that the reader follows, over the same cells, so what is read and written again
is the same bytes. No Python object a record; the bytes are those of `rows.encode`, and a test holds both
against each other.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types

from schemas.compiled import compiled
from schemas.errors import ConfigurationError
from schemas.kernels import BOOLEAN, BYTES, DOUBLE, ENUM, INT, LONG, STRING
from schemas.programs import compile_program, layout_of
from schemas.records import Record
from schemas.registry import BY_RECORD
from schemas.rows import HEADER, MAGIC
from schemas.spans import Bytes, Int64s, Spans

_MOST_BYTES = {BOOLEAN: 1, INT: 10, LONG: 10, DOUBLE: 8, ENUM: 10, STRING: 10, BYTES: 10}
"""Of a value of each operation; a text takes its own bytes besides."""
_OUTSIDE = -1


@compiled(
    types.int64(
        types.int64[:, ::1],  # program
        types.Array(types.uint8, 1, "C", readonly=True),  # prefix
        types.int64[:, ::1],  # cells
        types.Array(types.uint8, 1, "C", readonly=True),  # texts
        types.uint8[::1],  # data
        types.int64[::1],  # starts
        types.int64[::1],  # lengths
    )
)
def _write(program: Any, prefix: Any, cells: Any, texts: Any, data: Any, starts: Any, lengths: Any) -> int:
    """Values of all rows into `data`, which is large enough; the bytes used, or `_OUTSIDE`."""
    position = 0
    for row in range(starts.size):
        starts[row] = position
        for i in range(prefix.size):
            data[position + i] = prefix[i]
        position += prefix.size
        for index in range(program.shape[0]):
            operation = program[index, 0]
            slot = program[index, 1]
            null_branch = program[index, 3]
            if null_branch >= 0:
                present = cells[program[index, 2], row] != 0
                branch = null_branch if not present else 1 - null_branch
                data[position] = branch << 1
                position += 1
                if not present:
                    continue
            cell = cells[slot, row]
            if operation == DOUBLE:
                rest = np.uint64(cell)
                for i in range(8):
                    data[position + i] = np.uint8((rest >> np.uint64(8 * i)) & np.uint64(0xFF))
                position += 8
                continue
            if operation == BOOLEAN:
                data[position] = cell != 0
                position += 1
                continue
            is_text = operation in (STRING, BYTES)
            number = cells[slot + 1, row] if is_text else cell
            rest = np.uint64((number << 1) ^ (number >> 63))
            while rest > np.uint64(0x7F):
                data[position] = np.uint8(rest & np.uint64(0x7F)) | np.uint8(0x80)
                position += 1
                rest >>= np.uint64(7)
            data[position] = np.uint8(rest)
            position += 1
            if is_text:
                if number < 0 or cell < 0 or cell > texts.size - number:
                    return _OUTSIDE
                for i in range(number):
                    data[position + i] = texts[cell + i]
                position += number
        lengths[row] = position - starts[row]
    return position


class ColumnWriter:
    """Writes batches of one record, in its newest schema. May be shared; it keeps nothing between calls.

    Args:
        record: Of the contract; flat, without arrays and single-precision numbers.

    Raises:
        ConfigurationError: The record has no form in columns.
    """

    def __init__(self, record: type[Record]) -> None:
        entry = BY_RECORD[record]
        layout = layout_of(entry.definition)
        if layout is None:
            raise ConfigurationError(f"{record.__name__} has nested parts and cannot be written in columns")
        self.record = record
        self.fields = layout.fields
        self.slots = layout.slots
        self._program = compile_program(entry.definition, entry.definition)
        operations = self._program[:, 0].tolist()
        if not all(operation in _MOST_BYTES for operation in operations):
            raise ConfigurationError(f"{record.__name__} has fields that cannot be written in columns")
        self._prefix = np.frombuffer(HEADER.pack(MAGIC, entry.schema_id), np.uint8)
        self._most = self._prefix.size + sum(_MOST_BYTES[operation] + 1 for operation in operations)
        self._texts = [field.slot + 1 for field in self.fields.values() if field.is_span]

    def begin(self, rows: int, texts: Bytes) -> "Draft":
        """Columns to be filled.

        Args:
            rows: How many records.
            texts: The bytes that texts will point into.
        """
        return Draft(self, rows, texts)

    def write(self, cells: Int64s, texts: Bytes) -> Spans:
        """The values of cells, laid out as `Columns.cells` are.

        Raises:
            ValueError: A text lies outside of `texts`.
        """
        rows = cells.shape[1]
        size = rows * self._most + int(sum(np.maximum(cells[slot], 0).sum() for slot in self._texts))
        data = np.empty(size, np.uint8)
        spans = np.empty((2, rows), np.int64)
        used = _write(self._program, self._prefix, cells, texts, data, spans[0], spans[1])
        if used == _OUTSIDE:
            raise ValueError(
                f"a text of a {self.record.__name__} lies outside of {texts.size} bytes of texts"
            )
        return Spans(data[:used], spans[0], spans[1])


class Draft:
    """Columns of a batch that is being written: every field is to be set once, then `encode`."""

    def __init__(self, writer: ColumnWriter, rows: int, texts: Bytes) -> None:
        self._writer = writer
        self._texts = texts
        self._cells: Int64s = np.zeros((writer.slots, rows), np.int64)

    def set(self, name: str, values: Any, valid: Any = True) -> None:
        """A field of numbers, flags or enum indexes.

        Args:
            name: Of the field.
            values: One for each row, or one for all.
            valid: Which rows have a value and no null, where the field can be null.

        Raises:
            KeyError: There is no such field.
            TypeError: It is a text.
        """
        field = self._writer.fields[name]
        if field.is_span:
            raise TypeError(f"{name} is a text; use text()")
        target: npt.NDArray[Any] = self._cells[field.slot]
        if field.type == "double":
            target = target.view(np.float64)
        target[:] = values
        if field.valid_slot >= 0:
            self._cells[field.valid_slot] = valid

    def text(self, name: str, spans: Spans) -> None:
        """A field of texts.

        Args:
            name: Of the field.
            spans: One for each row, none null, over the texts that the draft was begun with.

        Raises:
            KeyError: There is no such field.
            ValueError: They point into other bytes.
        """
        if spans.data is not self._texts:
            raise ValueError(f"{name} points into other texts than those of the draft")
        field = self._writer.fields[name]
        self._cells[field.slot] = spans.starts
        self._cells[field.slot + 1] = spans.lengths
        if field.valid_slot >= 0:
            self._cells[field.valid_slot] = 1

    def encode(self) -> Spans:
        """The values."""
        return self._writer.write(self._cells, self._texts)
