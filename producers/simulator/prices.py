"""A seeded, plausible market of several symbols. Pure: the same seed and time, the same market."""

import heapq
import itertools
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import msgspec

from producers.simulator.course import MEAN_NOTIONAL, SECOND_US, Course, Tick, decimal_text
from schemas.records import Micros

DEPTH: Final = 10
"""Levels of each side of a book."""

UPDATES_A_TRADE: Final = 2
"""Update ids of quotes and books rise by so many with each trade."""


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


class Instrument:
    """A symbol of a made market, with the numbers that its trades bear.

    Args:
        symbol: Unified symbol.
        venue_symbol: The venue's own.
        seed: The same one gives the same course.
        trades_per_second: On average.
    """

    def __init__(self, symbol: str, venue_symbol: str, seed: int, trades_per_second: float) -> None:
        self.symbol = symbol
        self.venue_symbol = venue_symbol
        self.course = Course(symbol, seed, trades_per_second)
        self.offset = 0
        """Id of a trade less its ordinal in the course."""

    def number_from(self, first_id: int, time: Micros) -> None:
        """The first trade at this time or after it bears this id, and the others follow."""
        self.offset = first_id - self.course.before(time)

    def id_at(self, time: Micros) -> int:
        """The id of the first trade at this time or after it."""
        return self.course.before(time) + self.offset

    def trade(self, tick: Tick) -> TradeEvent:
        """The trade of a tick."""
        price = tick.ask if tick.buys else tick.bid
        return TradeEvent(
            tick.time,
            self.venue_symbol,
            tick.ordinal + self.offset,
            self._price(price),
            tick.size,
            not tick.buys,
        )

    def trades(self, first_id: int, limit: int, until: Micros) -> list[TradeEvent]:
        """At most `limit` trades from an id on that were before `until`, oldest first."""
        found: list[TradeEvent] = []
        for second in range(self.course.second_of(first_id - self.offset), until // SECOND_US + 1):
            found += [
                self.trade(tick)
                for tick in self.course.ticks(second)
                if tick.ordinal + self.offset >= first_id and tick.time < until
            ]
            if len(found) >= limit:
                break
        return found[:limit]

    def events(self, start: Micros) -> Iterator[MarketEvent]:
        """All that happens from this time on, without end."""
        book = _Book(self.venue_symbol, self.course.places)
        for second in itertools.count(start // SECOND_US):
            for tick in self.course.ticks(second):
                if tick.time >= start:
                    yield from book.meet(tick, UPDATES_A_TRADE * (tick.ordinal + self.offset))
                    yield self.trade(tick)

    def _price(self, ticks: int) -> str:
        return decimal_text(ticks * 10.0**-self.course.places, self.course.places)


def merged(instruments: Sequence[Instrument], start: Micros) -> Iterator[MarketEvent]:
    """The events of all instruments from a time on, in the order of their times."""
    return heapq.merge(*(one.events(start) for one in instruments), key=lambda event: event.time)


def first_id_at(time: Micros) -> int:
    """Where the ids of a market begin that begins now: higher than in any that began before."""
    return time // 1_000 * 1_000


@dataclass(slots=True)
class _Book:
    """The book of a symbol, which moves as its quotes do."""

    venue_symbol: str
    places: int
    last_update: int | None = None
    best: tuple[int, int] = (0, 0)
    bids: dict[str, str] = field(default_factory=dict)
    asks: dict[str, str] = field(default_factory=dict)

    def meet(self, tick: Tick, update_id: int) -> Iterator[MarketEvent]:
        """Change to the quote of a tick, if it is another one."""
        if (tick.bid, tick.ask) == self.best:
            return
        first_id = update_id if self.last_update is None else self.last_update + 1
        self.best, self.last_update = (tick.bid, tick.ask), update_id
        bids, asks = self._levels(tick.bid, -1, tick.bid_size), self._levels(tick.ask, 1, tick.ask_size)
        changes = _changes(self.bids, bids), _changes(self.asks, asks)
        self.bids, self.asks = bids, asks
        yield BookEvent(tick.time, self.venue_symbol, first_id, update_id, *changes)
        bid, ask = next(iter(bids)), next(iter(asks))
        yield QuoteEvent(tick.time, self.venue_symbol, update_id, bid, tick.bid_size, ask, tick.ask_size)

    def _levels(self, best: int, step: int, best_size: str) -> dict[str, str]:
        found, tick = {}, 10.0**-self.places
        for place in range(DEPTH):
            level = best + step * place
            if level > 0:
                # A level keeps its size for as long as it is not the best one.
                size = (zlib.crc32(f"{self.venue_symbol}{level}".encode()) % 9_000 + 1_000) / 1_000
                text = decimal_text(size * MEAN_NOTIONAL / (level * tick), 5)
                found[decimal_text(level * tick, self.places)] = best_size if place == 0 else text
        return found


def _changes(old: dict[str, str], new: dict[str, str]) -> list[tuple[str, str]]:
    removed = [(price, "0.00000000") for price in old if price not in new]
    return removed + [(price, size) for price, size in new.items() if old.get(price) != size]
