"""Kafka's record batches (format 2): from fetched bytes to framing columns, without an object a record.

A fetch answers with batches back to back. Each has a header of 61 bytes and a body, compressed or not, of
records; lengths and deltas in them are zig-zag varints. `split_batches` cuts the answer apart, `read_records`
checks, decompresses and walks many batches in one go.

The format: https://kafka.apache.org/documentation/#recordbatch
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from aiokafka.record.util import calc_crc32c
from numba import types

from infra.kafka.batch_bodies import BatchBodies, expected_size
from schemas.compiled import compiled
from schemas.errors import ConflictError, DecodeError

HEADER: Final = struct.Struct(">qiibIhiqqqhii")
"""base offset, length, leader epoch, magic, CRC, attributes, last offset delta, first and last timestamp,
producer id, producer epoch, base sequence, number of records."""

_BEFORE_LENGTH = 12  # the length counts what follows it
_CRC_FROM = 21  # the checksum covers what follows it
_MAGIC_AT = 16

Int64s = npt.NDArray[np.int64]


class CorruptLogError(ConflictError):
    """Record batches are damaged: none of their records can be told, so none can be put aside.

    Passing them over would lose records silently. The bytes may be sound on the broker: a restart fetches
    them again. If it stays so, the log has to be restored from a replica.
    """

    code = "CORRUPT_LOG"


@dataclass(frozen=True, slots=True)
class RecordBatch:
    """One batch as it came, still compressed.

    Attributes:
        base_offset, last_offset: First and last offset that it stands for; compaction may have left holes.
        count: Records in it.
        attributes: Bits of the format: compression, timestamp type, transactional, control.
        first_timestamp, max_timestamp: Milliseconds since the epoch.
        checksum: CRC-32C of what follows it in `raw`.
        raw: Header and body.
        producer_id: Who wrote it, as the broker numbers idempotent producers; -1 for others.
        is_aborted: Whether it belongs to a transaction that was given up; see `aborted_batches`.
    """

    base_offset: int
    last_offset: int
    count: int
    attributes: int
    first_timestamp: int
    max_timestamp: int
    checksum: int
    raw: memoryview
    producer_id: int = -1
    is_aborted: bool = False

    def __len__(self) -> int:
        return len(self.raw)

    @property
    def is_transactional(self) -> bool:
        """Whether it was written within a transaction."""
        return bool(self.attributes & 0x10)

    @property
    def is_control(self) -> bool:
        """Whether it marks the end of a transaction and holds no records of users."""
        return bool(self.attributes & 0x20)

    @property
    def append_time(self) -> int:
        """The broker's time for all of its records, milliseconds; -1 where each has the producer's."""
        return self.max_timestamp if self.attributes & 0x08 else -1

    @property
    def compression(self) -> int:
        """0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd; others are unknown."""
        return self.attributes & 0x07

    @property
    def packed(self) -> memoryview:
        """The records as they came.

        Raises:
            DecodeError: The checksum is wrong.
        """
        if calc_crc32c(self.raw[_CRC_FROM:]) != self.checksum:
            raise DecodeError("the checksum does not fit the bytes")
        return self.raw[HEADER.size :]

    def body(self) -> memoryview:
        """The records, decompressed.

        Raises:
            DecodeError: The checksum is wrong, the compression unknown, or the body broken or far too long.
        """
        bodies = BatchBodies(expected_size(self.compression, len(self)))
        bodies.add(self.compression, self.packed)
        return bodies.filled.data


def split_batches(data: bytes | memoryview) -> list[RecordBatch]:
    """The whole batches in the answer to a fetch; a cut one at the end is left out, as Kafka means it.

    Raises:
        DecodeError: A batch of the formats before Kafka 0.11, or a length or an offset that cannot be. The
            checksum does not cover these, and what follows cannot be found without them.
    """
    view = memoryview(data)
    batches: list[RecordBatch] = []
    position = 0
    while len(view) - position > _MAGIC_AT:
        if view[position + _MAGIC_AT] != 2:
            raise DecodeError(
                f"a record batch has format {view[position + _MAGIC_AT]}, expected 2: the topic was written "
                "by clients older than Kafka 0.11; copy it with a newer client"
            )
        if len(view) - position < HEADER.size:
            break
        base, length, _, _, crc, attributes, delta, first, newest, producer, _, _, count = HEADER.unpack_from(
            view, position
        )
        size = _BEFORE_LENGTH + length
        if size < HEADER.size or count < 0 or delta < 0:
            raise DecodeError(f"a record batch at offset {base} claims {length} bytes and {count} records")
        if len(view) - position < size:
            break
        if base < 0 or (batches and base <= batches[-1].last_offset):
            raise DecodeError(f"a record batch at offset {base} follows one that ends later")
        raw = view[position : position + size]
        batches.append(RecordBatch(base, base + delta, count, attributes, first, newest, crc, raw, producer))
        position += size
    return batches


@dataclass(frozen=True, slots=True)
class CorruptBatch:
    """A batch that cannot be read: its offsets, and why."""

    base_offset: int
    last_offset: int
    reason: str


@dataclass(frozen=True, slots=True)
class RawRecords:
    """Records of many batches as columns; positions point into `data`, lengths of -1 mean null.

    Attributes:
        data: Bytes of all bodies, uint8.
        offsets: Offset of each record, ascending.
        timestamps: Kafka's time of each record, milliseconds since the epoch.
        key_start, key_length, value_start, value_length: Spans.
        header_start, header_end, header_count: Span of the encoded headers, and their number.
        corrupt: Batches that were left out.
    """

    data: npt.NDArray[np.uint8]
    offsets: Int64s
    timestamps: Int64s
    key_start: Int64s
    key_length: Int64s
    value_start: Int64s
    value_length: Int64s
    header_start: Int64s
    header_end: Int64s
    header_count: Int64s
    corrupt: list[CorruptBatch] = field(default_factory=list)

    def __len__(self) -> int:
        return int(self.offsets.size)

    def before(self, offset: int) -> "RawRecords":
        """The records below an offset."""
        count = int(np.searchsorted(self.offsets, offset))
        cut = {one.name: getattr(self, one.name)[:count] for one in fields(self) if one.name in _COLUMNS}
        return replace(self, **cut)

    def raise_if_corrupt(self, topic: str, partition: int) -> None:
        """Stop where a batch was left out; who goes on in spite of it loses its records.

        Raises:
            CorruptLogError: Names the first such batch, of this topic and partition.
        """
        for batch in self.corrupt[:1]:
            raise CorruptLogError(
                f"{topic}, partition {partition}, offsets {batch.base_offset} to {batch.last_offset}: "
                f"{batch.reason}. If it stays so after a restart, the broker's log is damaged: restore it "
                "from a replica"
            )

    def key(self, row: int) -> bytes | None:
        """The key of one record."""
        return self._span(int(self.key_start[row]), int(self.key_length[row]))

    def value(self, row: int) -> bytes | None:
        """The value of one record."""
        return self._span(int(self.value_start[row]), int(self.value_length[row]))

    def headers(self, row: int) -> list[tuple[str, bytes | None]]:
        """The headers of one record."""
        found: list[tuple[str, bytes | None]] = []
        position, end = int(self.header_start[row]), int(self.header_end[row])
        for _ in range(int(self.header_count[row])):
            name, name_length, position = _span(self.data, position, end)
            value, value_length, position = _span(self.data, position, end)
            text = self.data[name : name + name_length].tobytes().decode("utf-8", "replace")
            found.append((text, self._span(value, value_length)))
        return found

    def _span(self, start: int, length: int) -> bytes | None:
        return None if length < 0 else self.data[start : start + length].tobytes()


_COLUMNS: Final = tuple(one.name for one in fields(RawRecords) if one.name not in {"data", "corrupt"})
"""What the kernel writes, in this order."""


def read_records(batches: Sequence[RecordBatch], from_offset: int = 0) -> RawRecords:
    """The records of these batches from an offset on; control batches and aborted ones are passed over.

    A batch whose checksum, compression or framing is wrong is reported in `corrupt` and left out as a whole.

    Args:
        batches: In order of their offsets.
        from_offset: Records before it are dropped; a fetch may begin in the middle of a batch.
    """
    corrupt: list[CorruptBatch] = []
    wanted: list[RecordBatch] = []
    sizes: list[int] = []
    bodies = BatchBodies(sum(expected_size(batch.compression, len(batch)) for batch in batches))
    for batch in batches:
        try:
            # Checked before anything in the header is believed: a flipped bit could make it be passed over.
            packed = batch.packed
            if batch.is_control or batch.is_aborted or batch.last_offset < from_offset:
                continue
            sizes.append(bodies.add(batch.compression, packed))
        except DecodeError as error:
            corrupt.append(CorruptBatch(batch.base_offset, batch.last_offset, str(error)))
            continue
        wanted.append(batch)
    data = bodies.filled
    ends = np.cumsum(np.array(sizes, np.int64))
    limits = np.empty((7, len(wanted)), np.int64)
    limits[0, 1:] = ends[:-1]
    limits[0, :1] = 0
    limits[1] = ends
    # A record takes at least seven bytes: what a batch claims beyond that is not believed.
    limits[2] = [min(batch.count, size // 7) for batch, size in zip(wanted, sizes, strict=True)]
    limits[3] = [batch.base_offset for batch in wanted]
    limits[4] = [batch.first_timestamp for batch in wanted]
    limits[5] = [batch.append_time for batch in wanted]
    limits[6] = [batch.last_offset for batch in wanted]
    claimed = np.array([batch.count for batch in wanted], np.int64)
    columns = np.empty((len(_COLUMNS), int(limits[2].sum())), np.int64)
    broken = limits[2] != claimed
    rows = frame(data, limits, from_offset, columns, broken)
    for index in np.flatnonzero(broken):
        batch = wanted[index]
        corrupt.append(CorruptBatch(batch.base_offset, batch.last_offset, "its records are not framed well"))
    corrupt.sort(key=lambda one: one.base_offset)
    found = dict(zip(_COLUMNS, columns[:, :rows], strict=True))
    return RawRecords(data=data, corrupt=corrupt, **found)


# Numba does not notice when a callee in another file changes: what the kernel calls stands here.


_BYTES = types.Array(types.uint8, 1, "C", readonly=True)


@compiled(types.UniTuple(types.int64, 2)(_BYTES, types.int64, types.int64))
def _read_varint(data: Any, position: int, end: int) -> Any:
    """(value, position after it); position -1 where it is cut or too long."""
    shift = np.uint64(0)
    found = np.uint64(0)
    while position < end and shift < np.uint64(70):
        byte = np.uint64(data[position])
        position += 1
        found |= (byte & np.uint64(0x7F)) << shift
        if byte < np.uint64(128):
            return np.int64(found >> np.uint64(1)) ^ -np.int64(found & np.uint64(1)), position
        shift += np.uint64(7)
    return np.int64(0), -1


@compiled(types.UniTuple(types.int64, 3)(_BYTES, types.int64, types.int64))
def _span(data: Any, position: int, end: int) -> Any:
    """(start, length, position after it) of a key or value; position -1 where it is broken."""
    length, position = _read_varint(data, position, end)
    if position < 0 or length < -1 or length > end - position:
        return np.int64(0), np.int64(-1), -1
    return position, length, position + max(length, 0)


@compiled(
    types.int64(
        _BYTES,
        types.int64[:, ::1],
        types.int64,
        types.int64[:, ::1],
        types.boolean[::1],
    )
)
def frame(data: Any, limits: Any, from_offset: int, columns: Any, broken: Any) -> int:
    """Walk the records of every batch; returns the number of rows written to `columns`."""
    row = 0
    for batch in range(limits.shape[1]):
        if broken[batch]:
            continue
        first_row = row
        position, end = limits[0, batch], limits[1, batch]
        last = limits[3, batch] - 1
        well = True
        for _ in range(limits[2, batch]):
            length, position = _read_varint(data, position, end)
            if position < 0 or length < 6 or length > end - position:
                well = False
                break
            stop = position + length
            time_delta, position = _read_varint(data, position + 1, stop)
            if position < 0:
                well = False
                break
            offset_delta, position = _read_varint(data, position, stop)
            if position < 0:
                well = False
                break
            key_start, key_length, position = _span(data, position, stop)
            if position < 0:
                well = False
                break
            value_start, value_length, position = _span(data, position, stop)
            if position < 0:
                well = False
                break
            headers, position = _read_varint(data, position, stop)
            offset = limits[3, batch] + offset_delta
            # A header takes at least two bytes; what is claimed beyond that is not believed.
            if position < 0 or headers < 0 or headers > (stop - position) // 2 or offset <= last:
                well = False
                break
            header_start = position
            for _ in range(headers):
                _, name_length, position = _span(data, position, stop)
                if position < 0 or name_length < 0:
                    position = -1
                    break
                _, _, position = _span(data, position, stop)
                if position < 0:
                    break
            if offset > limits[6, batch] or position != stop:
                well = False
                break
            last = offset
            if offset >= from_offset:
                columns[0, row] = offset
                append_time = limits[5, batch]
                columns[1, row] = limits[4, batch] + time_delta if append_time < 0 else append_time
                columns[2, row] = key_start
                columns[3, row] = key_length
                columns[4, row] = value_start
                columns[5, row] = value_length
                columns[6, row] = header_start
                columns[7, row] = stop
                columns[8, row] = headers
                row += 1
        if not well or position != end:
            broken[batch] = True
            row = first_row
    return row
