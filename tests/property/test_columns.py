"""The columnar codec against fastavro, and against a strict reader in plain Python for hostile bytes."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import registry, rows
from schemas.columns import ColumnReader, Columns
from schemas.programs import layout_of
from schemas.records import Record, Signal
from schemas.row_status import RowStatus
from tests.avro_model import (
    Entry,
    definitions,
    is_flat,
    laid_out,
    plain,
    read_back,
    rows_of,
    same,
    strict_read,
)

Batch = tuple[list[Entry], list[tuple[Entry, dict[str, Any]]]]


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    """Some schemas, and values of them in any order."""
    count = draw(st.integers(1, 4))
    ids = draw(st.lists(st.integers(0, 2**32 - 1), min_size=count, max_size=count, unique=True))
    entries = [Entry(id_, f"record {index}", draw(definitions())) for index, id_ in enumerate(ids)]
    strategies = [st.tuples(st.just(entry), rows_of(entry.definition)) for entry in entries]
    return entries, draw(st.lists(st.one_of(strategies), max_size=12))


def read(entries: list[Entry], values: list[bytes | None], filler: int = 0) -> Columns:
    return ColumnReader(entries).read(*laid_out(values, filler))


def assert_equal_to(columns: Columns, entry: Entry, expected: list[dict[str, Any]]) -> None:
    names = [field["name"] for field in entry.definition["fields"]]
    assert columns.reader.is_columnar(entry.record) == is_flat(entry.definition)
    if not is_flat(entry.definition):
        found = [entry.decode(columns.value(row) or b"") for row in columns.rows(entry.record)]
    else:
        found = read_back(columns, entry.record, names)
    assert same(found, expected), (found, expected)


@given(batches())
def test_columns_equal_fastavro_value_by_value(batch: Batch) -> None:
    entries, pairs = batch
    values: list[bytes | None] = [entry.encode(fields) for entry, fields in pairs]
    columns = read(entries, values)
    assert not columns.status.any()
    assert columns.schema.tolist() == [entries.index(entry) for entry, _ in pairs]
    for entry in entries:
        mine = [value for (one, _), value in zip(pairs, values, strict=True) if one is entry]
        assert_equal_to(columns, entry, [entry.decode(value or b"") for value in mine])


Damage = tuple[str, int, bytes]
DAMAGES = st.tuples(
    st.sampled_from(
        ("no", "no", "null", "cut", "flip", "append", "insert", "replace", "foreign", "magic", "noise")
    ),
    st.integers(0, 1 << 16),
    st.binary(min_size=1, max_size=12) | st.sampled_from((b"\x80" * 9, b"\xff" * 10, b"\xff" * 9 + b"\x01")),
)


def damaged(value: bytes, damage: Damage) -> bytes | None:
    kind, number, noise = damage
    at = number % (len(value) + 1)
    match kind:
        case "null":
            return None
        case "cut":
            return value[:at]
        case "flip":
            body = bytearray(value)
            body[at % len(value)] ^= 1 << (number >> 5) % 8
            return bytes(body)
        case "append":
            return value + noise
        case "insert":
            return value[:5] + value[5:at] + noise + value[max(at, 5) :]
        case "replace":
            return value[:at] + noise + value[at + len(noise) :]
        case "foreign":
            return value[:1] + noise[:4].ljust(4, b"!") + value[5:]
        case "magic":
            return bytes([1 + number % 255]) + value[1:]
        case "noise":
            return value[:5] + noise
    return value


@settings(max_examples=400)
@given(batches(), st.data())
def test_bad_values_are_singled_out_and_their_neighbours_keep_theirs(
    batch: Batch, data: st.DataObject
) -> None:
    entries, pairs = batch
    damages = data.draw(st.lists(DAMAGES, min_size=len(pairs), max_size=len(pairs)))
    values = [damaged(entry.encode(fields), how) for (entry, fields), how in zip(pairs, damages, strict=True)]
    columns = read(entries, values)
    expected: dict[Any, list[dict[str, Any]]] = {entry.record: [] for entry in entries}
    for row, value in enumerate(values):
        status, entry, fields = strict_read(value, entries)
        if entry is not None and not is_flat(entry.definition):
            assert columns.status[row] == RowStatus.OK
            continue
        assert RowStatus(columns.status[row]) == status, (row, value)
        assert columns.schema[row] == (-1 if entry is None else entries.index(entry))
        if status == RowStatus.OK and entry is not None:
            expected[entry.record].append(fields)
        else:
            assert not columns.cells[:, row].any()
        assert columns.value(row) == value
    for entry in entries:
        if is_flat(entry.definition):
            assert_equal_to(columns, entry, expected[entry.record])
    assert columns.bad.tolist() == np.flatnonzero(columns.status).tolist()


@given(batches(), st.data())
def test_what_stands_around_a_value_never_matters(batch: Batch, data: st.DataObject) -> None:
    entries, pairs = batch
    damages = data.draw(st.lists(DAMAGES, min_size=len(pairs), max_size=len(pairs)))
    values = [damaged(entry.encode(fields), how) for (entry, fields), how in zip(pairs, damages, strict=True)]
    first, *others = (read(entries, values, filler) for filler in (0x00, 0x01, 0x7F, 0x80, 0xFF))
    for other in others:
        np.testing.assert_array_equal(first.cells, other.cells)
        np.testing.assert_array_equal(first.status, other.status)
        np.testing.assert_array_equal(first.pool, other.pool)


@settings(max_examples=300)
@given(definitions().filter(is_flat), st.lists(st.binary(max_size=60), max_size=20))
def test_bodies_of_noise_are_read_as_strictly_as_in_python(
    definition: dict[str, Any], bodies: list[bytes]
) -> None:
    entry = Entry(7, "R", definition)
    values: list[bytes | None] = [entry.prefix + body for body in bodies]
    columns = read([entry], values)
    found = [strict_read(value, [entry]) for value in values]
    assert [RowStatus(status) for status in columns.status.tolist()] == [status for status, _, _ in found]
    assert_equal_to(columns, entry, [fields for status, _, fields in found if status == RowStatus.OK])


def one_field(type_: Any) -> Entry:
    return Entry(1, "R", {"type": "record", "name": "R", "fields": [{"name": "x", "type": type_}]})


def varint(value: int) -> bytes:
    bits, found = (value << 1) ^ (value >> 63), bytearray()
    while bits > 0x7F:
        found.append(bits & 0x7F | 0x80)
        bits >>= 7
    return bytes(found + bytes([bits]))


ENUM = {"type": "enum", "name": "E", "symbols": ["a", "b"]}
LONGS = {"type": "array", "items": "long"}
DOUBLES = {"type": "array", "items": "double"}
LEAST = varint(-(2**63))


@pytest.mark.parametrize(
    ("type_", "body", "status"),
    [
        ("long", b"", RowStatus.TRUNCATED),
        ("long", b"\x80", RowStatus.TRUNCATED),
        ("long", b"\x80" * 9 + b"\x00", RowStatus.OK),
        ("long", b"\xff" * 9 + b"\x01", RowStatus.OK),
        ("long", b"\xff" * 9 + b"\x02", RowStatus.BAD_VARINT),
        ("long", b"\xff" * 9 + b"\x81", RowStatus.BAD_VARINT),
        ("long", b"\x80" * 10 + b"\x00", RowStatus.BAD_VARINT),
        ("long", b"\x00\x00", RowStatus.TRAILING_BYTES),
        ("int", varint(2**31 - 1), RowStatus.OK),
        ("int", varint(-(2**31)), RowStatus.OK),
        ("int", varint(2**31), RowStatus.INT_RANGE),
        ("int", varint(-(2**31) - 1), RowStatus.INT_RANGE),
        ("int", LEAST, RowStatus.INT_RANGE),
        ("boolean", b"\x02", RowStatus.BAD_BOOLEAN),
        ("boolean", b"\xff", RowStatus.BAD_BOOLEAN),
        ("float", b"\x00" * 3, RowStatus.TRUNCATED),
        ("double", b"\x00" * 7, RowStatus.TRUNCATED),
        ("null", b"", RowStatus.OK),
        ("null", b"\x00", RowStatus.TRAILING_BYTES),
        ("string", b"\x01", RowStatus.BAD_LENGTH),
        ("string", LEAST, RowStatus.BAD_LENGTH),
        ("string", varint(2**63 - 1), RowStatus.TRUNCATED),
        ("bytes", varint(2**63 - 1) + b"x", RowStatus.TRUNCATED),
        ("bytes", b"\x04\xff\xff", RowStatus.OK),
        ("string", b"\x04\xff\xff", RowStatus.BAD_UTF8),
        ("string", b"\x04\xc0\x80", RowStatus.BAD_UTF8),
        ("string", b"\x04\xc1\xbf", RowStatus.BAD_UTF8),
        ("string", b"\x02\x80", RowStatus.BAD_UTF8),
        ("string", b"\x02\xc3", RowStatus.BAD_UTF8),
        ("string", b"\x04\xc3\x28", RowStatus.BAD_UTF8),
        ("string", b"\x06\xe0\x9f\xbf", RowStatus.BAD_UTF8),
        ("string", b"\x06\xed\xa0\x80", RowStatus.BAD_UTF8),
        ("string", b"\x06\xed\x9f\xbf", RowStatus.OK),
        ("string", b"\x08\xf0\x8f\xbf\xbf", RowStatus.BAD_UTF8),
        ("string", b"\x08\xf4\x90\x80\x80", RowStatus.BAD_UTF8),
        ("string", b"\x08\xf4\x8f\xbf\xbf", RowStatus.OK),
        ("string", b"\x08\xf5\x80\x80\x80", RowStatus.BAD_UTF8),
        ("string", b"\x10aaaaaaa\x80", RowStatus.BAD_UTF8),
        ("string", b"\x14aaaaaaaa\xc3\xa9", RowStatus.OK),
        (ENUM, b"\x04", RowStatus.BAD_ENUM),
        (ENUM, b"\x01", RowStatus.BAD_ENUM),
        (ENUM, LEAST, RowStatus.BAD_ENUM),
        (["null", "long"], b"\x04\x00", RowStatus.BAD_UNION),
        (["long", "null"], b"\x01", RowStatus.BAD_UNION),
        (["null", "long"], LEAST, RowStatus.BAD_UNION),
        (["null", "long"], b"\x00", RowStatus.OK),
        (["null", "long"], b"\x02", RowStatus.TRUNCATED),
        (LONGS, b"", RowStatus.TRUNCATED),
        (LONGS, b"\x02\x02", RowStatus.TRUNCATED),
        (LONGS, varint(2**63 - 1), RowStatus.TRUNCATED),
        (LONGS, varint(2**62) + b"\x00", RowStatus.TRUNCATED),
        (LONGS, LEAST + b"\x00\x00", RowStatus.BAD_LENGTH),
        (LONGS, varint(-(2**63) + 1) + b"\x00\x00", RowStatus.TRUNCATED),
        (LONGS, b"\x03\x04\x02\x02\x00", RowStatus.OK),
        (LONGS, b"\x03\x02\x02\x02\x00", RowStatus.BAD_LENGTH),
        (LONGS, b"\x03\x01\x02\x02\x00", RowStatus.BAD_LENGTH),
        (LONGS, b"\x03" + varint(2**63 - 1) + b"\x02\x02\x00", RowStatus.BAD_LENGTH),
        (LONGS, b"\x01\x06\x02\x00\x00\x00", RowStatus.BAD_LENGTH),
        (DOUBLES, b"\x02" + b"\x00" * 7, RowStatus.TRUNCATED),
        (DOUBLES, varint(2**61) + b"\x00" * 8, RowStatus.TRUNCATED),
        (DOUBLES, b"\x02" + b"\x00" * 9, RowStatus.OK),
        ({"type": "array", "items": "boolean"}, b"\x04\x01\x02\x00", RowStatus.BAD_BOOLEAN),
        ({"type": "array", "items": "int"}, b"\x02" + varint(2**31) + b"\x00", RowStatus.INT_RANGE),
    ],
)
def test_each_kind_of_damage_has_its_status(type_: Any, body: bytes, status: RowStatus) -> None:
    entry = one_field(type_)
    good = entry.prefix + b"".join(
        # The shortest good value of the type, as a neighbour on both sides.
        {"string": b"\x00", "bytes": b"\x00", "float": b"\x00" * 4, "double": b"\x00" * 8, "null": b""}.get(
            type_ if isinstance(type_, str) else "", b"\x00"
        )
        for _ in range(1)
    )
    if isinstance(type_, list) and type_[0] != "null":
        good = entry.prefix + b"\x02"
    columns = read([entry], [good, entry.prefix + body, good])
    assert [RowStatus(code) for code in columns.status.tolist()] == [RowStatus.OK, status, RowStatus.OK]
    assert strict_read(entry.prefix + body, [entry])[0] == status, "the reader in Python says otherwise"
    assert RowStatus(columns.status[1]).reason


@pytest.mark.parametrize(
    ("value", "status"),
    [
        (None, RowStatus.NULL_VALUE),
        (b"", RowStatus.NO_PREFIX),
        (b"\x00\x00\x00\x00", RowStatus.NO_PREFIX),
        (b"\x01\x00\x00\x00\x01\x00", RowStatus.WRONG_MAGIC),
        (b'{"p":1}', RowStatus.WRONG_MAGIC),
        (b"\x00\x00\x00\x00\x02\x00", RowStatus.UNKNOWN_SCHEMA),
        (b"\x00\xff\xff\xff\xff\x00", RowStatus.UNKNOWN_SCHEMA),
        (b"\x00\x00\x00\x00\x01", RowStatus.TRUNCATED),
    ],
)
def test_each_kind_of_wrong_prefix_has_its_status(value: bytes | None, status: RowStatus) -> None:
    columns = read([one_field("long")], [value])
    assert columns.status.tolist() == [status]
    assert columns.value(0) == value


def test_spans_outside_of_the_data_are_singled_out() -> None:
    entry = one_field("long")
    data = np.frombuffer(entry.prefix + b"\x02", np.uint8)
    ends = [2**63 - 1, -(2**63), 2**31]
    spans = [
        (0, 6),
        (1, 6),
        (-1, 6),
        (6, 1),
        (0, 2**63 - 1),
        *((end, 6) for end in ends),
        (6, 0),
        (0, -(2**63)),
    ]
    columns = ColumnReader([entry]).read(
        data, np.array([start for start, _ in spans]), np.array([length for _, length in spans])
    )
    outside = [RowStatus.OUTSIDE] * 7
    assert columns.status.tolist() == [RowStatus.OK, *outside, RowStatus.NO_PREFIX, RowStatus.NULL_VALUE]
    with pytest.raises(ValueError, match="2 starts and 1 lengths"):
        ColumnReader([entry]).read(data, np.zeros(2, np.int64), np.zeros(1, np.int64))


@given(st.lists(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=4), max_size=5), st.data())
def test_arrays_in_blocks_with_and_without_sizes_equal_fastavro(
    blocks: list[list[int]], data: st.DataObject
) -> None:
    body = b""
    for block in filter(None, blocks):
        items = b"".join(varint(item) for item in block)
        sized = data.draw(st.booleans())
        body += (varint(-len(block)) + varint(len(items)) if sized else varint(len(block))) + items
    entry = one_field(LONGS)
    value = entry.prefix + body + b"\x00"
    assert read_back(read([entry], [value]), "R", ["x"]) == [entry.decode(value)]


@pytest.mark.parametrize("items", ["double", "boolean", "long"])
def test_the_pool_grows_in_the_middle_of_a_batch(items: str) -> None:
    fields = [{"name": "before", "type": DOUBLES}, {"name": "x", "type": {"type": "array", "items": items}}]
    entry = Entry(1, "R", {"type": "record", "name": "R", "fields": fields})
    sizes = [0, 4095, 1, 1, 0, 20_000, 3, 70_000, 0]
    makes: dict[str, Callable[[int], Any]] = {"double": float, "boolean": lambda n: n % 3 == 0, "long": int}
    make = makes[items]
    expected = [{"before": [float(size)], "x": [make(n) for n in range(size)]} for size in sizes]
    values: list[bytes | None] = []
    for row in expected:
        value = entry.encode(row)
        values += [value, value[:-1], value + b"!"]
    columns = read([entry], values)
    assert columns.status.tolist() == [RowStatus.OK, RowStatus.TRUNCATED, RowStatus.TRAILING_BYTES] * len(
        sizes
    )
    assert read_back(columns, "R", ["before", "x"]) == expected
    assert columns.pool.size == sum(sizes) + len(sizes), "bad values leave nothing in the pool"


@given(st.lists(st.tuples(st.sampled_from("ab"), st.none() | st.text(max_size=3)), max_size=30))
def test_fields_of_one_name_share_a_dictionary_that_keeps_its_codes(
    pairs: list[tuple[str, str | None]],
) -> None:
    a = Entry(1, "a", {"type": "record", "name": "A", "fields": [{"name": "k", "type": ["null", "string"]}]})
    b = Entry(2, "b", {"type": "record", "name": "B", "fields": [{"name": "k", "type": "string"}]})
    reader = ColumnReader([a, b], interned=["k"])
    seen: dict[str, int] = {}
    for chunk in (pairs[:7], pairs[7:], pairs):
        texts = [text if name == "a" else text or "" for name, text in chunk]
        values: list[bytes | None] = [
            (a if name == "a" else b).encode({"k": text})
            for (name, _), text in zip(chunk, texts, strict=True)
        ]
        values.append(b"broken")
        columns = reader.read(*laid_out(values))
        for row, ((name, _), text) in enumerate(zip(chunk, texts, strict=True)):
            code = int(columns.cells[reader.code_slot(name, "k"), row])
            assert (code == -1) == (text is None)
            if text is not None:
                assert seen.setdefault(text, code) == code
                assert reader.dictionaries["k"].keys[code] == text
    assert len(set(seen.values())) == len(seen) == len(reader.dictionaries["k"])


@functools.cache
def contract_rows(entry: registry.SchemaEntry) -> st.SearchStrategy[Record]:
    return rows_of(plain(entry.definition)).map(lambda fields: entry.record(**fields))


@given(st.lists(st.sampled_from(registry.ENTRIES).flatmap(contract_rows), max_size=15))
def test_the_records_of_the_contract_come_back_field_by_field(records: list[Record]) -> None:
    values: list[bytes | None] = [rows.encode(record) for record in records]
    columns = ColumnReader().read(*laid_out(values))
    assert not columns.status.any()
    for entry in registry.ENTRIES:
        mine = [record for record in records if type(record) is entry.record]
        chosen = columns.rows(entry.record)
        if layout_of(entry.definition) is None:
            found = [rows.decode(columns.value(row)) for row in chosen]
        else:
            found = [
                entry.record(**fields)
                for fields in read_back(columns, entry.record, list(entry.record.__struct_fields__))
            ]
        assert [rows.encode(record) for record in found] == [rows.encode(record) for record in mine]


def test_records_with_maps_are_opaque_and_all_others_columnar() -> None:
    reader = ColumnReader()
    opaque = {entry.record.__name__ for entry in registry.ENTRIES if not reader.is_columnar(entry.record)}
    assert opaque == {"Signal", "SystemEvent", "Position"}
    with pytest.raises(KeyError, match=r"Signal\.rule: the record is not columnar here"):
        reader.slot(Signal, "rule")
