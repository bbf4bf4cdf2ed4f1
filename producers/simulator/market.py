"""A seeded market served in real time: its events go out when the clock reaches their times."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from producers.markets import exchange_class
from producers.simulator.numbering import number
from producers.simulator.prices import (
    BookEvent,
    Instrument,
    MarketEvent,
    QuoteEvent,
    TradeEvent,
    merged,
)
from producers.simulator.server import SimulatorServer
from producers.simulator.venue import venue_class
from schemas.errors import ConfigurationError

VENUE: Final = "binance"
TICKER_EVERY_US: Final = 1_000_000

REMEMBERED_US: Final = 1_800_000_000
"""REST tells the trades of half an hour, also of the time before the market was started."""


class SeededMarket:
    """Makes a market and offers it to subscribers; a `Market` for `SimulatorServer`.

    It runs whether or not anybody listens, as an exchange does; a client that reads too slowly is
    disconnected. Nor does it stand still while it is not served: the next one of the same folder is the same
    market, and knows what was traded meanwhile.

    Args:
        symbols: Unified symbols.
        seed: The same seed gives the same prices at the same times.
        trades_per_second: Of each symbol, on average.
        folder: Where it keeps how its trades are numbered; None: nowhere.

    Raises:
        ConfigurationError: There are no symbols.
    """

    def __init__(
        self,
        symbols: Sequence[str],
        seed: int,
        trades_per_second: float,
        folder: Path | None = None,
    ) -> None:
        if not symbols:
            raise ConfigurationError("a simulated market needs symbols (KANDLE_SIMULATOR__SYMBOLS=BTC/USDT)")
        exchange = exchange_class(VENUE)
        named = {unified: exchange.venue_symbol(unified) for unified in symbols}
        start_us = _now_us()
        self._instruments = {
            named[unified]: Instrument(unified, named[unified], seed, trades_per_second)
            for unified in symbols
        }
        instruments = list(self._instruments.values())
        self._since_us = number(instruments, seed, trades_per_second, start_us, folder)
        self._events = merged(instruments, start_us)
        self._reached_us = start_us
        self.venue = venue_class(VENUE)(named)
        self.venue.recall = self._recall
        self._figures = {venue_symbol: DayFigures(venue_symbol, start_us) for venue_symbol in named.values()}

    def now_ms(self) -> int:
        """The clock's time, ms since the epoch."""
        return _now_us() // 1_000

    def changed(self) -> None:
        """Nothing depends on who listens."""

    def asked(self) -> None:
        """Nothing depends on who asks."""

    async def play(self, server: SimulatorServer) -> None:
        """Run the market until it is cancelled."""
        for event in self._events:
            pause_s = (event.time - _now_us()) / 1_000_000
            if pause_s > 0:
                await asyncio.sleep(pause_s)
            self._reached_us = event.time
            for stream, message in self._messages(event):
                self.venue.observe(stream, message)
                await server.offer(stream, message)

    def _recall(self, venue_symbol: str, first_id: int, limit: int) -> list[bytes]:
        """See `SimulatedVenue.recall`."""
        instrument, until_us = self._instruments[venue_symbol], self._reached_us
        oldest = instrument.id_at(max(self._since_us, until_us - REMEMBERED_US))
        trades = instrument.trades(max(first_id, oldest), limit, until_us)
        return [message_of(trade)[1] for trade in trades]

    def _messages(self, event: MarketEvent) -> Iterator[tuple[str, bytes]]:
        yield message_of(event)
        ticker = self._figures[event.venue_symbol].take(event)
        if ticker is not None:
            yield f"{event.venue_symbol.lower()}@ticker", ticker


@dataclass(slots=True)
class DayFigures:
    """The figures of a symbol since the market began, as the stream `@ticker` tells them once a second.

    Attributes:
        venue_symbol: Whose they are.
        start: When the market began, µs.
    """

    venue_symbol: str
    start: int
    quote: QuoteEvent | None = None
    open: str = ""
    high: str = ""
    low: str = ""
    volume: float = 0.0
    worth: float = 0.0
    trades: int = 0
    first_id: int = 0
    told: int = 0

    def take(self, event: MarketEvent) -> bytes | None:
        """Count an event; returns the message that is due with it."""
        if isinstance(event, QuoteEvent):
            self.quote = event
        if not isinstance(event, TradeEvent) or self.quote is None:
            return None
        if not self.trades:
            self.open = self.high = self.low = event.price
            self.first_id = event.trade_id
        self.high = max(self.high, event.price, key=float)
        self.low = min(self.low, event.price, key=float)
        self.volume += float(event.size)
        self.worth += float(event.size) * float(event.price)
        self.trades += 1
        if event.time < self.told + TICKER_EVERY_US:
            return None
        self.told = event.time
        return msgspec.json.encode(self._message(event, self.quote))

    def _message(self, event: TradeEvent, quote: QuoteEvent) -> dict[str, Any]:
        change = float(event.price) - float(self.open)
        return {
            "e": "24hrTicker",
            "E": event.time // 1_000,
            "s": self.venue_symbol,
            "p": f"{change:.8f}",
            "P": f"{100 * change / float(self.open):.3f}",
            "w": f"{self.worth / self.volume:.8f}",
            "x": self.open,
            "c": event.price,
            "Q": event.size,
            "b": quote.bid,
            "B": quote.bid_size,
            "a": quote.ask,
            "A": quote.ask_size,
            "o": self.open,
            "h": self.high,
            "l": self.low,
            "v": f"{self.volume:.8f}",
            "q": f"{self.worth:.8f}",
            "O": self.start // 1_000,
            "C": event.time // 1_000,
            "F": self.first_id,
            "L": event.trade_id,
            "n": self.trades,
        }


def message_of(event: MarketEvent) -> tuple[str, bytes]:
    """Stream and raw frame of an event, as Binance spot writes them."""
    name, milliseconds = event.venue_symbol.lower(), event.time // 1_000
    message: dict[str, Any]
    if isinstance(event, TradeEvent):
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
    if isinstance(event, BookEvent):
        message = {
            "e": "depthUpdate",
            "E": milliseconds,
            "s": event.venue_symbol,
            "U": event.first_id,
            "u": event.last_id,
            "b": event.bids,
            "a": event.asks,
        }
        return f"{name}@depth", msgspec.json.encode(message)
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
