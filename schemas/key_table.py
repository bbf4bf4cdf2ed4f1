"""Keys as small numbers: byte strings interned to dense ids by a compiled hash table that grows.

The same key has the same id for the life of a table, whichever batch it came in; ids begin at 0 and have no
holes, so state of a key can stand in arrays.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from schemas.compiled import compiled

NULL_KEY = -1
"""The id of a null key (length -1)."""

_FIRST_SLOTS = 1024
_FIRST_BYTES = 1 << 14


def _load(_context: Any, data: Any, position: Any) -> Any:
    """An unaligned, little-endian word; the caller checks bounds."""

    def codegen(context: Any, builder: Any, typed: Any, arguments: Any) -> Any:
        array = context.make_array(typed.args[0])(context, builder, arguments[0])
        address = cgutils.pointer_add(builder, array.data, arguments[1])
        word = builder.load(builder.bitcast(address, ir.IntType(64).as_pointer()))
        word.align = 1
        return word

    return types.uint64(data, types.int64), codegen


_word = intrinsic(_load)


@compiled()
def _eight(data: Any, position: int, end: int) -> Any:
    """The bytes from `position` to `end`, eight at most, as a number; what is missing is zero."""
    left = end - position
    if left >= 8:
        return _word(data, position)
    if position + 8 <= data.size:
        return _word(data, position) & ((np.uint64(1) << np.uint64(8 * left)) - np.uint64(1))
    found = np.uint64(0)
    for i in range(left):
        found |= np.uint64(data[position + i]) << np.uint64(8 * i)
    return found


@compiled(
    types.UniTuple(types.int64, 3)(
        types.Array(types.uint8, 1, "C", readonly=True),  # data
        types.int64[::1],  # starts
        types.int64[::1],  # lengths
        types.int64,  # first
        types.int32[::1],  # ids
        types.int32[::1],  # slots
        types.int64[::1],  # key_starts
        types.uint8[::1],  # key_bytes
        types.int64,  # count
    )
)
def _intern(
    data: Any,
    starts: Any,
    lengths: Any,
    first: int,
    ids: Any,
    slots: Any,
    key_starts: Any,
    key_bytes: Any,
    count: Any,
) -> Any:
    """Ids of the rows from `first` on, by hashing eight bytes at a time and open addressing.

    Returns:
        (row, count, need): row n: done; otherwise the table must grow before this row, its bytes by `need`
        (0: it has too few slots).
    """
    mask = np.uint64(slots.size - 1)
    for row in range(first, starts.size):
        start = starts[row]
        length = lengths[row]
        if length < 0:
            ids[row] = -1
            continue
        if start < 0 or start > data.size - length:
            return -1 - row, count, 0
        value = np.uint64(length)
        i = start
        end = start + length
        while i < end:
            value = (value ^ _eight(data, i, end)) * np.uint64(0x9E3779B97F4A7C15)
            value ^= value >> np.uint64(32)
            i += 8
        slot = np.int64(value & mask)
        while True:
            key = np.int64(slots[slot])
            if key < 0:
                if 2 * (count + 1) > slots.size:
                    return row, count, 0
                begin = key_starts[count]
                if begin + length > key_bytes.size:
                    return row, count, length
                for i in range(length):
                    key_bytes[begin + i] = data[start + i]
                key_starts[count + 1] = begin + length
                slots[slot] = count
                key = count
                count += 1
                break
            begin = key_starts[key]
            if key_starts[key + 1] - begin == length:
                same = True
                i = 0
                while i < length and same:
                    same = _eight(key_bytes, begin + i, begin + length) == _eight(data, start + i, end)
                    i += 8
                if same:
                    break
            slot = np.int64(np.uint64(slot + 1) & mask)
        ids[row] = key
    return starts.size, count, 0


class KeyTable:
    """Byte strings to dense ids, and back.

    Memory is bounded by the number of different keys; nothing is ever forgotten.
    """

    def __init__(self) -> None:
        self._slots = np.full(_FIRST_SLOTS, -1, np.int32)
        self._starts = np.zeros(_FIRST_SLOTS // 2 + 1, np.int64)
        self._bytes = np.empty(_FIRST_BYTES, np.uint8)
        self._count: Any = 0
        self._keys: list[str] = []

    def __len__(self) -> int:
        return int(self._count)

    @property
    def keys(self) -> list[str]:
        """All keys as text, by id; bytes that are not UTF-8 stand as lone surrogates. Do not change it."""
        for key in range(len(self._keys), len(self)):
            self._keys.append(self.key_bytes(key).decode("utf-8", "surrogateescape"))
        return self._keys

    def key_bytes(self, key: int) -> bytes:
        """The bytes of one id.

        Raises:
            IndexError: There is no such id.
        """
        if not 0 <= key < self._count:
            raise IndexError(f"key ids go from 0 to {self._count - 1}, got {key}")
        return self._bytes[self._starts[key] : self._starts[key + 1]].tobytes()

    def intern(
        self, data: npt.NDArray[np.uint8], key_start: npt.NDArray[np.int64], key_length: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.int32]:
        """The ids of the keys at data[key_start : key_start + key_length]; new ones get the next ids.

        Args:
            data: Bytes.
            key_start: Positions in `data`.
            key_length: Bytes of each key, -1: null, which has the id `NULL_KEY` and is not stored.

        Raises:
            IndexError: A key lies outside of `data`.
            ValueError: There are more starts than lengths, or fewer.
        """
        if key_start.size != key_length.size:
            raise ValueError(
                f"every key needs both, got {key_start.size} starts and {key_length.size} lengths"
            )
        ids = np.empty(key_start.size, np.int32)
        starts = np.ascontiguousarray(key_start, np.int64)
        lengths = np.ascontiguousarray(key_length, np.int64)
        row = 0
        while True:
            row, self._count, need = _intern(
                data, starts, lengths, row, ids, self._slots, self._starts, self._bytes, self._count
            )
            if row == ids.size:
                return ids
            if row < 0:
                row = -1 - row
                raise IndexError(
                    f"key {row} at {starts[row]}+{lengths[row]} lies outside of {data.size} bytes of data"
                )
            if need:
                size = max(2 * self._bytes.size, self._bytes.size + need)
                self._bytes = np.concatenate((self._bytes, np.empty(size - self._bytes.size, np.uint8)))
            else:
                self._double()

    def _double(self) -> None:
        """Twice the slots; ids keep."""
        ids = np.empty(self._count, np.int32)
        starts = self._starts[: self._count].copy()
        lengths = np.diff(self._starts[: self._count + 1])
        bytes_ = self._bytes
        self._slots = np.full(2 * self._slots.size, -1, np.int32)
        self._starts = np.zeros(self._slots.size // 2 + 1, np.int64)
        self._bytes = np.empty_like(bytes_)
        _, self._count, _ = _intern(
            bytes_, starts, lengths, 0, ids, self._slots, self._starts, self._bytes, 0
        )
