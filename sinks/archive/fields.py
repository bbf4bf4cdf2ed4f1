"""What the files hold: for each record of the contract the Arrow schema, made from its Avro schema.

First the record's fields, with unit and description as metadata, then where the record stood in Kafka: all
that is needed to write the topic again.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any, Final

import pyarrow as pa  # type: ignore[import-untyped]

from schemas.errors import ConfigurationError
from schemas.records import (
    AuditEntry,
    BookUpdate,
    Candle,
    DerivativeTicker,
    ExchangeCandle,
    Gap,
    IndicatorValue,
    Instrument,
    Liquidation,
    LiveCandle,
    Notification,
    Position,
    PriceAlert,
    Quote,
    Record,
    Signal,
    SymbolRequest,
    SystemEvent,
    Ticker,
    TimeMark,
    Trade,
    TradeBar,
    VenuePrice,
)
from schemas.registry import BY_RECORD

TIMES: Final[Mapping[type[Record], tuple[str, ...]]] = {
    Trade: ("event_time",),
    TimeMark: ("time",),
    Gap: ("from_time",),
    Quote: ("event_time", "receive_time"),
    BookUpdate: ("event_time", "receive_time"),
    Ticker: ("event_time",),
    ExchangeCandle: ("open_time",),
    DerivativeTicker: ("event_time", "receive_time"),
    Liquidation: ("event_time",),
    Candle: ("open_time",),
    LiveCandle: ("open_time",),
    TradeBar: ("open_time",),
    VenuePrice: ("open_time",),
    IndicatorValue: ("open_time",),
    Signal: ("event_time",),
    Instrument: ("event_time",),
    Notification: ("event_time",),
    SystemEvent: ("event_time",),
    AuditEntry: ("event_time",),
    SymbolRequest: ("event_time",),
    PriceAlert: ("event_time",),
    Position: ("time",),
}
"""The time that decides a record's date and hour: the first of these fields that has a value."""

OFFSET: Final = "kafka_offset"
HEADERS: Final = pa.list_(
    pa.field("item", pa.struct([pa.field("name", pa.string(), False), pa.field("value", pa.binary())]), False)
)
_KAFKA: Final = (
    ("kafka_partition", pa.int32(), False, "number", "Partition of the topic."),
    (OFFSET, pa.int64(), False, "number", "Offset in the partition: with it, the record's identity."),
    ("kafka_time", pa.timestamp("ms", "UTC"), False, "ms since the epoch, UTC", "When Kafka appended it."),
    ("kafka_key", pa.binary(), True, "bytes", "Key of the record."),
    ("kafka_headers", HEADERS, False, "bytes", "Headers of the record, in their order."),
    ("kafka_schema_id", pa.int32(), False, "number", "Id of the schema that it was written by."),
)

_PRIMITIVES: Final = {
    "boolean": pa.bool_(),
    "int": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "bytes": pa.binary(),
    "string": pa.string(),
    "null": pa.null(),
}
_TIMES: Final = {"timestamp-micros": pa.timestamp("us", "UTC"), "timestamp-millis": pa.timestamp("ms", "UTC")}


def name_of(record: type[Record]) -> str:
    """The record in paths: time_mark."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", record.__name__).lower()


RECORDS: Final[Mapping[str, type[Record]]] = {name_of(record): record for record in BY_RECORD}


@functools.cache
def schema_of(record: type[Record]) -> pa.Schema:
    """The columns of the files of a record."""
    return arrow_schema(BY_RECORD[record].definition)


def arrow_schema(definition: Mapping[str, Any]) -> pa.Schema:
    """The columns of an Avro record, then those of Kafka.

    Raises:
        ConfigurationError: A field has a type that has no form here.
    """
    fields = []
    enums: set[str] = set()
    for field in definition["fields"]:
        type_, nullable = _arrow_type(field["type"], enums)
        told = {name: str(field[name]) for name in ("unit", "doc") if name in field}
        fields.append(pa.field(field["name"], type_, nullable, told or None))
    for name, type_, nullable, unit, doc in _KAFKA:
        fields.append(pa.field(name, type_, nullable, {"unit": unit, "doc": doc}))
    return pa.schema(fields)


def _arrow_type(node: Any, enums: set[str]) -> tuple[pa.DataType, bool]:
    """The type of an Avro type, and whether it may be null; `enums` collects names that may come again."""
    if isinstance(node, list):
        inner = [branch for branch in node if branch != "null"]
        if len(inner) != 1 or len(node) > 2:
            raise ConfigurationError(f"the archive has no column for a union of {node}")
        return _arrow_type(inner[0], enums)[0], len(inner) < len(node)
    if isinstance(node, str):
        if node in enums:
            return pa.string(), False
        if node not in _PRIMITIVES:
            raise ConfigurationError(f"the archive has no column for the type {node}")
        return _PRIMITIVES[node], node == "null"
    kind = node["type"]
    if kind == "enum":
        enums |= {node["name"], f"{node.get('namespace', '')}.{node['name']}"}
        return pa.string(), False
    if kind == "array":
        items, nullable = _arrow_type(node["items"], enums)
        return pa.list_(pa.field("item", items, nullable)), False
    if kind == "map":
        values, nullable = _arrow_type(node["values"], enums)
        return pa.map_(pa.string(), pa.field("value", values, nullable)), False
    if kind == "long" and node.get("logicalType") in _TIMES:
        return _TIMES[node["logicalType"]], False
    return _arrow_type(kind, enums)
