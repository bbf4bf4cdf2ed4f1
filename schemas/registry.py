"""Which schema has which id: the fixed ids of the Confluent wire format.

An id never changes its meaning. A change to a schema (which must be readable by BACKWARD rules: new
fields have defaults) gets a new id here and keeps the old entry for what is already in the log.
"""

import functools
import importlib.resources
import json
from dataclasses import dataclass
from typing import Any

import fastavro

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


@dataclass(frozen=True, slots=True)
class SchemaEntry:
    """One schema of the contract.

    Attributes:
        schema_id: Id in the Confluent wire format.
        record: The record class that it describes.
        file: Name of its file in `schemas/avro/`.
    """

    schema_id: int
    record: type[Record]
    file: str

    @property
    def definition(self) -> dict[str, Any]:
        """The schema as JSON data, docs and units included."""
        return _definition(self.file)

    @property
    def parsed(self) -> dict[str, Any]:
        """The schema as fastavro wants it, without logical types: times stay whole microseconds."""
        return _parsed(self.file)


@functools.cache
def _definition(file: str) -> dict[str, Any]:
    text = importlib.resources.files("schemas").joinpath("avro", file).read_text("utf-8")
    definition: dict[str, Any] = json.loads(text)
    return definition


@functools.cache
def _parsed(file: str) -> dict[str, Any]:
    parsed: dict[str, Any] = fastavro.parse_schema(_without_logical_types(_definition(file)))
    return parsed


def _without_logical_types(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _without_logical_types(value) for key, value in node.items() if key != "logicalType"}
    if isinstance(node, list):
        return [_without_logical_types(item) for item in node]
    return node


ENTRIES: tuple[SchemaEntry, ...] = (
    SchemaEntry(1, Trade, "trade.avsc"),
    SchemaEntry(2, TimeMark, "time_mark.avsc"),
    SchemaEntry(3, Gap, "gap.avsc"),
    SchemaEntry(4, Quote, "quote.avsc"),
    SchemaEntry(5, BookUpdate, "book_update.avsc"),
    SchemaEntry(6, Ticker, "ticker.avsc"),
    SchemaEntry(7, Candle, "candle_v1.avsc"),
    SchemaEntry(8, IndicatorValue, "indicator_value.avsc"),
    SchemaEntry(9, Signal, "signal.avsc"),
    SchemaEntry(10, Instrument, "instrument.avsc"),
    SchemaEntry(11, Notification, "notification.avsc"),
    SchemaEntry(12, SystemEvent, "system_event.avsc"),
    SchemaEntry(13, Position, "position.avsc"),
    SchemaEntry(14, ExchangeCandle, "exchange_candle.avsc"),
    SchemaEntry(15, DerivativeTicker, "derivative_ticker.avsc"),
    SchemaEntry(16, Liquidation, "liquidation.avsc"),
    SchemaEntry(17, SymbolRequest, "symbol_request.avsc"),
    SchemaEntry(18, Candle, "candle.avsc"),
    SchemaEntry(19, LiveCandle, "live_candle.avsc"),
    SchemaEntry(20, TradeBar, "trade_bar.avsc"),
    SchemaEntry(21, PriceAlert, "price_alert.avsc"),
    SchemaEntry(22, VenuePrice, "venue_price.avsc"),
    SchemaEntry(23, AuditEntry, "audit_entry.avsc"),
)
"""Every schema that may stand in a topic; those of one record in the order of their making."""

CURRENT: tuple[SchemaEntry, ...] = tuple({entry.record: entry for entry in ENTRIES}.values())
"""The newest schema of each record: what is written today."""

BY_ID: dict[int, SchemaEntry] = {entry.schema_id: entry for entry in ENTRIES}
BY_RECORD: dict[type[Record], SchemaEntry] = {entry.record: entry for entry in CURRENT}
