"""Record batches (format 2) on their way out: from keys and values in buffers, by a compiled kernel.

`record_batches` is the way in. Records of one partition are framed, compressed and checksummed together; the
producer's id and sequence are put into the header when a batch is sent, see `batch_sender`.
"""

import struct
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Self

import cramjam
import numpy as np
import numpy.typing as npt
from aiokafka.record.util import calc_crc32c
from numba import types

from infra.kafka.record_batches import HEADER
from schemas.compiled import compiled
from schemas.spans import Bytes, Int64s, Spans

BATCH_BYTES: Final = 512 * 1024
"""Records of a batch before compression; a larger record has a batch of its own."""
_FRAME_BYTES: Final = 32
"""Lengths and deltas of one record, at most."""
_NO_HEADERS: Final = np.zeros(1, np.uint8)
"""A record's headers where it has none: their number."""
_LZ4: Final = 3
_CRC_FROM: Final = 21
_MAGIC: Final = 2
_COVERED: Final = struct.Struct(">hiqqqhii")

_READABLE = types.Array(types.uint8, 1, "C", readonly=True)


@compiled(types.int64(types.uint8[::1], types.int64, types.int64))
def _put_varint(out: Any, position: int, number: int) -> int:
    """A zigzag number; the position after it."""
    rest = np.uint64((number << 1) ^ (number >> 63))
    while rest > np.uint64(0x7F):
        out[position] = np.uint8(rest & np.uint64(0x7F)) | np.uint8(0x80)
        position += 1
        rest >>= np.uint64(7)
    out[position] = np.uint8(rest)
    return position + 1


@compiled(types.int64(types.int64))
def _varint_size(number: int) -> int:
    rest = np.uint64((number << 1) ^ (number >> 63))
    size = 1
    while rest > np.uint64(0x7F):
        size += 1
        rest >>= np.uint64(7)
    return size


@compiled(types.int64(types.uint8[::1], types.int64, _READABLE, types.int64, types.int64))
def _put_span(out: Any, position: int, data: Any, start: int, length: int) -> int:
    position = _put_varint(out, position, length)
    for i in range(length):
        out[position + i] = data[start + i]
    return position + max(length, 0)


@compiled(
    types.int64(
        _READABLE,
        types.int64[::1],
        types.int64[::1],
        _READABLE,
        types.int64[::1],
        types.int64[::1],
        _READABLE,
        types.int64[::1],
        types.int64[::1],
        types.int64,
        types.int64,
        types.uint8[::1],
    )
)
def _frame(
    keys: Any,
    key_starts: Any,
    key_lengths: Any,
    values: Any,
    value_starts: Any,
    value_lengths: Any,
    headers: Any,
    header_starts: Any,
    header_lengths: Any,
    first: int,
    end: int,
    out: Any,
) -> int:
    """Records first..end as a batch's body; the bytes used, -1: a span lies outside."""
    position = 0
    for row in range(first, end):
        key_length, value_length = key_lengths[row], value_lengths[row]
        if key_length > 0 and (key_starts[row] < 0 or key_starts[row] > keys.size - key_length):
            return -1
        if value_length > 0 and (value_starts[row] < 0 or value_starts[row] > values.size - value_length):
            return -1
        header_start, header_length = header_starts[row], header_lengths[row]
        if header_length < 1 or header_start < 0 or header_start > headers.size - header_length:
            return -1
        size = 2 + _varint_size(row - first) + _varint_size(key_length) + _varint_size(value_length)
        size += max(key_length, 0) + max(value_length, 0) + header_length
        position = _put_varint(out, position, size)
        out[position] = 0  # attributes
        out[position + 1] = 0  # the time is the batch's
        position = _put_varint(out, position + 2, row - first)
        position = _put_span(out, position, keys, key_starts[row], key_length)
        position = _put_span(out, position, values, value_starts[row], value_length)
        for i in range(header_length):
            out[position + i] = headers[header_start + i]
        position += header_length
    return position


def _compressed(body: bytes) -> bytes:
    # Brokers read no frames whose blocks refer to one another (KIP-57).
    packer = cramjam.lz4.Compressor(level=1, content_checksum=False, block_linked=False)
    packer.compress(body)
    return bytes(packer.finish())


class PackedBatch:
    """A finished batch; has the methods by which aiokafka's producer knows a batch.

    Args:
        body: The records, compressed.
        count: How many.
    """

    def __init__(self, body: bytes, count: int) -> None:
        self._body = body
        self._count = count
        self._buffer: bytes | None = None
        self._state = (-1, -1, -1)

    def record_count(self) -> int:
        """Records in it."""
        return self._count

    def size(self) -> int:
        """Bytes of the whole batch."""
        return HEADER.size + len(self._body)

    def closed(self) -> bool:
        """Nothing can be added."""
        return True

    def close(self) -> None:
        """It is closed from the beginning."""

    def _set_producer_state(self, producer_id: int, producer_epoch: int, base_sequence: int) -> None:
        self._state = producer_id, producer_epoch, base_sequence

    def _build(self) -> bytes:
        # Once: a repeated attempt must be the same batch.
        if self._buffer is None:
            now = time.time_ns() // 1_000_000
            covered = _COVERED.pack(_LZ4, self._count - 1, now, now, *self._state, self._count) + self._body
            length = len(covered) + _CRC_FROM - 12
            head = struct.pack(">qiibI", 0, length, -1, _MAGIC, calc_crc32c(covered))
            self._buffer = head + covered
        return self._buffer


@dataclass(frozen=True, slots=True)
class OutgoingRecords:
    """Records for one partition, in order.

    Attributes:
        keys, values: Of each.
        headers: Of each their number and the headers themselves, encoded as in a record batch; None: none.
    """

    keys: Spans
    values: Spans
    headers: Spans | None = None

    @classmethod
    def of(cls, records: Iterable[tuple[bytes | None, bytes | None]]) -> Self:
        """Keys and values."""
        listed = list(records)
        return cls(Spans.of([key for key, _ in listed]), Spans.of([value for _, value in listed]))

    @classmethod
    def merged(cls, parts: Sequence[tuple[npt.NDArray[Any], "OutgoingRecords"]]) -> Self:
        """Several sequences as one.

        Args:
            parts: For each the places of its records, ascending: the order of the whole. At one place the
                earlier part goes first.
        """
        order = np.argsort(np.concatenate([places for places, _ in parts]), kind="stable")
        keys = Spans.joined([records.keys for _, records in parts])
        values = Spans.joined([records.values for _, records in parts])
        if all(records.headers is None for _, records in parts):
            return cls(keys.take(order), values.take(order))
        headers = Spans.joined([records.headers or _no_headers(len(records)) for _, records in parts])
        return cls(keys.take(order), values.take(order), headers.take(order))

    def with_headers(self, headers: Mapping[int, Sequence[tuple[str, bytes]]]) -> Self:
        """The same records, where few have headers: those, by their place."""
        places = sorted(headers)
        encoded = [_encoded(headers[place]) for place in places]
        lengths = np.array([len(each) for each in encoded], np.int64)
        spans = _no_headers(len(self))
        starts, sizes = spans.starts.copy(), spans.lengths.copy()
        starts[places] = 1 + np.cumsum(lengths) - lengths
        sizes[places] = lengths
        data = np.frombuffer(b"\x00" + b"".join(encoded), np.uint8)
        return replace(self, headers=Spans(data, starts, sizes))

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def value_bytes(self) -> int:
        """Bytes of all values."""
        return int(np.maximum(self.values.lengths, 0).sum())

    def batches(self, limit: int = BATCH_BYTES) -> Iterator[PackedBatch]:
        """The records packed; blocks for a millisecond a batch.

        Args:
            limit: Bytes of records in a batch.

        Raises:
            ValueError: A span lies outside of its buffer.
        """
        sizes = np.maximum(self.keys.lengths, 0) + np.maximum(self.values.lengths, 0) + _FRAME_BYTES
        columns = self._columns()
        sizes += columns[-1]
        ends = np.cumsum(sizes)
        first = before = 0
        while first < len(self):
            end = max(int(np.searchsorted(ends, before + limit, "right")), first + 1)
            out = np.empty(int(ends[end - 1]) - before, np.uint8)
            used = _frame(*columns, first, end, out)
            if used < 0:
                raise ValueError("a key, a value or headers lie outside of their buffer")
            yield PackedBatch(_compressed(out[:used].tobytes()), end - first)
            first, before = end, int(ends[end - 1])

    def _columns(self) -> tuple[Bytes, Int64s, Int64s, Bytes, Int64s, Int64s, Bytes, Int64s, Int64s]:
        keys, values, headers = self.keys, self.values, self.headers
        if headers is None:
            headers = _no_headers(len(self))
        return (
            *(keys.data, keys.starts, keys.lengths),
            *(values.data, values.starts, values.lengths),
            *(headers.data, headers.starts, headers.lengths),
        )


def _no_headers(count: int) -> Spans:
    return Spans(_NO_HEADERS, np.zeros(count, np.int64), np.ones(count, np.int64))


def _encoded(headers: Sequence[tuple[str, bytes]]) -> bytes:
    """Headers as in a record batch."""
    out = np.empty(10 + sum(20 + len(name.encode()) + len(value) for name, value in headers), np.uint8)
    position = _put_varint(out, 0, len(headers))
    for name, value in headers:
        for part in (name.encode(), value):
            position = _put_span(out, position, np.frombuffer(part, np.uint8), 0, len(part))
    return out[:position].tobytes()
