"""Names of the keys: what a client of Redis may rely on.

A market stands under `venue:symbol`, and under the bare symbol for the venue that comes first in the setting
`venue_priority` of those that are alive.
"""

from __future__ import annotations

import re


def position(topic: str, partition: int) -> str:
    """Text: how far a partition is read, as the topic's id and an offset."""
    return f"kandle:position:{topic}:{partition}"


def ticker(market: str) -> str:
    """Hash: price, volume, change, timestamp and what else the venue tells of the last 24 hours."""
    return f"market:tickers:{market}"


def candles(market: str, interval: str) -> str:
    """List of arrays, oldest first: time, open, high, low, close, volume."""
    return f"market:ohlcv:{market}:{interval}"


def bids(market: str) -> str:
    """Sorted set: score is the price, member is `price:size`."""
    return f"market:orderbook:{market}:bids"


def asks(market: str) -> str:
    """Sorted set: score is the price, member is `price:size`."""
    return f"market:orderbook:{market}:asks"


def indicators(market: str, interval: str) -> str:
    """Hash: values by name, as sma20, and timestamp."""
    return f"analysis:indicators:{market}:{interval}"


def signals(market: str) -> str:
    """List of objects, oldest first."""
    return f"analysis:signals:{market}"


def venue(symbol: str) -> str:
    """Text: whose figures stand under the bare symbol."""
    return f"market:venue:{symbol}"


def subscribers(symbol: str) -> str:
    """Set of users who follow a symbol."""
    return f"subscriptions:market:{symbol}"


def subscriptions(user: str) -> str:
    """Set of symbols that a user follows."""
    return f"subscriptions:user:{user}"


def events(kind: str) -> str:
    """Stream of the events of a type."""
    return f"events:{kind}"


def indicator_field(name: str) -> str:
    """An indicator's name as a field: `sma_20` is sma20, `macd_12_26_9.signal` is macd12_26_9.signal."""
    return re.sub(r"_(?=\d)", "", name, count=1)
