"""ccxt's unified structures, as far as they are read: the shapes of what frames and answers hold."""

from typing import TypeAlias

import msgspec

Number: TypeAlias = float | int | str
"""ccxt gives numbers as it pleases, and nothing where a venue is silent."""


class Market(msgspec.Struct):
    """A market, as `calls` takes it from ccxt; steps as numbers, whatever the venue's way to give them."""

    id: str
    symbol: str
    base: str
    quote: str
    settle: str | None = None
    type: str = "spot"
    active: bool | None = None
    linear: bool | None = None
    inverse: bool | None = None
    contract_size: Number | None = None
    tick_size: Number | None = None
    lot_size: Number | None = None
    min_notional: Number | None = None


class UnifiedTrade(msgspec.Struct):
    """A trade structure."""

    price: Number | None = None
    amount: Number | None = None
    timestamp: Number | None = None
    id: str | int | None = None
    side: str | None = None
    symbol: str | None = None


class UnifiedTicker(msgspec.Struct):
    """A ticker structure, one of `watchBidsAsks` too."""

    timestamp: Number | None = None
    symbol: str | None = None
    last: Number | None = None
    close: Number | None = None
    bid: Number | None = None
    bidVolume: Number | None = None  # noqa: N815 - ccxt's name
    ask: Number | None = None
    askVolume: Number | None = None  # noqa: N815
    open: Number | None = None
    high: Number | None = None
    low: Number | None = None
    baseVolume: Number | None = None  # noqa: N815
    quoteVolume: Number | None = None  # noqa: N815
    change: Number | None = None
    percentage: Number | None = None
    markPrice: Number | None = None  # noqa: N815
    indexPrice: Number | None = None  # noqa: N815


class UnifiedFunding(msgspec.Struct):
    """A funding rate structure, or a ticker of `watchMarkPrice`."""

    timestamp: Number | None = None
    symbol: str | None = None
    markPrice: Number | None = None  # noqa: N815 - ccxt's name
    indexPrice: Number | None = None  # noqa: N815
    fundingRate: Number | None = None  # noqa: N815
    fundingTimestamp: Number | None = None  # noqa: N815
    nextFundingTimestamp: Number | None = None  # noqa: N815


class UnifiedBook(msgspec.Struct):
    """An order book structure; levels may carry more than price and size."""

    bids: list[list[Number | None]]
    asks: list[list[Number | None]]
    timestamp: Number | None = None
    nonce: Number | None = None
    symbol: str | None = None


class UnifiedLiquidation(msgspec.Struct):
    """A liquidation structure."""

    contracts: Number | None = None
    price: Number | None = None
    timestamp: Number | None = None
    side: str | None = None
    symbol: str | None = None


UnifiedCandle: TypeAlias = list[Number | None]
