"""Which symbols are fed by which shard: the settings' own, and what was asked for since in the control topic.

A shard is a partition of the control topic. A symbol belongs to the shard that its name hashes to, whoever
asks, so that two processes never feed one symbol. A request is written to every partition: whoever holds any
shard knows all requests, whatever the number of shards was when they were made.
"""

import zlib
from collections.abc import Iterable, Mapping

from infra.kafka.publisher import Publisher
from producers.instruments import is_pattern, matches
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

    def names(self, configured: Iterable[str]) -> list[str]:
        """Names and patterns that symbols to feed are to be looked for by; `permits` has the last word."""
        asked = [name for name, request in self._newest.items() if request.wanted]
        return [
            name
            for name in dict.fromkeys([*configured, *asked])
            if (is_pattern(name) and (name not in self._newest or self._newest[name].wanted))
            or (not is_pattern(name) and self.permits(name))
        ]

    def permits(self, symbol: str) -> bool:
        """Whether nobody asked for a symbol not to be fed, or asked for it again since.

        Of a request for the symbol and one for a pattern that it matches, the later one holds.
        """
        latest = self._newest.get(symbol.upper())
        for name, request in self._newest.items():
            if (
                is_pattern(name)
                and matches(symbol, name)
                and (latest is None or request.event_time > latest.event_time)
            ):
                latest = request
        return latest is None or latest.wanted

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
    partitions: int,
    now: Micros,
) -> None:
    """Write requests to every partition of the control topic; the caller flushes.

    Args:
        publisher: Writes them.
        venue: Venue, lower case.
        market: Kind of market.
        symbols: Unified symbols, or patterns.
        wanted: False to feed them no longer.
        partitions: Partitions of the control topic.
        now: The time, µs since the epoch.
    """
    for symbol in symbols:
        request = SymbolRequest(venue, market, symbol, wanted, now)
        for partition in range(partitions):
            await publisher.publish(
                CONTROL.name, request, key=f"{venue}:{market}:{symbol}", partition=partition
            )
