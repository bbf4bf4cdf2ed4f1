"""What is known of one market, and what of it changes with a record."""

from __future__ import annotations

import enum
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from schemas.records import Candle, IndicatorValue, Micros, Signal, Ticker

Candles = list[tuple[Micros, str]]
"""Open times and items, oldest first."""


class Taken(enum.Enum):
    """What a record did to a list."""

    NOTHING = enum.auto()
    APPENDED = enum.auto()
    CHANGED = enum.auto()


@dataclass(slots=True)
class Market:
    """One market as the store has it: loaded from there, then kept in step.

    Attributes:
        price_time: Event time of the price in the ticker, µs; -1: none.
        figures_time: Event time of the figures of 24 hours in it, µs; -1: none.
        candles: By interval.
        indicator_floors: Open time of the values in the store, by interval.
        indicator_times: Open time, and revision, of the newest value by (interval, name).
        signals: Ids and items, oldest first.
    """

    price_time: Micros = -1
    figures_time: Micros = -1
    candles: dict[str, Candles] = field(default_factory=dict)
    indicator_floors: dict[str, Micros] = field(default_factory=dict)
    indicator_times: dict[tuple[str, str], tuple[Micros, int]] = field(default_factory=dict)
    signals: list[tuple[str, str]] = field(default_factory=list)

    def price(self, price: float, at: Micros) -> dict[str, str]:
        """Fields of the ticker that a trade changes; none if a newer price is known."""
        if at < self.price_time:
            return {}
        self.price_time = at
        return {"price": repr(price), "timestamp": str(milliseconds(at))}

    def figures(self, ticker: Ticker) -> dict[str, str]:
        """Fields that a ticker changes."""
        fields = self.price(ticker.last, ticker.event_time)
        if ticker.event_time < self.figures_time:
            return fields
        self.figures_time = ticker.event_time
        told = {
            "volume": ticker.base_volume,
            "change": ticker.change,
            "change_percent": ticker.change_percent,
            "quote_volume": ticker.quote_volume,
            "bid": ticker.bid,
            "ask": ticker.ask,
            "open": ticker.open,
            "high": ticker.high,
            "low": ticker.low,
        }
        return fields | {name: repr(value) for name, value in told.items() if value is not None}

    def candle(self, candle: Candle, most: int) -> Taken:
        """Take a candle into the list of its interval, which holds the newest `most`."""
        kept = self.candles.setdefault(candle.interval, [])
        item = candle_item(candle)
        place = bisect_left(kept, (candle.open_time, ""))
        if place < len(kept) and kept[place][0] == candle.open_time:
            if kept[place][1] == item:
                return Taken.NOTHING
            kept[place] = (candle.open_time, item)
            return Taken.CHANGED
        if place == 0 and len(kept) >= most:
            return Taken.NOTHING
        appended = place == len(kept)
        kept.insert(place, (candle.open_time, item))
        del kept[:-most]
        return Taken.APPENDED if appended else Taken.CHANGED

    def is_newest(self, value: IndicatorValue) -> bool:
        """Take note of an indicator's value; false if a newer one is known."""
        key = (value.interval, value.name)
        stamp = (value.open_time, value.revision)
        if stamp < self.indicator_times.get(key, (self.indicator_floors.get(value.interval, -1), -1)):
            return False
        self.indicator_times[key] = stamp
        return True

    def signal(self, signal: Signal, most: int) -> str | None:
        """Take a signal; its item, or None if it is known."""
        if any(id_ == signal.id for id_, _ in self.signals):
            return None
        item = signal_item(signal)
        self.signals.append((signal.id, item))
        del self.signals[:-most]
        return item


def milliseconds(at: Micros) -> int:
    """Milliseconds since the epoch: the times of this store, as clients of exchanges know them."""
    return at // 1000


def candle_item(candle: Candle) -> str:
    """A candle as ccxt writes it: [ms, open, high, low, close, volume]."""
    figures = (candle.open, candle.high, candle.low, candle.close, candle.volume)
    return msgspec.json.encode((milliseconds(candle.open_time), *figures)).decode()


def signal_item(signal: Signal) -> str:
    """A signal as an object; what is not a number is a text, as JSON has no infinities."""
    return msgspec.json.encode(
        {
            "id": signal.id,
            "venue": signal.venue,
            "symbol": signal.symbol,
            "interval": signal.interval,
            "rule": signal.rule,
            "direction": signal.direction,
            "strength": signal.strength,
            "complete": signal.complete,
            "timestamp": milliseconds(signal.event_time),
        }
    ).decode()


def loaded_candles(items: Iterable[str]) -> Candles:
    """What a list in the store says."""
    return [(msgspec.json.decode(item)[0] * 1000, item) for item in items]


def loaded_signals(items: Iterable[str]) -> list[tuple[str, str]]:
    """What a list in the store says."""
    return [(msgspec.json.decode(item)["id"], item) for item in items]
