"""Record batches: from bytes to columns, over every compression, and whatever may be wrong with them."""

import struct

import cramjam
import numpy as np
import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.legacy_records import LegacyRecordBatchBuilder
from aiokafka.record.util import calc_crc32c
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.kafka import batch_bodies
from infra.kafka.record_batches import (
    HEADER,
    CorruptLogError,
    RawRecords,
    RecordBatch,
    read_records,
    split_batches,
)
from schemas.errors import DecodeError
from tests.record_batch_bytes import (
    APPEND_TIME,
    CODECS,
    CONTROL,
    FINE,
    Row,
    batch_of,
    raw_batch,
    read,
    record,
    rows_of,
)

BYTES = st.none() | st.binary(max_size=30)
HEADERS = st.lists(st.tuples(st.text(max_size=5), BYTES), max_size=3)


@st.composite
def logs(draw: st.DrawFn) -> list[list[Row]]:
    """Batches with holes in them and between them."""
    offset, found = draw(st.integers(0, 2**40)), []
    for _ in range(draw(st.integers(1, 4))):
        rows = []
        for _ in range(draw(st.integers(1, 8))):
            offset += draw(st.integers(1, 3))
            stamp = draw(st.integers(0, 2**41))
            rows.append(Row(offset, stamp, draw(BYTES), draw(BYTES), draw(HEADERS)))
        # All deltas are taken from the first timestamp, which `raw_batch` sets.
        found.append(
            [Row(r.offset, r.timestamp - rows[0].timestamp + 1_000, r.key, r.value, r.headers) for r in rows]
        )
    return found


@given(logs(), st.sampled_from(sorted(CODECS.values())), st.data())
def test_every_record_comes_back_from_the_offset_asked_for(
    log: list[list[Row]], codec: int, data: st.DataObject
) -> None:
    joined = b"".join(batch_of(rows, codec) for rows in log)
    flat = [row for rows in log for row in rows]
    start = data.draw(st.sampled_from([0, *(row.offset for row in flat), flat[-1].offset + 1]))
    records = read(joined, start)
    assert rows_of(records) == [row for row in flat if row.offset >= start]
    assert not records.corrupt
    assert not records.data.flags.writeable


def test_all_of_aiokafkas_own_bytes_are_read() -> None:
    for codec in (0, 1, 2, 3, 4):
        builder = DefaultRecordBatchBuilder(2, codec, 0, -1, -1, -1, 1 << 20)
        for index in range(300):
            builder.append(index, 7_000 + index, b"key", b"value" * 20, [("h", b"1"), ("n", None)])
        records = read(bytes(builder.build()))
        assert [row.value for row in rows_of(records)] == [b"value" * 20] * 300
        assert records.timestamps.tolist() == list(range(7_000, 7_300))
        assert records.headers(299) == [("h", b"1"), ("n", None)]


def test_javas_framing_of_snappy_is_read() -> None:
    rows = [Row(number, value=bytes(1_000)) for number in range(90)]
    body = batch_of(rows)[HEADER.size :]
    packed = b"\x82SNAPPY\x00" + struct.pack(">ii", 1, 1)
    for begin in range(0, len(body), 32 * 1024):
        block = bytes(cramjam.snappy.compress_raw(body[begin : begin + 32 * 1024]))
        packed += struct.pack(">i", len(block)) + block
    assert rows_of(read(raw_batch(packed, 0, 89, 90, CODECS["snappy"]))) == rows
    cut = read(raw_batch(packed[:-5], 0, 89, 90, CODECS["snappy"]) + batch_of([Row(90)]))
    assert [batch.base_offset for batch in cut.corrupt] == [0]
    assert cut.offsets.tolist() == [90]


def test_holes_that_compaction_left_move_the_position() -> None:
    data = batch_of([Row(10), Row(14)], last=20) + raw_batch(b"", 21, 30, 0)
    first, second = split_batches(data)
    assert (first.base_offset, first.last_offset, first.count) == (10, 20, 2)
    assert (second.base_offset, second.last_offset, second.count) == (21, 30, 0)
    records = read(data, 12)
    assert records.offsets.tolist() == [14]
    assert not records.corrupt
    assert len(read(data, 31)) == 0


def test_control_batches_are_passed_over() -> None:
    marker = batch_of([Row(1, value=b"\x00\x00\x00\x00\x00\x00")], attributes=CONTROL)
    data = batch_of([Row(0)]) + marker + batch_of([Row(2)])
    assert [batch.is_control for batch in split_batches(data)] == [False, True, False]
    records = read(data)
    assert records.offsets.tolist() == [0, 2]
    assert not records.corrupt


def test_a_bit_that_makes_records_look_like_control_does_not_hide_them() -> None:
    data = bytearray(batch_of([Row(0)]) + batch_of([Row(1)]))
    data[22] ^= CONTROL
    assert [batch.reason for batch in read(bytes(data)).corrupt] == ["the checksum does not fit the bytes"]
    data = bytearray(batch_of([Row(5), Row(6), Row(7)]))
    data[26] = 0
    assert split_batches(bytes(data))[0].last_offset == 5
    assert len(read(bytes(data), 6).corrupt) == 1


def test_the_brokers_time_stands_for_all_records_where_it_says_so() -> None:
    records = read(batch_of([Row(0, 1_000), Row(1, 1_001)], attributes=APPEND_TIME))
    assert records.timestamps.tolist() == [5_000, 5_000]


def test_nothing_gives_no_records() -> None:
    assert split_batches(b"") == []
    assert len(read_records([])) == 0
    assert read_records([]).key_start.size == 0


def test_a_batch_that_is_cut_at_the_end_is_left_for_the_next_fetch() -> None:
    whole, cut = batch_of([Row(0), Row(1)]), batch_of([Row(2), Row(3)])
    for length in range(len(cut)):
        records = read(whole + cut[:length])
        assert records.offsets.tolist() == [0, 1]
        assert not records.corrupt


def neighbours(middle: bytes) -> RawRecords:
    """What is read of a batch between two good ones; those must be unharmed."""
    records = read(batch_of([Row(0, value=b"a")], 3) + middle + batch_of([Row(100, value=b"z")], 4))
    rows = rows_of(records)
    assert (rows[0], rows[-1]) == (Row(0, value=b"a"), Row(100, value=b"z"))
    return records


@pytest.mark.parametrize("codec", [0, 1, 2, 3, 4])
def test_every_flipped_bit_under_the_checksum_is_noticed(codec: int) -> None:
    good = batch_of([Row(1, value=b"abc"), Row(2)], codec)
    for position in [*range(17, 61), *range(61, len(good), 7)]:
        broken = bytearray(good)
        broken[position] ^= 1 << (position % 8)
        if position in (23, 24, 25):
            continue  # the last offset would be beyond the next batch: refused before, see below
        records = neighbours(bytes(broken))
        assert records.offsets.tolist() == [0, 100], position
        (corrupt,) = records.corrupt
        assert (corrupt.base_offset, corrupt.reason) == (1, "the checksum does not fit the bytes")


@pytest.mark.parametrize("codec", [1, 2, 3, 4, 5, 6, 7])
def test_a_body_that_cannot_be_decompressed_costs_its_own_batch_only(codec: int) -> None:
    for body in (
        b"",
        b"garbage",
        bytes(100),
        b"\xff" * 50,
        b"\x82SNAPPY\x00",
        b"\x82SNAPPY\x00" + b"\xff" * 12,
    ):
        records = neighbours(raw_batch(body, 1, 9, 5, codec))
        assert records.offsets.tolist() == [0, 100]
        (corrupt,) = records.corrupt
        assert (corrupt.base_offset, corrupt.last_offset) == (1, 9)
        assert corrupt.reason


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_a_body_that_decompresses_beyond_measure_is_refused(
    codec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [Row(1, value=bytes(3_000_000))]
    bomb = batch_of(rows, CODECS[codec])
    assert len(bomb) < 200_000
    assert rows_of(neighbours(bomb))[1] == rows[0]
    monkeypatch.setattr(batch_bodies, "MAX_BODY_BYTES", 1_000_000)
    records = neighbours(bomb)
    assert records.offsets.tolist() == [0, 100]
    assert "decompressed" in records.corrupt[0].reason


@pytest.mark.parametrize(
    ("body", "count"),
    [
        (FINE, 2),
        (FINE + FINE, 1),
        (FINE, 2**31 - 1),
        (FINE + b"\x00", 1),
        (FINE + record(0, 0, -1, -1, 0), 2),
        (record(0, -1, -1, -1, 0), 1),
        (record(0, 9, -1, -1, 0), 1),
        (record(0, 2**62, -1, -1, 0), 1),
        (record(0, 2**63 - 1, -1, -1, 0), 1),
        (record(0, -(2**63), -1, -1, 0), 1),
        (record(0, 0, -2, -1, 0), 1),
        (record(0, 0, -(2**63), -1, 0), 1),
        (record(0, 0, 1, -1, 0), 1),
        (record(0, 0, 2**63 - 1, -1, 0), 1),
        (record(0, 0, -1, -2, 0), 1),
        (record(0, 0, -1, 2**31, 0), 1),
        (record(0, 0, -1, -1, -1), 1),
        (record(0, 0, -1, -1, 1), 1),
        (record(0, 0, -1, -1, 2**60, tail=b"abcdef"), 1),
        (record(0, 0, -1, -1, 0, tail=b"!"), 1),
        (record(0, 0, -1, -1, 1, tail=b"\x02a\x7f"), 1),
        (record(0, 0, -1, -1, 1, tail=b"\x02a\x80"), 1),
        (record(0, 0, -1, -1, 1, tail=b"\x7f\x02"), 1),
        (record(0, 0, -1, -1, 1, tail=b"\xff\xff"), 1),
        (record(0, 0, -1, -1, 1, tail=b"\x01\x01"), 1),
        (record(0, 0, -1, -1, 1, tail=b"\x00\x01!"), 1),
        (record(0, 0, -1, -1, 0, length=5), 1),
        (record(0, 0, -1, -1, 0, length=7), 1),
        (record(0, 0, -1, -1, 0, length=-6), 1),
        (record(0, 0, -1, -1, 0, length=2**63 - 1), 1),
        (b"\xff" * 12, 1),
        (b"\x80" * 30, 1),
        (b"\x0c\x00" + b"\xff" * 11, 1),
        (b"", 1),
    ],
)
def test_records_that_are_not_framed_well_cost_their_own_batch_only(body: bytes, count: int) -> None:
    records = neighbours(raw_batch(body, 1, 3, count))
    assert records.offsets.tolist() == [0, 100]
    assert [corrupt.reason for corrupt in records.corrupt] == ["its records are not framed well"]
    assert neighbours(raw_batch(FINE, 1, 3, 1)).offsets.tolist() == [0, 1, 100], "the least record is fine"


@given(st.lists(st.tuples(st.binary(max_size=80), st.integers(0, 4), st.integers(-5, 50)), max_size=4))
def test_noise_under_a_good_checksum_is_harmless(noise: list[tuple[bytes, int, int]]) -> None:
    data = b"".join(
        raw_batch(body, 10 * index, 10 * index + 9, max(count, 0), codec)
        for index, (body, codec, count) in enumerate(noise)
    )
    assert_sound(read(data))


@settings(max_examples=300)
@given(
    logs(), st.lists(st.tuples(st.integers(0), st.integers(0, 255)), min_size=1, max_size=4), st.booleans()
)
def test_changed_bytes_never_break_the_reader(
    log: list[list[Row]], changes: list[tuple[int, int]], mend: bool
) -> None:
    """With the checksums mended the changes reach the kernel."""
    data = bytearray(b"".join(map(batch_of, log)))
    for position, byte in changes:
        data[position % len(data)] = byte
    try:
        batches = split_batches(bytes(data))
    except DecodeError:
        return
    if mend:
        batches = split_batches(b"".join(mended(batch) for batch in batches))
    records = read_records(batches)
    assert_sound(records)
    assert {batch.base_offset for batch in records.corrupt} <= {batch.base_offset for batch in batches}


def mended(batch: RecordBatch) -> bytes:
    raw = bytearray(batch.raw)
    raw[17:21] = struct.pack(">I", calc_crc32c(bytes(raw[21:])))
    return bytes(raw)


def assert_sound(records: RawRecords) -> None:
    """All spans lie in the data."""
    size = records.data.size
    for starts, lengths in (
        (records.key_start, records.key_length),
        (records.value_start, records.value_length),
        (records.header_start, records.header_end - records.header_start),
    ):
        assert (lengths >= -1).all()
        assert ((starts >= 0) & (starts + np.maximum(lengths, 0) <= size)).all()
    for row in range(len(records)):
        records.key(row)
        records.value(row)
        records.headers(row)


def test_batches_of_older_formats_are_refused_with_the_remedy() -> None:
    for magic in (0, 1):
        builder = LegacyRecordBatchBuilder(magic, 0, 1 << 16)
        builder.append(0, timestamp=1_000, key=b"k", value=b"value of some length, as records have")
        with pytest.raises(DecodeError, match=f"format {magic}, expected 2: .* copy it with a newer client"):
            split_batches(bytes(builder.build()))


@pytest.mark.parametrize("length", [-1, 0, 48, -(2**31)])
def test_a_length_that_cannot_be_is_refused(length: int) -> None:
    data = bytearray(batch_of([Row(3)]))
    data[8:12] = struct.pack(">i", length)
    with pytest.raises(DecodeError, match="at offset 3 claims"):
        split_batches(bytes(data))


def test_offsets_that_lead_back_are_refused() -> None:
    first, second = batch_of([Row(5), Row(6)]), batch_of([Row(6)])
    with pytest.raises(DecodeError, match="at offset 6 follows one that ends later"):
        split_batches(first + second)
    with pytest.raises(DecodeError, match="claims"):
        split_batches(raw_batch(FINE, base=5, last=4))


def test_who_must_not_lose_records_stops_at_a_corrupt_batch() -> None:
    broken = bytearray(batch_of([Row(4), Row(7)]))
    broken[-1] ^= 1
    records = read(bytes(broken) + batch_of([Row(8)]))
    with pytest.raises(
        CorruptLogError, match=r"trades, partition 3, offsets 4 to 7: the checksum .* replica"
    ):
        records.raise_if_corrupt("trades", 3)
    read(batch_of([Row(8)])).raise_if_corrupt("trades", 3)
