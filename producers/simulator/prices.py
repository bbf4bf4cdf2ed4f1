"""A seeded, plausible market of several symbols. Pure: the same seed and start, the same market."""

import math
import random
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import msgspec

from schemas.records import Micros

KNOWN_PRICES: Final = {"BTC": 60_000.0, "ETH": 3_000.0, "SOL": 150.0, "BNB": 550.0, "XRP": 0.6, "DOGE": 0.12}
"""Where a base asset begins in USD terms; others get a price from their name."""

CALM_VOLATILITY: Final = 4e-5
"""Standard deviation of the logarithm of the price over one trade, in calm times."""

CLUSTERING: Final = 0.97
VOLATILITY_OF_VOLATILITY: Final = 0.25
"""Logarithm of volatility: an autoregressive process, so that wild minutes follow wild minutes."""

SIDE_PERSISTENCE: Final = 0.7
"""Chance that a trade has the side of the one before: orders are worked in pieces."""

DEPTH: Final = 10
"""Levels of each side of a book."""

MEAN_NOTIONAL: Final = 1_500.0
"""Typical worth of a trade in quote currency."""


class TradeEvent(msgspec.Struct, frozen=True):
    """A trade of the market: time in µs, prices and sizes as the texts that go over the wire."""

    time: Micros
    venue_symbol: str
    trade_id: int
    price: str
    size: str
    buyer_is_maker: bool


class QuoteEvent(msgspec.Struct, frozen=True):
    """A new best bid and ask."""

    time: Micros
    venue_symbol: str
    update_id: int
    bid: str
    bid_size: str
    ask: str
    ask_size: str


class BookEvent(msgspec.Struct, frozen=True):
    """Changes of levels of the book, up to the update of the quote that follows; a size of 0 removes one."""

    time: Micros
    venue_symbol: str
    first_id: int
    last_id: int
    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]


MarketEvent: TypeAlias = TradeEvent | QuoteEvent | BookEvent


@dataclass(slots=True)
class _Instrument:
    venue_symbol: str
    log_price: float
    places: int
    next_trade: int
    next_update: int
    log_volatility: float = 0.0
    buys: bool = True
    best: tuple[int, int] = (0, 0)
    bids: dict[str, str] = field(default_factory=dict)
    asks: dict[str, str] = field(default_factory=dict)


def seeded_market(
    symbols: Sequence[tuple[str, str]], seed: int, start: Micros, trades_per_second: float
) -> Iterator[MarketEvent]:
    """The events of a market in the order of their times, without end.

    Trade ids begin at the start in milliseconds times 1000 and are contiguous for each symbol, so that two
    runs never use one id twice.

    Args:
        symbols: Unified symbol and venue symbol of each instrument.
        seed: The same seed and start give the same market.
        start: Time of its beginning, µs since the epoch.
        trades_per_second: Of each symbol, on average.
    """
    # Not a secret: the point of this generator is that it can be repeated.
    draw = random.Random(f"{seed}/{start}")  # noqa: S311
    first_id = start // 1_000 * 1_000
    instruments = [_begin(unified, venue_symbol, first_id) for unified, venue_symbol in symbols]
    rate = trades_per_second * len(instruments)
    time = float(start)
    while True:
        instrument = draw.choice(instruments)
        # Trades come faster when the market is wild.
        pace = math.exp(min(2.0, max(-1.0, instrument.log_volatility)))
        time += draw.expovariate(rate * pace) * 1_000_000
        yield from _step(draw, instrument, int(time))


def _begin(unified: str, venue_symbol: str, first_id: int) -> _Instrument:
    base, _, quote = unified.partition("/")
    invented = 10 ** (zlib.crc32(base.encode()) % 5_000 / 1_000 - 2)
    price = KNOWN_PRICES.get(base, invented) / KNOWN_PRICES.get(quote, 1.0)
    places = max(2, 5 - math.floor(math.log10(price))) if price < 1_000 else 2
    return _Instrument(venue_symbol, math.log(price), places, first_id, first_id)


def _step(draw: random.Random, it: _Instrument, time: Micros) -> Iterator[MarketEvent]:
    it.log_volatility = CLUSTERING * it.log_volatility + VOLATILITY_OF_VOLATILITY * draw.gauss(0.0, 1.0)
    it.log_price += CALM_VOLATILITY * math.exp(it.log_volatility) * draw.gauss(0.0, 1.0)
    tick = 10.0**-it.places
    price = math.exp(it.log_price)
    spread = max(1, round(price * 1e-5 / tick))
    bid = max(1, round(price / tick - spread / 2))
    ask = bid + spread
    if (bid, ask) != it.best:
        it.best = (bid, ask)
        first_id = it.next_update + 1
        it.next_update += draw.randint(1, 9)
        quote = QuoteEvent(
            time,
            it.venue_symbol,
            it.next_update,
            _text(bid * tick, it.places),
            _size(draw, price),
            _text(ask * tick, it.places),
            _size(draw, price),
        )
        yield _book(it, quote, first_id)
        yield quote
    if draw.random() > SIDE_PERSISTENCE:
        it.buys = not it.buys
    level = ask if it.buys else bid
    yield TradeEvent(
        time, it.venue_symbol, it.next_trade, _text(level * tick, it.places), _size(draw, price), not it.buys
    )
    it.next_trade += 1


def _book(it: _Instrument, quote: QuoteEvent, first_id: int) -> BookEvent:
    """The change from the book as it was to one whose best levels are those of the quote."""
    (bid, ask), tick = it.best, 10.0**-it.places

    def levels(best: int, step: int, best_size: str) -> dict[str, str]:
        found = {}
        for place in range(DEPTH):
            level = best + step * place
            if level > 0:
                # A level keeps its size for as long as it is not the best one.
                size = (zlib.crc32(f"{it.venue_symbol}{level}".encode()) % 9_000 + 1_000) / 1_000
                text = _text(size * MEAN_NOTIONAL / (level * tick), 5)
                found[_text(level * tick, it.places)] = best_size if place == 0 else text
        return found

    bids, asks = levels(bid, -1, quote.bid_size), levels(ask, 1, quote.ask_size)
    changes = _changes(it.bids, bids), _changes(it.asks, asks)
    it.bids, it.asks = bids, asks
    return BookEvent(quote.time, it.venue_symbol, first_id, quote.update_id, *changes)


def _changes(old: dict[str, str], new: dict[str, str]) -> list[tuple[str, str]]:
    removed = [(price, "0.00000000") for price in old if price not in new]
    return removed + [(price, size) for price, size in new.items() if old.get(price) != size]


def _size(draw: random.Random, price: float) -> str:
    size = MEAN_NOTIONAL / price * draw.lognormvariate(-0.5, 1.0)
    return _text(max(size, 1e-5), 5 if price > 1 else 1)


def _text(value: float, places: int) -> str:
    """A number as Binance writes it: eight places, the last ones zero."""
    return f"{value:.{places}f}" + "0" * max(0, 8 - places)
