"""Columns to the bytes of `COPY ... FROM STDIN (FORMAT binary)`, by a compiled kernel.

Wire format (PostgreSQL manual, COPY, "Binary Format"): a header of 19 bytes, then for each row the number of
its fields (two bytes) and each field as its length in four bytes (-1: null) and its value; everything
big-endian; two bytes of -1 end it. `timestamptz` is whole microseconds since 2000-01-01 UTC.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from schemas.compiled import compiled

HEADER: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER: Final = b"\xff\xff"
POSTGRES_EPOCH_US: Final = 946_684_800_000_000
"""2000-01-01 UTC, in microseconds since 1970."""

Int64s = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Fixed:
    """A field of a fixed width.

    Attributes:
        cells: int64[n]: whole numbers, or the bits of doubles.
        width: Bytes of the type: 8 (bigint, double precision, timestamptz), 4 (integer), 1 (boolean, "char").
        valid: bool[n], false for null; None: no nulls.
    """

    cells: Int64s
    width: int
    valid: Mask | None = None


@dataclass(frozen=True, slots=True)
class Text:
    """A field of UTF-8 text, without zero bytes.

    Attributes:
        starts: int64[n], positions in the data that `lay_out` is given.
        lengths: int64[n], bytes; -1 for null.
    """

    starts: Int64s
    lengths: Int64s


def doubles(values: npt.NDArray[np.float64], valid: Mask | None = None) -> Fixed:
    """A `double precision` field."""
    return Fixed(np.ascontiguousarray(values, np.float64).view(np.int64), 8, valid)


def times(micros: Int64s, valid: Mask | None = None) -> Fixed:
    """A `timestamptz` field of microseconds since 1970."""
    return Fixed(micros - POSTGRES_EPOCH_US, 8, valid)


def integers(values: npt.NDArray[Any], width: int = 8, valid: Mask | None = None) -> Fixed:
    """A `bigint` (8) or `integer` (4) field, a `boolean` or a `"char"` (1)."""
    return Fixed(values.astype(np.int64, copy=False), width, valid)


def lay_out(fields: Sequence[Fixed | Text], data: Bytes, chosen: Mask | None = None) -> Bytes:
    """The rows of one COPY, without header and trailer; several may follow each other.

    Args:
        fields: In the order of the table's columns that the COPY names; all of n rows.
        data: Bytes that texts point into.
        chosen: bool[n], the rows to write; None: all.
    """
    cells: list[Int64s] = []
    program: list[tuple[int, int, int]] = []
    rows = -1
    # Nearly always all of them are wanted; then nothing is copied.
    picked = None if chosen is None or chosen.all() else np.flatnonzero(chosen)
    fixed_bytes, text_bytes = 2, 0
    for field in fields:
        slot, valid_slot = len(cells), -1
        if isinstance(field, Text):
            cells += [_picked(field.starts, picked), _picked(field.lengths, picked)]
            program.append((0, slot, -1))
            text_bytes += int(np.maximum(cells[-1], 0).sum())
            fixed_bytes += 4
        else:
            cells.append(_picked(field.cells, picked))
            if field.valid is not None:
                valid_slot = len(cells)
                cells.append(_picked(field.valid.astype(np.int64), picked))
            program.append((field.width, slot, valid_slot))
            fixed_bytes += 4 + field.width
        rows = cells[-1].size
    out = np.empty(rows * fixed_bytes + text_bytes, np.uint8)
    used = _lay_out(np.array(program, np.int64), np.stack(cells), np.ascontiguousarray(data), out)
    return out[:used]


def _picked(values: Int64s, picked: npt.NDArray[np.intp] | None) -> Int64s:
    return values if picked is None else values.take(picked)


def is_decimal_of(data: Bytes, starts: Int64s, lengths: Int64s, numbers: Int64s) -> Mask:
    """bool[n]: texts that are the number beside them in decimal, as PostgreSQL would print it."""
    found = np.empty(starts.size, np.bool_)
    _is_decimal_of(
        np.ascontiguousarray(data),
        np.ascontiguousarray(starts),
        np.ascontiguousarray(lengths),
        np.ascontiguousarray(numbers),
        found,
    )
    return found


_DATA = types.Array(types.uint8, 1, "C", readonly=True)


def _big_endian(bits: int) -> Any:
    """An intrinsic that stores a whole number of `bits` bits, unaligned; the CALLER checks bounds."""

    @intrinsic  # type: ignore[untyped-decorator]
    def put(_context: Any, out: Any, position: Any, value: Any) -> Any:
        def codegen(context: Any, builder: Any, typed: Any, arguments: Any) -> Any:
            array = context.make_array(typed.args[0])(context, builder, arguments[0])
            address = cgutils.pointer_add(builder, array.data, arguments[1])
            number = builder.trunc(arguments[2], ir.IntType(bits)) if bits < 64 else arguments[2]
            swapped = builder.bswap(number) if bits > 8 else number
            builder.store(swapped, builder.bitcast(address, ir.IntType(bits).as_pointer()), align=1)
            return context.get_dummy_value()

        return types.void(out, types.int64, types.int64), codegen

    return put


_put_1 = _big_endian(8)
_put_2 = _big_endian(16)
_put_4 = _big_endian(32)
_put_8 = _big_endian(64)


@compiled(types.int64(types.int64[:, ::1], types.int64[:, ::1], _DATA, types.uint8[::1]))
def _lay_out(program: Any, cells: Any, data: Any, out: Any) -> int:
    """Write all rows to `out`; instructions are (width, 0: text; slot; slot of validity, -1: none)."""
    position = 0
    fields = program.shape[0]
    for row in range(cells.shape[1]):
        _put_2(out, position, fields)
        position += 2
        for index in range(fields):
            width = program[index, 0]
            value = cells[program[index, 1], row]
            valid_slot = program[index, 2]
            if width == 0:
                length = cells[program[index, 1] + 1, row]
                _put_4(out, position, length)
                position += 4
                for i in range(length):
                    out[position + i] = data[value + i]
                position += max(length, 0)
                continue
            if valid_slot >= 0 and cells[valid_slot, row] == 0:
                _put_4(out, position, -1)
                position += 4
                continue
            _put_4(out, position, width)
            position += 4
            if width == 8:
                _put_8(out, position, value)
            elif width == 4:
                _put_4(out, position, value)
            else:
                _put_1(out, position, value)
            position += width
    return position


@compiled(types.void(_DATA, types.int64[::1], types.int64[::1], types.int64[::1], types.boolean[::1]))
def _is_decimal_of(data: Any, starts: Any, lengths: Any, numbers: Any, found: Any) -> None:
    for row in range(starts.size):
        number = numbers[row]
        end = starts[row] + lengths[row]
        same = number >= 0 and lengths[row] > 0
        at = end
        while same:
            at -= 1
            same = data[at] == 48 + number % 10
            number //= 10
            if number == 0 or at == starts[row]:
                break
        found[row] = same and number == 0 and at == starts[row]
