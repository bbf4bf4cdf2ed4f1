"""The compiled walker: Avro bodies of a batch, many schemas, into cells, without a Python object a record.

One static kernel follows a small program of whole numbers that `programs` compiles from the writer's
schema, so a new schema costs no compilation. Its signature is written out: it is compiled (or loaded from
Numba's cache) when this module is imported, never later. Numba does not notice when a callee in ANOTHER
file changes, so every compiled function that the kernel calls stands in this file.

Trust: the batch is hostile. Every read is checked against the end of its own value before it happens; a
value that is wrong in any way gets a status and zeroed cells, and its neighbours never notice.
"""

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from schemas.compiled import compiled

# Operations of a program: plain module constants, as the kernel freezes them.
NULL, BOOLEAN, INT, LONG, FLOAT, DOUBLE, BYTES, STRING, ENUM, ARRAY, CONSTANT = range(11)

# Columns of an instruction.
OPERATION, WIDTH = 0, 5
SLOT = 1  # where the value goes; its second half (length or count) goes to SLOT + 1
VALID_SLOT = 2  # where 1 (value) or 0 (null) goes; only read where NULL_BRANCH >= 0
NULL_BRANCH = 3  # index of null in the union, -1: not a union
ARGUMENT = 4  # ENUM: number of symbols; ARRAY: operation of an item; CONSTANT: the cell

PREFIX = 5
"""Bytes before the Avro body: a zero byte and the schema id, four bytes, big-endian."""

# What becomes of a value; `row_status` has them as an enum with words.
OK, NULL_VALUE, NO_PREFIX, WRONG_MAGIC, UNKNOWN_SCHEMA, TRUNCATED, TRAILING_BYTES = range(7)
BAD_VARINT, INT_RANGE, BAD_BOOLEAN, BAD_UNION, BAD_ENUM, BAD_LENGTH, BAD_UTF8 = range(7, 14)
OUTSIDE = 14
_POOL_FULL = -1  # leaves the kernel as a row to go on from, never as a status


def _loader(bits: int) -> Any:
    """An intrinsic that reads an unaligned, little-endian number of `bits` bits; the CALLER checks bounds."""

    def load(_context: Any, data: Any, position: Any) -> Any:
        signature = types.Integer.from_bitwidth(bits, signed=bits == 64)(data, types.int64)

        def codegen(context: Any, builder: Any, typed: Any, arguments: Any) -> Any:
            array = context.make_array(typed.args[0])(context, builder, arguments[0])
            address = cgutils.pointer_add(builder, array.data, arguments[1])
            word = builder.load(builder.bitcast(address, ir.IntType(bits).as_pointer()))
            word.align = 1
            return word

        return signature, codegen

    return intrinsic(load)


_byte = _loader(8)
_half = _loader(32)
_word = _loader(64)


def _widen(_context: Any, half: Any) -> Any:
    """Bits of a float32 to the bits of the equal float64."""

    def codegen(_c: Any, builder: Any, _s: Any, arguments: Any) -> Any:
        single = builder.bitcast(arguments[0], ir.FloatType())
        return builder.bitcast(builder.fpext(single, ir.DoubleType()), ir.IntType(64))

    return types.int64(types.uint32), codegen


_float_cell = intrinsic(_widen)


def _trailing(_context: Any, word: Any) -> Any:
    """How many of the lowest bits of a word are zero; 64 where all are."""

    def codegen(_c: Any, builder: Any, _s: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.int64), codegen


_trailing_zeros = intrinsic(_trailing)


@compiled()
def _varint(data: Any, position: int, end: int) -> Any:
    """A zigzag number of 64 bits: (value, position after it); a negative position is minus a status."""
    if end - position >= 8:
        # Eight bytes at once: where the first one stands that ends a number, then its groups of seven bits.
        word = _word(data, position)
        last = _trailing_zeros(~word & -0x7F7F7F7F7F7F7F80)
        if last < 64:
            bits = word & ((2 << last) - 1) & 0x7F7F7F7F7F7F7F7F
            bits = (bits & 0x007F007F007F007F) | ((bits & 0x7F007F007F007F00) >> 1)
            bits = (bits & 0x00003FFF00003FFF) | ((bits & 0x3FFF00003FFF0000) >> 2)
            bits = (bits & 0x0FFFFFFF) | ((bits & 0x0FFFFFFF00000000) >> 4)
            return (bits >> 1) ^ -(bits & 1), position + (last >> 3) + 1
    shift = 0
    bits = 0
    while position < end:
        byte = int(_byte(data, position))
        position += 1
        if shift == 63 and byte > 1:
            return 0, -BAD_VARINT
        bits |= (byte & 0x7F) << shift
        if byte < 0x80:
            return ((bits >> 1) & 0x7FFFFFFFFFFFFFFF) ^ -(bits & 1), position
        shift += 7
    return 0, -TRUNCATED


@compiled()
def _is_utf8(data: Any, position: int, end: int, limit: int) -> bool:
    """Whether the bytes are UTF-8 as Python's strict decoder has it: no overlong forms, no surrogates.

    Bytes up to `limit`, which is not before `end`, may be read.
    """
    while position < end:
        if limit - position >= 8:
            high = _word(data, position) & -0x7F7F7F7F7F7F7F80
            if high == 0 or _trailing_zeros(high) >= (end - position) << 3:
                position += 8
                continue
        byte = int(_byte(data, position))
        position += 1
        if byte < 0x80:
            continue
        low, high = 0x80, 0xBF  # range of the second byte
        if 0xC2 <= byte <= 0xDF:
            more = 1
        elif 0xE0 <= byte <= 0xEF:
            more = 2
            if byte == 0xE0:
                low = 0xA0
            elif byte == 0xED:
                high = 0x9F
        elif 0xF0 <= byte <= 0xF4:
            more = 3
            if byte == 0xF0:
                low = 0x90
            elif byte == 0xF4:
                high = 0x8F
        else:
            return False
        if end - position < more:
            return False
        for _ in range(more):
            byte = int(_byte(data, position))
            position += 1
            if byte < low or byte > high:
                return False
            low, high = 0x80, 0xBF
    return True


@compiled()
def _number(data: Any, position: int, end: int, operation: int) -> Any:
    """A value of one cell: (cell, position after it or minus a status)."""
    if operation == DOUBLE:
        if end - position < 8:
            return 0, -TRUNCATED
        return _word(data, position), position + 8
    if operation == LONG:
        return _varint(data, position, end)
    if operation == INT:
        value, position = _varint(data, position, end)
        if value < -0x80000000 or value > 0x7FFFFFFF:
            return 0, -INT_RANGE
        return value, position
    if operation == FLOAT:
        if end - position < 4:
            return 0, -TRUNCATED
        return _float_cell(_half(data, position)), position + 4
    if end - position < 1:  # BOOLEAN
        return 0, -TRUNCATED
    value = int(_byte(data, position))
    if value > 1:
        return 0, -BAD_BOOLEAN
    return value, position + 1


@compiled()
def _array(data: Any, position: int, end: int, operation: int, pool: Any, used: int) -> Any:
    """Blocks of numbers into the pool: (position or minus a status, used or `_POOL_FULL`)."""
    smallest = 8 if operation == DOUBLE else 4 if operation == FLOAT else 1
    while True:
        count, position = _varint(data, position, end)
        if position < 0 or count == 0:
            return position, used
        block_end = -1
        if count < 0:
            if count < -0x7FFFFFFFFFFFFFFF:
                return -BAD_LENGTH, used
            count = -count
            size, position = _varint(data, position, end)
            if position < 0:
                return position, used
            if size < 0 or size > end - position:
                return -BAD_LENGTH, used
            block_end = position + size
        if count > (end - position) // smallest:
            return -TRUNCATED, used
        if count > pool.size - used:
            return position, _POOL_FULL
        for _ in range(count):
            cell, position = _number(data, position, end, operation)
            if position < 0:
                return position, used
            pool[used] = cell
            used += 1
        if block_end >= 0 and position != block_end:
            return -BAD_LENGTH, used


@compiled()
def _walk_row(
    data: Any,
    position: int,
    end: int,
    program: Any,
    first: int,
    last: int,
    cells: Any,
    row: int,
    pool: Any,
    used: int,
) -> Any:
    """One body by the instructions first..last: (status or `_POOL_FULL`, used)."""
    for index in range(first, last):
        operation = program[index, OPERATION]
        slot = program[index, SLOT]
        null_branch = program[index, NULL_BRANCH]
        if null_branch >= 0:
            branch, position = _varint(data, position, end)
            if position < 0:
                return -position, used
            if branch < 0 or branch > 1:
                return BAD_UNION, used
            present = branch != null_branch
            cells[program[index, VALID_SLOT], row] = present
            if not present:
                cells[slot, row] = 0
                if operation in (STRING, BYTES, ARRAY):
                    cells[slot + 1, row] = 0
                continue
        if operation in (STRING, BYTES):
            length, position = _varint(data, position, end)
            if position < 0:
                return -position, used
            if length < 0:
                return BAD_LENGTH, used
            if length > end - position:
                return TRUNCATED, used
            if operation == STRING and not _is_utf8(data, position, position + length, end):
                return BAD_UTF8, used
            cells[slot, row] = position
            cells[slot + 1, row] = length
            position += length
        elif operation == ENUM:
            value, position = _varint(data, position, end)
            if position < 0:
                return -position, used
            if value < 0 or value >= program[index, ARGUMENT]:
                return BAD_ENUM, used
            cells[slot, row] = value
        elif operation == ARRAY:
            begun = used
            position, used = _array(data, position, end, program[index, ARGUMENT], pool, used)
            if used == _POOL_FULL:
                return _POOL_FULL, begun
            if position < 0:
                return -position, used
            cells[slot, row] = begun
            cells[slot + 1, row] = used - begun
        elif operation in (CONSTANT, NULL):
            cells[slot, row] = program[index, ARGUMENT]
        else:
            value, position = _number(data, position, end, operation)
            if position < 0:
                return -position, used
            cells[slot, row] = value
    if position != end:
        return TRAILING_BYTES, used
    return OK, used


_BYTES = types.Array(types.uint8, 1, "C", readonly=True)


@compiled(
    types.UniTuple(types.int64, 2)(
        _BYTES,  # data
        types.int64[::1],  # starts
        types.int64[::1],  # lengths
        types.int64,  # first
        types.int64[::1],  # ids
        types.int64[:, ::1],  # bounds
        types.int64[:, ::1],  # program
        types.int64[:, ::1],  # cells
        types.int16[::1],  # schemas
        types.int16[::1],  # statuses
        types.int64[::1],  # pool
        types.int64,  # used
    )
)
def walk(
    data: Any,
    starts: Any,
    lengths: Any,
    first: int,
    ids: Any,
    bounds: Any,
    program: Any,
    cells: Any,
    schemas: Any,
    statuses: Any,
    pool: Any,
    used: int,
) -> Any:
    """Decode the values of a batch, from row `first` on, into `cells`.

    Args:
        data: Bytes that hold all the values.
        starts: Position of each value in `data`, n rows.
        lengths: Bytes of each value, -1: null.
        first: Row to begin at; not 0 when the pool was grown.
        ids: Schema ids as they stand in the prefix, one for each entry.
        bounds: For each entry (first instruction, instruction after the last, slots that it fills); a first
            instruction of -1: not columnar, only its span is reported.
        program: Instructions of all entries, `WIDTH` numbers each.
        cells: Filled here, [slots, n].
        schemas: Filled here: index of the entry, -1: unknown.
        statuses: Filled here: statuses as above.
        pool: Filled here: items of arrays.
        used: Cells of the pool that are filled.

    Returns:
        (row, used): row n: done; otherwise the pool is too small for this row: grow it and call again with
        `first` = row.
    """
    rows = starts.size
    slots = cells.shape[0]
    entry = 0
    for row in range(first, rows):
        start = starts[row]
        length = lengths[row]
        found = -1
        filled = 0
        status = OK
        if length < 0:
            status = NULL_VALUE
        elif start < 0 or start > data.size - length:
            status = OUTSIDE
        elif length < PREFIX:
            status = NO_PREFIX
        elif _byte(data, start) != 0:
            status = WRONG_MAGIC
        else:
            schema_id = 0
            for i in range(1, PREFIX):
                schema_id = (schema_id << 8) | int(_byte(data, start + i))
            if entry < ids.size and ids[entry] == schema_id:  # mostly that of the row before
                found = entry
            else:
                for i in range(ids.size):
                    if ids[i] == schema_id:
                        found = i
                        entry = i
                        break
            if found < 0:
                status = UNKNOWN_SCHEMA
            elif bounds[found, 0] >= 0:
                begun = used
                status, used = _walk_row(
                    data,
                    start + PREFIX,
                    start + length,
                    program,
                    bounds[found, 0],
                    bounds[found, 1],
                    cells,
                    row,
                    pool,
                    used,
                )
                if status == _POOL_FULL:
                    return row, begun
                if status == OK:
                    filled = bounds[found, 2]
                else:
                    used = begun
        schemas[row] = found
        statuses[row] = status
        for slot in range(filled, slots):
            cells[slot, row] = 0
    return rows, used
