"""What can be asked of hot data; the same of Redis and of memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from sinks.cache import names
from sinks.cache.changes import Level
from sinks.cache.store import Reading


@dataclass(frozen=True, slots=True)
class Book:
    """The best levels of a market, best first."""

    bids: list[Level]
    asks: list[Level]


class Answers:
    """Hot data of markets. A market is `venue:symbol`, or a symbol: then of its first venue that is alive.

    Args:
        store: Where the data is.
    """

    def __init__(self, store: Reading) -> None:
        self._store = store

    async def ticker(self, market: str) -> dict[str, str]:
        """Fields as texts: price, volume, change, timestamp (ms), venue ...; empty if nothing is known."""
        return await self._store.fields(names.ticker(market))

    async def candles(self, market: str, interval: str) -> list[list[float]]:
        """Closed candles, oldest first: open time (ms), open, high, low, close, volume."""
        return [
            msgspec.json.decode(item) for item in await self._store.items(names.candles(market, interval))
        ]

    async def book(self, market: str) -> Book:
        """The best levels."""
        bids = await self._store.levels(names.bids(market))
        return Book(bids[::-1], await self._store.levels(names.asks(market)))

    async def indicators(self, market: str, interval: str) -> dict[str, str]:
        """Newest values as texts by name, and timestamp (ms); empty if nothing is known."""
        return await self._store.fields(names.indicators(market, interval))

    async def signals(self, market: str) -> list[dict[str, Any]]:
        """The last signals, oldest first."""
        return [msgspec.json.decode(item) for item in await self._store.items(names.signals(market))]
