"""What a method of ccxt returns, as JSON: cut down to what is read, as frames and answers have it."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from producers.ccxt_feed.structures import (
    UnifiedFunding,
    UnifiedLiquidation,
    UnifiedTicker,
    UnifiedTrade,
)
from producers.exchange import Channel

DEPTH: Final = 50
"""Levels of a side that are kept of a book: each message brings all of them again."""

TICK_SIZE: Final = 4
DECIMAL_PLACES: Final = 2
"""How a venue of ccxt may give the steps of prices and amounts."""

_FIELDS: Final[Mapping[Channel, tuple[str, ...]]] = {
    "trades": UnifiedTrade.__struct_fields__,
    "quotes": UnifiedTicker.__struct_fields__,
    "tickers": UnifiedTicker.__struct_fields__,
    "derivatives": UnifiedFunding.__struct_fields__,
    "liquidations": UnifiedLiquidation.__struct_fields__,
}


def encoded(channel: Channel, result: Any, symbol: str) -> bytes | None:
    """The JSON of a result.

    Args:
        channel: What it holds.
        result: As ccxt returns it; tickers may come in a mapping of symbols.
        symbol: Whose it is to be.

    Returns:
        None if it has nothing of the symbol.
    """
    if channel == "books":
        return msgspec.json.encode(_book(result))
    if channel == "candles":
        return msgspec.json.encode([list(row) for row in result]) if result else None
    fields = _FIELDS[channel]
    if isinstance(result, Mapping):
        row = result if "symbol" in result else result.get(symbol)
        return None if row is None else msgspec.json.encode(_cut(row, fields))
    rows = [_cut(row, fields) for row in result]
    return msgspec.json.encode(rows) if rows else None


def encoded_markets(markets: Iterable[Mapping[str, Any]], precision_mode: int) -> bytes:
    """The JSON of a list of markets, with their steps as numbers."""
    return msgspec.json.encode([_market(market, precision_mode) for market in markets])


def _market(market: Mapping[str, Any], precision_mode: int) -> dict[str, Any]:
    precision = market.get("precision") or {}
    cost = (market.get("limits") or {}).get("cost") or {}
    return {
        "id": str(market["id"]),
        "symbol": market["symbol"],
        "base": market["base"],
        "quote": market["quote"],
        "settle": market.get("settle"),
        "type": market.get("type") or "spot",
        "active": market.get("active"),
        "linear": market.get("linear"),
        "inverse": market.get("inverse"),
        "contract_size": market.get("contractSize"),
        "tick_size": _step(precision.get("price"), precision_mode),
        "lot_size": _step(precision.get("amount"), precision_mode),
        "min_notional": cost.get("min"),
    }


def _step(precision: Any, mode: int) -> Any:
    if precision is None or mode == TICK_SIZE:
        return precision
    return float(f"1e{-int(precision)}") if mode == DECIMAL_PLACES else None


def _book(book: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "bids": [[level[0], level[1]] for level in book["bids"][:DEPTH]],
        "asks": [[level[0], level[1]] for level in book["asks"][:DEPTH]],
        "timestamp": book.get("timestamp"),
        "nonce": book.get("nonce"),
        "symbol": book.get("symbol"),
    }


def _cut(row: Mapping[str, Any], fields: Iterable[str]) -> dict[str, Any]:
    return {name: value for name in fields if (value := row.get(name)) is not None}
