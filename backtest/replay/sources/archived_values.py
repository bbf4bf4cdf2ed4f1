"""Columns of Arrow tables to encoded records, keys and headers: the way back of `sinks/archive/tables.py`."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]

from schemas import rows
from schemas.column_writer import ColumnWriter
from schemas.errors import ConfigurationError
from schemas.programs import Field
from schemas.records import Record
from schemas.spans import Int64s, Spans

_WRITERS: Final[dict[type[Record], ColumnWriter | None]] = {}


def values_of(table: pa.Table, record: type[Record]) -> Spans:
    """The values of all rows, as `rows.encode` writes them.

    Args:
        table: Columns named as the record's fields; one that is missing has its default in all rows.
        record: What they are.

    Raises:
        ConfigurationError: A field without a default is missing.
    """
    writer = _writer(record)
    if writer is None:
        return Spans.of([rows.encode(one) for one in _objects(table, record)])
    texts = {
        name: spans_of(table.column(name))
        for name, field in writer.fields.items()
        if field.is_span and name in table.column_names
    }
    joined = Spans.joined(list(texts.values()))
    draft = writer.begin(table.num_rows, joined.data)
    first = 0
    for name, field in writer.fields.items():
        if name in texts:
            draft.text(name, joined.take(np.arange(first, first + table.num_rows)))
            first += table.num_rows
        elif name in table.column_names:
            column = table.column(name)
            valid = np.asarray(column.is_valid()) if column.null_count else True
            draft.set(name, _numbers(column, field), valid)
        else:
            default = _default(record, name)
            draft.set(name, 0 if default is None else default, default is not None)
    return draft.encode()


def _writer(record: type[Record]) -> ColumnWriter | None:
    """What writes a record by columns; None: it has arrays or maps and goes by objects."""
    if record not in _WRITERS:
        try:
            _WRITERS[record] = ColumnWriter(record)
        except ConfigurationError:
            _WRITERS[record] = None
    return _WRITERS[record]


def _default(record: type[Record], name: str) -> Any:
    names = record.__struct_fields__
    behind = len(names) - names.index(name)
    if behind > len(record.__struct_defaults__):
        raise ConfigurationError(f"a file of {record.__name__}s has no column {name}")
    return record.__struct_defaults__[-behind]


def _objects(table: pa.Table, record: type[Record]) -> list[Record]:
    names = [name for name in record.__struct_fields__ if name in table.column_names]
    columns = [_as_written(table.column(name)).to_pylist() for name in names]
    return [record(**dict(zip(names, values, strict=True))) for values in zip(*columns, strict=True)]


def _as_written(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column


def _numbers(column: pa.ChunkedArray, field: Field) -> Any:
    if field.type == "enum":
        coded = column.combine_chunks().dictionary_encode()
        places = np.array([field.symbols.index(text) for text in coded.dictionary.to_pylist()], np.int64)
        return places[np.asarray(coded.indices)]
    if pa.types.is_boolean(column.type):
        return np.asarray(column.fill_null(False))
    return np.asarray(_as_written(column).fill_null(0))


def spans_of(column: pa.ChunkedArray) -> Spans:
    """Texts or byte strings of a column; null: length -1."""
    array = column.cast(pa.large_binary()).combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], pa.large_binary())
    _, offsets, data = array.buffers()
    if not len(array):
        return Spans.of([])
    bounds = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]
    lengths = np.diff(bounds)
    if array.null_count:
        lengths[np.asarray(array.is_null())] = -1
    own = np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8)
    return Spans(own, bounds[:-1].copy(), lengths)


def headers_of(column: pa.ChunkedArray) -> tuple[Spans, Int64s]:
    """Headers as a record batch has them, without their number; and their number. Most records have none."""
    held = column.to_pylist() if len(column.combine_chunks().flatten()) else [[]] * len(column)
    counts = np.array([len(entries) for entries in held], np.int64)
    return Spans.of([b"".join(map(_header, entries)) for entries in held]), counts


def _header(entry: dict[str, Any]) -> bytes:
    name: bytes = entry["name"].encode()
    value: bytes | None = entry["value"]
    if value is None:
        return _varint(len(name)) + name + _varint(-1)
    return _varint(len(name)) + name + _varint(len(value)) + value


def _varint(number: int) -> bytes:
    rest = (number << 1) ^ (number >> 63)
    out = bytearray()
    while rest > 0x7F:
        out.append((rest & 0x7F) | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)
