"""Record batches as bytes, sound or not, for those who read them."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import cramjam
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c

from infra.kafka.record_batches import HEADER, RawRecords, read_records, split_batches

CONTROL, APPEND_TIME = 0x20, 0x08
CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}


@dataclass(frozen=True)
class Row:
    offset: int
    timestamp: int = 1_000
    key: bytes | None = b"k"
    value: bytes | None = b"v"
    headers: list[tuple[str, bytes | None]] = field(default_factory=list)


def raw_batch(
    body: bytes, base: int = 0, last: int = 0, count: int = 1, attributes: int = 0, producer_id: int = -1
) -> bytes:
    """A batch around any body, with a checksum that fits."""
    covered = (
        struct.pack(">hiqqqhii", attributes, last - base, 1_000, 5_000, producer_id, -1, -1, count) + body
    )
    crc = calc_crc32c(covered)
    return struct.pack(">qiibI", base, len(covered) + 9, -1, 2, crc) + covered


def batch_of(
    rows: Sequence[Row],
    codec: int = 0,
    attributes: int = 0,
    last: int | None = None,
    producer_id: int = -1,
) -> bytes:
    """A batch as aiokafka's producer writes it; compaction may have taken its last records."""
    base = rows[0].offset
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1 << 24)
    for row in rows:
        assert builder.append(row.offset - base, row.timestamp, row.key, row.value, row.headers) is not None
    body = bytes(builder.build()[HEADER.size :])
    packed: bytes | Any = body
    match codec:
        case 1:
            packed = bytes(cramjam.gzip.compress(body))
        case 2:
            packed = bytes(cramjam.snappy.compress_raw(body))
        case 3:
            packed = bytes(cramjam.lz4.compress(body))
        case 4:
            packed = bytes(cramjam.zstd.compress(body))
    last = rows[-1].offset if last is None else last
    return raw_batch(packed, base, last, len(rows), codec | attributes, producer_id)


def rows_of(records: RawRecords) -> list[Row]:
    return [
        Row(
            int(records.offsets[index]),
            int(records.timestamps[index]),
            records.key(index),
            records.value(index),
            records.headers(index),
        )
        for index in range(len(records))
    ]


def read(data: bytes, from_offset: int = 0) -> RawRecords:
    return read_records(split_batches(data), from_offset)


def zigzag(value: int) -> bytes:
    bits, found = (value << 1) ^ (value >> 63), bytearray()
    while bits > 0x7F:
        found.append(bits & 0x7F | 0x80)
        bits >>= 7
    return bytes(found + bytes([bits]))


def record(*numbers: int, tail: bytes = b"", length: int | None = None) -> bytes:
    """A record with these numbers after its attributes: time, offset, key length, value length, headers."""
    inner = b"\x00" + b"".join(map(zigzag, numbers)) + tail
    return zigzag(len(inner) if length is None else length) + inner


FINE = record(0, 0, -1, -1, 0)
