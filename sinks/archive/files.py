"""Tables to Parquet files, one for each hour of the records' own time."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]
from pyarrow import parquet

from schemas.records import Record
from sinks.archive.fields import OFFSET, name_of
from sinks.archive.manifest import DataFile, PartitionId
from sinks.archive.tables import tables_of
from sinks.portion import Slice

HOUR_US: Final = 3_600_000_000
ROW_GROUP: Final = 122_880
"""Rows that a reader takes at once; what DuckDB works by."""
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def files_of(slice_: Slice, id_: PartitionId, writer: str) -> Iterator[tuple[DataFile, bytes]]:
    """What a slice adds to the archive: each file with its bytes."""
    for record, table, times in tables_of(slice_):
        hours = times // HOUR_US
        for hour in np.unique(hours).tolist():
            chosen = hours == hour
            own = table if chosen.all() else table.filter(pa.array(chosen))
            yield _file(own, times[chosen], record, hour, id_, writer)


def _file(
    table: pa.Table,
    times: npt.NDArray[np.int64],
    record: type[Record],
    hour: int,
    id_: PartitionId,
    writer: str,
) -> tuple[DataFile, bytes]:
    offsets = table.column(OFFSET)
    first, last = offsets[0].as_py(), offsets[-1].as_py()
    data = parquet_bytes(
        table.replace_schema_metadata(
            {"kandle.topic": id_.topic, "kandle.kafka_id": id_.kafka_id, "kandle.record": name_of(record)}
        )
    )
    began = _EPOCH + dt.timedelta(hours=hour)
    folder = f"record={name_of(record)}/date={began:%Y-%m-%d}/hour={began:%H}"
    file = DataFile(
        path=f"{folder}/{id_.partition:05d}-{first:020d}-{last:020d}-{writer}.parquet",
        record=name_of(record),
        rows=table.num_rows,
        bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        first_offset=first,
        last_offset=last,
        min_time=int(times.min()),
        max_time=int(times.max()),
    )
    return file, data


def parquet_bytes(table: pa.Table) -> bytes:
    """A table as a Parquet file: whole numbers as differences, the rest as dictionaries, all by zstd."""
    encodings = {field.name: "DELTA_BINARY_PACKED" for field in table.schema if _ascends(field.type)}
    encodings |= dict.fromkeys({"trade_id", "id"} & set(table.schema.names), "DELTA_BYTE_ARRAY")
    others = [name for name in table.schema.names if name not in encodings]
    sink = pa.BufferOutputStream()
    parquet.write_table(
        table,
        sink,
        row_group_size=ROW_GROUP,
        compression="zstd",
        use_dictionary=_leaves(table.schema, others),
        column_encoding=encodings,
        sorting_columns=[parquet.SortingColumn(table.schema.get_field_index(OFFSET))],
    )
    found: bytes = sink.getvalue().to_pybytes()
    return found


def _ascends(type_: Any) -> bool:
    return bool(pa.types.is_int64(type_) or pa.types.is_timestamp(type_))


def _leaves(schema: pa.Schema, names: list[str]) -> list[str]:
    """Names of columns as Parquet knows them: of nested ones, the paths of their leaves."""
    found = []
    for name in names:
        type_ = schema.field(name).type
        if pa.types.is_map(type_):
            found += [f"{name}.key_value.key", f"{name}.key_value.value"]
        elif pa.types.is_list(type_) and pa.types.is_struct(type_.value_type):
            found += [f"{name}.list.element.{part.name}" for part in type_.value_type]
        else:
            found.append(f"{name}.list.element" if pa.types.is_list(type_) else name)
    return found
