"""Decoded records to Arrow tables, one for each type of record: a column at a time.

Only what has no columns (maps) and headers take a way by objects.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]

from infra.kafka.record_batches import RawRecords
from schemas.columns import Columns
from schemas.programs import Field
from schemas.records import Record
from schemas.registry import BY_RECORD
from sinks.archive.fields import HEADERS, TIMES, schema_of
from sinks.portion import Slice
from sinks.storable import TIME_MAX_US, TIME_MIN_US

Int64s = npt.NDArray[np.int64]
MS_US: Final = 1_000


def decode_opaque(slice_: Slice) -> None:
    """Decode what has no columns; what can not be is refused."""
    for entry in BY_RECORD.values():
        if not slice_.columns.reader.is_columnar(entry.record) and len(slice_.columns.rows(entry.record)):
            slice_.decode(entry.record, lambda _: None)


def tables_of(slice_: Slice) -> Iterator[tuple[type[Record], pa.Table, Int64s]]:
    """What of a slice is kept: record, its rows in the order of their offsets, the time of each in µs.

    `decode_opaque` was called before.
    """
    opaque: dict[type[Record], list[tuple[int, Record]]] = {}
    for row, record in slice_.decoded:
        opaque.setdefault(type(record), []).append((row, record))
    for entry in BY_RECORD.values():
        kept = slice_.kept(entry.record)
        rows = slice_.columns.rows(entry.record)[kept]
        if not len(rows):
            continue
        schema = schema_of(entry.record)
        if slice_.columns.reader.is_columnar(entry.record):
            values = field_arrays(slice_.columns, entry.record, schema)
            if not kept.all():
                chosen = pa.array(kept)
                values = {name: array.filter(chosen) for name, array in values.items()}
        else:
            values = _of_objects([record for _, record in opaque[entry.record]], schema)
        values |= _kafka_arrays(slice_.records, slice_.ref.partition, _schema_ids(slice_.columns, rows), rows)
        table = pa.Table.from_arrays([values[name] for name in schema.names], schema=schema)
        yield entry.record, table, _times(table, entry.record)


def field_arrays(columns: Columns, record: Any, schema: pa.Schema) -> dict[str, pa.Array]:
    """The fields of all good rows of a columnar record, as `schema` types them."""
    reader = columns.reader
    return {
        name: _field_array(columns, record, reader.field(record, name), schema.field(name).type)
        for name in schema.names
        if not name.startswith("kafka_")
    }


def _field_array(columns: Columns, record: Any, field: Field, wanted: pa.DataType) -> pa.Array:
    name = field.name
    if field.type == "null":
        return pa.nulls(columns.rows(record).size)
    missing = None if field.valid_slot < 0 else ~columns.valid(record, name)
    if field.type == "enum":
        codes = pa.array(columns.column(record, name).astype(np.int32), mask=missing)
        return pa.DictionaryArray.from_arrays(codes, pa.array(field.symbols)).cast(wanted)
    if field.type == "string" and name in columns.reader.dictionaries:
        known = columns.reader.dictionaries[name]
        codes = columns.dictionary(record, name)
        used, places = np.unique(codes, return_inverse=True)
        texts = pa.array([None if code < 0 else known.keys[code] for code in used.tolist()], pa.string())
        return texts.take(pa.array(places))
    if field.type in ("string", "bytes"):
        return spans_array(columns.data, *columns.spans(record, name)).cast(wanted)
    if field.type == "array":
        floating = field.items in ("float", "double")
        items = pa.array(columns.pool.view(np.float64) if floating else columns.pool)
        offsets, chosen = _interleaved(*columns.spans(record, name))
        lists = pa.LargeListArray.from_arrays(pa.array(offsets), items).take(chosen)
        return lists.cast(pa.large_list(wanted.value_field)).cast(wanted)
    values = columns.column(record, name)
    if field.type in ("int", "float"):
        values = values.astype(np.int32 if field.type == "int" else np.float32)
    found = pa.array(values, mask=missing)
    return found if found.type == wanted else found.view(wanted)


def spans_array(data: npt.NDArray[np.uint8], starts: Int64s, lengths: Int64s) -> pa.Array:
    """Byte strings of one buffer, ascending and apart, as an array; length -1: null. Copies them once."""
    offsets, chosen = _interleaved(starts, lengths)
    whole = pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), offsets.size - 1, [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    )
    return whole.take(chosen).cast(pa.binary())


def _interleaved(starts: Int64s, lengths: Int64s) -> tuple[Int64s, pa.Array]:
    """Offsets of an array that has what lies between the spans as items too, and which items are spans."""
    sizes = np.maximum(lengths, 0)
    bounds = np.empty((starts.size, 2), np.int64)
    # What is empty may point anywhere: it goes where the one before it ended.
    bounds[:, 0] = np.where(sizes > 0, starts, 0)
    bounds[:, 1] = bounds[:, 0] + sizes
    offsets = np.zeros(2 * starts.size + 1, np.int64)
    np.maximum.accumulate(bounds.ravel(), out=offsets[1:])
    return offsets, pa.array(np.arange(starts.size) * 2 + 1, mask=lengths < 0)


def _of_objects(records: Sequence[Record], schema: pa.Schema) -> dict[str, pa.Array]:
    plain = [msgspec.structs.asdict(record) for record in records]
    names = [name for name in schema.names if not name.startswith("kafka_")]
    return {name: _column([fields[name] for fields in plain], schema.field(name).type) for name in names}


def _column(values: list[Any], type_: pa.DataType) -> pa.Array:
    if pa.types.is_map(type_):
        values = [None if value is None else list(value.items()) for value in values]
    if pa.types.is_timestamp(type_):
        return pa.array(values, pa.int64()).view(type_)
    return pa.array(values, type_)


def _kafka_arrays(
    records: RawRecords, partition: int, schema_ids: Int64s, rows: Int64s
) -> dict[str, pa.Array]:
    keys = spans_array(records.data, records.key_start[rows], records.key_length[rows])
    return {
        "kafka_partition": pa.array(np.full(rows.size, partition, np.int32)),
        "kafka_offset": pa.array(records.offsets[rows]),
        "kafka_time": pa.array(records.timestamps[rows]).view(pa.timestamp("ms", "UTC")),
        "kafka_key": keys,
        "kafka_headers": _headers(records, rows),
        "kafka_schema_id": pa.array(schema_ids.astype(np.int32)),
    }


def _headers(records: RawRecords, rows: Int64s) -> pa.Array:
    counts = records.header_count[rows]
    offsets = np.zeros(rows.size + 1, np.int32)
    np.cumsum(counts, out=offsets[1:])
    held = [entry for row in rows[counts > 0].tolist() for entry in records.headers(row)]
    names = pa.array([name for name, _ in held], pa.string())
    values = pa.array([value for _, value in held], pa.binary())
    entries = pa.StructArray.from_arrays([names, values], fields=list(HEADERS.value_type))
    return pa.ListArray.from_arrays(pa.array(offsets), entries, type=HEADERS)


def _schema_ids(columns: Columns, rows: Int64s) -> Int64s:
    ids = np.array([entry.schema_id for entry in columns.reader.entries], np.int64)
    found: Int64s = ids[columns.schema[rows]]
    return found


def _times(table: pa.Table, record: type[Record]) -> Int64s:
    """The time of each row; where it has none that a market could have, Kafka's."""
    columns = [table.column(name).cast(pa.int64()) for name in TIMES[record]]
    scaled = [np.asarray(column.fill_null(TIME_MAX_US)) for column in columns]
    scaled.append(np.asarray(table.column("kafka_time").cast(pa.int64())) * MS_US)
    found: Int64s = np.zeros(table.num_rows, np.int64)
    for times in reversed(scaled):
        found = np.where((times >= TIME_MIN_US) & (times < TIME_MAX_US), times, found)
    return found
