"""Which symbols are fed by which shard: the settings' own, and what was asked for since in the control topic.

A shard is a partition of the control topic. A symbol belongs to the shard that its name hashes to, whoever
asks, so that two processes never feed one symbol.
"""

import zlib
from collections.abc import Iterable, Mapping

from infra.kafka.publisher import Publisher
from schemas.errors import DecodeError
from schemas.records import Micros, SymbolRequest
from schemas.rows import decode
from schemas.topics import CONTROL


def shard_of(symbol: str, shards: int) -> int:
    """The shard of a unified symbol, 0 to `shards` - 1; the same on every machine."""
    return zlib.crc32(symbol.encode()) % shards


class Requests:
    """The newest request of every symbol of one market, as the control topic has them."""

    def __init__(self, venue: str, market: str) -> None:
        self._venue = venue
        self._market = market
        self._newest: dict[str, SymbolRequest] = {}

    def take(self, value: bytes | None) -> bool:
        """Take a record of the topic; whether it is about this market."""
        if value is None:
            return False
        try:
            request = decode(value)
        except DecodeError:
            return False
        if not isinstance(request, SymbolRequest):
            return False
        if (request.venue, request.market) != (self._venue, self._market):
            return False
        self._newest[request.symbol] = request
        return True

    def apply(self, configured: Iterable[str]) -> list[str]:
        """The symbols to feed: those configured and those asked for, without those that are not wanted."""
        wanted = dict.fromkeys(configured)
        for symbol, request in self._newest.items():
            if request.wanted:
                wanted[symbol] = None
            else:
                wanted.pop(symbol, None)
        return list(wanted)

    @property
    def newest(self) -> Mapping[str, SymbolRequest]:
        """The newest request of each symbol."""
        return self._newest


async def request_symbols(
    publisher: Publisher,
    venue: str,
    market: str,
    symbols: Iterable[str],
    wanted: bool,
    shards: int,
    now: Micros,
) -> None:
    """Write requests to the control topic; the caller flushes.

    Args:
        publisher: Writes them.
        venue: Venue, lower case.
        market: Kind of market.
        symbols: Unified symbols.
        wanted: False to feed them no longer.
        shards: Shards of the market, by the settings that its producers have.
        now: The time, µs since the epoch.
    """
    for symbol in symbols:
        await publisher.publish(
            CONTROL.name,
            SymbolRequest(venue, market, symbol, wanted, now),
            key=f"{venue}:{market}:{symbol}",
            partition=shard_of(symbol, shards),
        )
