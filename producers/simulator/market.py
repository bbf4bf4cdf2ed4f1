"""A seeded market served in real time: its events go out when the clock reaches their times."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from producers.exchange import exchange_class
from producers.simulator.prices import MarketEvent, QuoteEvent, TradeEvent, seeded_market
from producers.simulator.server import SimulatorServer, instrument_list, rest_routes
from schemas.errors import ConfigurationError

VENUE: Final = "binance"


class SeededMarket:
    """Makes a market and offers it to subscribers; a `Market` for `SimulatorServer`.

    It runs whether or not anybody listens, as an exchange does; a client that reads too slowly is
    disconnected.

    Args:
        symbols: Unified symbols.
        seed: The same seed and start give the same market.
        trades_per_second: Of each symbol, on average.
        start_us: Its beginning, µs since the epoch; now by default.

    Raises:
        ConfigurationError: There are no symbols.
    """

    def __init__(
        self,
        symbols: Sequence[str],
        seed: int,
        trades_per_second: float,
        start_us: int | None = None,
    ) -> None:
        if not symbols:
            raise ConfigurationError("a simulated market needs symbols (KANDLE_SIMULATOR__SYMBOLS=BTC/USDT)")
        exchange = exchange_class(VENUE)
        self._symbols = {unified: exchange.venue_symbol(unified) for unified in symbols}
        self._start_us = _now_us() if start_us is None else start_us
        self._events = seeded_market(list(self._symbols.items()), seed, self._start_us, trades_per_second)
        self._quotes: dict[str, QuoteEvent] = {}

    def rest(self, path: str, query: Mapping[str, str]) -> bytes:
        """Ping, time, the symbols, and a book of the best bid and ask."""
        return rest_routes(
            path,
            query,
            now_ms=lambda: _now_us() // 1_000,
            symbols=lambda: instrument_list(self._symbols, _now_us() // 1_000),
            depth=self._book,
        )

    def changed(self) -> None:
        """Nothing depends on who listens."""

    async def play(self, server: SimulatorServer) -> None:
        """Run the market until it is cancelled."""
        for event in self._events:
            pause_s = (event.time - _now_us()) / 1_000_000
            if pause_s > 0:
                await asyncio.sleep(pause_s)
            if isinstance(event, QuoteEvent):
                self._quotes[event.venue_symbol] = event
            stream, message = message_of(event)
            server.offer(stream, message)

    def _book(self, symbol: str) -> bytes | None:
        if symbol not in self._symbols.values():
            return None
        quote = self._quotes.get(symbol)
        if quote is None:
            return msgspec.json.encode({"lastUpdateId": 0, "bids": [], "asks": []})
        bids, asks = [[quote.bid, quote.bid_size]], [[quote.ask, quote.ask_size]]
        return msgspec.json.encode({"lastUpdateId": quote.update_id, "bids": bids, "asks": asks})


def message_of(event: MarketEvent) -> tuple[str, bytes]:
    """Stream and raw frame of an event, as Binance spot writes them."""
    name = event.venue_symbol.lower()
    message: dict[str, Any]
    if isinstance(event, TradeEvent):
        milliseconds = event.time // 1_000
        message = {
            "e": "trade",
            "E": milliseconds,
            "s": event.venue_symbol,
            "t": event.trade_id,
            "p": event.price,
            "q": event.size,
            "T": milliseconds,
            "m": event.buyer_is_maker,
            "M": True,
        }
        return f"{name}@trade", msgspec.json.encode(message)
    message = {
        "u": event.update_id,
        "s": event.venue_symbol,
        "b": event.bid,
        "B": event.bid_size,
        "a": event.ask,
        "A": event.ask_size,
    }
    return f"{name}@bookTicker", msgspec.json.encode(message)


def _now_us() -> int:
    return time.time_ns() // 1_000
