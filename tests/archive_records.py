"""What tests of the archive share: slices as a runner makes them, and rows of its files as records again."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]

from infra.kafka.record_batches import read_records, split_batches
from schemas import rows
from schemas.columns import ColumnReader
from schemas.records import Record
from schemas.topics import Topic
from sinks.archive.fields import TIMES, schema_of
from sinks.archive.tables import decode_opaque
from sinks.portion import Slice, refuse_undecodable
from sinks.positions import PartitionRef
from sinks.runner import INTERNED
from tests.record_batch_bytes import Row, batch_of

READER = ColumnReader(interned=INTERNED)


def slice_of(
    topic: Topic,
    values: Sequence[Record | bytes | None],
    *,
    first: int = 0,
    partition: int = 1,
    key: bytes | None = b"k",
    headers: Sequence[tuple[str, bytes | None]] = (),
) -> Slice:
    """Records of a partition at consecutive offsets, decoded and looked at."""
    encoded = [rows.encode(value) if isinstance(value, Record) else value for value in values]
    batch = batch_of(
        [Row(first + i, 1_000 + i, key, value, list(headers)) for i, value in enumerate(encoded)]
    )
    records = read_records(split_batches(batch))
    columns = READER.read(records.data, records.value_start, records.value_length)
    slice_ = Slice(
        ref=PartitionRef(0, partition, topic.name),
        epoch=1,
        expected=first,
        next_offset=first + len(values),
        records=records,
        columns=columns,
        good=np.ones(len(columns), np.bool_),
    )
    refuse_undecodable(slice_, topic.records)
    decode_opaque(slice_)
    return slice_


def plain(value: Any) -> Any:
    """A field with its floats as bits: so that every NaN equals itself, and -0.0 is not 0.0."""
    if isinstance(value, float):
        return struct.pack("<d", value)
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value


def records_of(table: pa.Table, record: type[Record]) -> list[Record]:
    """Rows of a file as records, times as microseconds again."""
    columns: dict[str, list[Any]] = {}
    for name in record.__struct_fields__:
        column = table.column(name)
        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.int64())
        if pa.types.is_map(column.type) and pa.types.is_timestamp(column.type.item_type):
            column = column.cast(pa.map_(pa.string(), pa.int64()))
        values = column.to_pylist()
        if pa.types.is_map(column.type):
            values = [dict(value) for value in values]
        columns[name] = values
    assert set(TIMES[record]) <= set(columns)
    assert table.schema.equals(schema_of(record))
    return [record(**dict(zip(columns, row, strict=True))) for row in zip(*columns.values(), strict=True)]
