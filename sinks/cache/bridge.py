"""Events for clients that speak Redis: streams by type, and messages on channels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from infra.settings import CacheSettings
from schemas.errors import ConfigurationError
from schemas.event_types import EVENT_TYPES
from schemas.identity import ce_id
from schemas.records import Candle, Signal, SystemEvent
from sinks.cache import names
from sinks.cache.changes import Change, Emit
from sinks.cache.fold import Batch, Name
from sinks.cache.market import milliseconds

PRICE_UPDATED = "price.updated"


class Bridge:
    """Tells what a batch says.

    Args:
        settings: Which types go to streams, and whether changes are published.

    Raises:
        ConfigurationError: A type is none.
    """

    def __init__(self, settings: CacheSettings) -> None:
        unknown = sorted(set(settings.streams) - EVENT_TYPES.keys())
        if unknown:
            raise ConfigurationError(f"cache.streams names {', '.join(unknown)}, which is no event type")
        self._streams = frozenset(settings.streams)
        self._publish = settings.publish
        self._length = settings.stream_length

    @property
    def is_silent(self) -> bool:
        """Whether nothing is to be told."""
        return not (self._publish or self._streams)

    def events(self, batch: Batch, subscribers: Mapping[str, set[str]]) -> Iterator[Change]:
        """What a batch says, with the users who follow each symbol."""
        for name, (price, at) in batch.prices.items():
            if name not in batch.tickers:
                yield from self._price(name, {"price": price, "timestamp": milliseconds(at)}, subscribers)
        for name, ticker in batch.tickers.items():
            told = {
                "price": ticker.last,
                "change": ticker.change,
                "volume": ticker.base_volume,
                "timestamp": milliseconds(ticker.event_time),
            }
            yield from self._price(name, told, subscribers)
        for record in batch.records:
            if isinstance(record, Candle):
                yield from self._record("market.candle", record, record.symbol, subscribers)
            elif isinstance(record, Signal):
                yield from self._record("strategy.signal", record, record.symbol, subscribers)
        for event in batch.events:
            yield from self._record(event.type, event, "", subscribers)

    def _price(
        self, name: Name, told: dict[str, Any], subscribers: Mapping[str, set[str]]
    ) -> Iterator[Change]:
        venue, symbol = name
        data = {"venue": venue, "symbol": symbol} | told
        id_ = f"price/{venue}/{symbol}/{told['timestamp']}"
        yield from self._tell(PRICE_UPDATED, id_, data, symbol, subscribers)

    def _record(
        self,
        kind: str,
        record: Candle | Signal | SystemEvent,
        symbol: str,
        subscribers: Mapping[str, set[str]],
    ) -> Iterator[Change]:
        yield from self._tell(kind, ce_id(record), msgspec.to_builtins(record), symbol, subscribers)

    def _tell(
        self, kind: str, id_: str, data: object, symbol: str, subscribers: Mapping[str, set[str]]
    ) -> Iterator[Change]:
        stream = names.events(kind) if kind in self._streams else ""
        channels = []
        if self._publish and symbol:
            channels = [f"market:{symbol}", *(f"user:{user}" for user in sorted(subscribers[symbol]))]
        if stream or channels:
            text = msgspec.json.encode({"id": id_, "type": kind, "data": data}).decode()
            yield Emit(stream, {"id": id_, "type": kind, "data": text}, channels, self._length)
