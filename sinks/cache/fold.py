"""Records to changes: what of the hot data a portion of the topics touches."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from infra.order_book import OrderBook
from infra.settings import CacheSettings
from schemas import topics
from schemas.records import (
    BookUpdate,
    Candle,
    IndicatorValue,
    Micros,
    Record,
    Signal,
    SystemEvent,
    Ticker,
    Trade,
)
from sinks.cache import names
from sinks.cache.changes import Append, Change, SetFields, SetLevels, SetList
from sinks.cache.market import (
    Market,
    Taken,
    loaded_candles,
    loaded_signals,
    milliseconds,
)
from sinks.cache.owners import Owners
from sinks.cache.store import Reading
from sinks.portion import Slice

Name = tuple[str, str]
"""Venue and symbol."""
BOOK_DEPTH = 1_000
"""Levels that are folded of a side."""


@dataclass(slots=True)
class Batch:
    """What a portion says, market by market.

    Attributes:
        prices: Newest trade of each market: price, event time.
        tickers: The last one of each market.
        books: Markets whose book has changed.
        records: Candles, indicators, signals in their order.
        events: What else is worth telling: system events.
    """

    prices: dict[Name, tuple[float, Micros]] = field(default_factory=dict)
    tickers: dict[Name, Ticker] = field(default_factory=dict)
    books: set[Name] = field(default_factory=set)
    records: list[Candle | IndicatorValue | Signal] = field(default_factory=list)
    events: list[SystemEvent] = field(default_factory=list)

    @property
    def markets(self) -> set[Name]:
        """All that it touches."""
        return {*self.prices, *self.tickers, *self.books, *((r.venue, r.symbol) for r in self.records)}


class Fold:
    """Hot data of the markets that this process reads.

    Args:
        settings: How much is kept, and for how long.
    """

    def __init__(self, settings: CacheSettings) -> None:
        self._settings = settings
        self._markets: dict[Name, Market] = {}
        self._books: dict[Name, OrderBook] = {}
        self._mirrored: set[tuple[Name, str]] = set()

    def forget(self) -> None:
        """What is in the store may differ from what is known: look again. Books stand on their own."""
        self._markets.clear()
        self._mirrored.clear()

    def read(self, slices: Iterable[Slice]) -> Batch:
        """What slices say; books are folded, all else is left as it is."""
        batch = Batch()
        for slice_ in slices:
            if slice_.ref.topic == topics.TRADES.name:
                _read_trades(slice_, batch)
                continue
            for _, record in slice_.decoded:
                self._read(record, batch)
        return batch

    def _read(self, record: Record, batch: Batch) -> None:
        match record:
            case Ticker():
                batch.tickers[record.venue, record.symbol] = record
            case Candle() | IndicatorValue() | Signal():
                batch.records.append(record)
            case SystemEvent():
                batch.events.append(record)
            case BookUpdate():
                name = (record.venue, record.symbol)
                book = self._books.get(name)
                if book is None:
                    if record.kind != "snapshot":
                        return  # it comes within a minute
                    book = self._books[name] = OrderBook(*name, BOOK_DEPTH)
                book.apply(record)
                batch.books.add(name)

    async def load(self, store: Reading, batch: Batch) -> None:
        """Load the markets of a batch that are not known yet, as the store has them."""
        for name in sorted(batch.markets - self._markets.keys()):
            market = Market()
            ticker = await store.fields(names.ticker(_key(name)))
            market.price_time = int(ticker.get("timestamp", "-1")) * 1000
            market.signals = loaded_signals(await store.items(names.signals(_key(name))))
            self._markets[name] = market
        for record in batch.records:
            name = (record.venue, record.symbol)
            market = self._markets[name]
            if isinstance(record, Candle) and record.interval not in market.candles:
                items = await store.items(names.candles(_key(name), record.interval))
                market.candles[record.interval] = loaded_candles(items)
            elif isinstance(record, IndicatorValue) and record.interval not in market.indicator_floors:
                known = await store.fields(names.indicators(_key(name), record.interval))
                market.indicator_floors[record.interval] = int(known.get("timestamp", "-1")) * 1000

    async def take(self, store: Reading, owners: Owners, batch: Batch) -> list[Change]:
        """All that a batch changes: what is not known yet is loaded, bare symbols are claimed."""
        await self.load(store, batch)
        claim = await owners.claim(store, batch.markets)
        for name in (batch.markets - claim.owned) | claim.unsettled:
            self.disown(name)
        return [*claim.changes, *self.changes(batch, claim.owned)]

    def changes(self, batch: Batch, owners: Collection[Name]) -> Iterator[Change]:
        """What a batch changes in the store; the markets of `owners` stand under their bare symbols too."""
        for name, (price, at) in batch.prices.items():
            fields = self._markets[name].price(price, at)
            yield from self._ticker(name, fields, owners)
        for name, ticker in batch.tickers.items():
            yield from self._ticker(name, self._markets[name].figures(ticker), owners)
        for name in sorted(batch.books):
            yield from self._book(name, owners)
        values: dict[tuple[Name, str], dict[str, str]] = {}
        for record in batch.records:
            name = (record.venue, record.symbol)
            market = self._markets[name]
            if isinstance(record, Candle):
                yield from self._candle(name, market, record, owners)
            elif isinstance(record, Signal):
                yield from self._signal(name, market, record, owners)
            elif market.is_newest(record):
                fields = values.setdefault((name, record.interval), {})
                fields[names.indicator_field(record.name)] = repr(record.value)
                fields["timestamp"] = str(milliseconds(record.open_time))
        for (name, interval), fields in values.items():
            for key in _keys(name, owners):
                yield SetFields(names.indicators(key, interval), fields, self._settings.analysis_ttl_s)

    def _ticker(self, name: Name, fields: dict[str, str], owners: Collection[Name]) -> Iterator[Change]:
        if fields:
            for key in _keys(name, owners):
                told = fields | {"venue": name[0]}
                yield SetFields(names.ticker(key), told, self._settings.ticker_ttl_s)

    def _book(self, name: Name, owners: Collection[Name]) -> Iterator[Change]:
        bids, asks = self._books[name].top(self._settings.book_levels)
        for key in _keys(name, owners):
            yield SetLevels(names.bids(key), bids, self._settings.book_ttl_s)
            yield SetLevels(names.asks(key), asks, self._settings.book_ttl_s)

    def _candle(
        self, name: Name, market: Market, candle: Candle, owners: Collection[Name]
    ) -> Iterator[Change]:
        most = self._settings.candles
        taken = market.candle(candle, most)
        if taken is Taken.NOTHING:
            return
        kept = market.candles[candle.interval]
        for key in _keys(name, owners):
            yield self._list(name, names.candles(key, candle.interval), taken, [i for _, i in kept], most)

    def _signal(
        self, name: Name, market: Market, signal: Signal, owners: Collection[Name]
    ) -> Iterator[Change]:
        most = self._settings.signals
        if not market.signal(signal, most):
            return
        items = [item for _, item in market.signals]
        for key in _keys(name, owners):
            yield self._list(name, names.signals(key), Taken.APPENDED, items, most)

    def _list(self, name: Name, key: str, taken: Taken, items: list[str], most: int) -> Change:
        """Append where the list is known to be ours and in step, else put all of it."""
        ttl_s = self._settings.analysis_ttl_s
        if taken is Taken.APPENDED and (name, key) in self._mirrored:
            return Append(key, items[-1], most, ttl_s)
        self._mirrored.add((name, key))
        return SetList(key, items, ttl_s)

    def disown(self, name: Name) -> None:
        """What stands under the bare symbol may be another venue's: put all of it when it is ours to put."""
        bare = (names.candles(name[1], ""), names.signals(name[1]))
        self._mirrored = {
            (owner, key)
            for owner, key in self._mirrored
            if owner != name or not (key.startswith(bare[0]) or key == bare[1])
        }


def _key(name: Name) -> str:
    return f"{name[0]}:{name[1]}"


def _keys(name: Name, owners: Collection[Name]) -> list[str]:
    return [_key(name), name[1]] if name in owners else [_key(name)]


def _read_trades(slice_: Slice, batch: Batch) -> None:
    """The newest trade of each market, without an object a trade."""
    kept = np.flatnonzero(slice_.kept(Trade))
    if not kept.size:
        return
    columns = slice_.columns
    venues, symbols = slice_.codes(Trade, "venue")[kept], slice_.codes(Trade, "symbol")[kept]
    times = columns.column(Trade, "event_time")[kept]
    prices = columns.column(Trade, "price")[kept]
    order = np.argsort(times, kind="stable")[::-1]
    _, first = np.unique((venues << 32 | symbols)[order], return_index=True)
    dictionaries = columns.reader.dictionaries
    for row in order[first].tolist():
        name = (dictionaries["venue"].keys[venues[row]], dictionaries["symbol"].keys[symbols[row]])
        known = batch.prices.get(name)
        if known is None or known[1] <= times[row]:
            batch.prices[name] = (float(prices[row]), int(times[row]))
