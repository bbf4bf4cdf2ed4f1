"""MEXC spot's answers by REST: https://www.mexc.com/api-docs/spot-v3/market-data-endpoints."""

from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import parse_qs, urlsplit

import msgspec

from producers import validation
from producers.exchange import BadRecord, Call, CallKind
from producers.exchanges.mexc.records import BY_REST, TradeIds, book_update, candle, oldest_first, spot_trade
from schemas.records import (
    BookUpdate,
    ExchangeCandle,
    Instrument,
    InstrumentStatus,
    Micros,
    Trade,
)

CALLS: Final[dict[str, tuple[CallKind, int]]] = {
    "/api/v3/exchangeInfo": ("instruments", 10),
    "/api/v3/depth": ("book", 1),
    "/api/v3/trades": ("trades", 5),
    "/api/v3/klines": ("candles", 1),
}
"""What is asked for by a path, and its weight: 500 in 10 s for each path and address."""

QUOTE_ASSETS: Final = "USDT USDC USD1 USDE USDF FDUSD TUSD BTC ETH MX EUR BRL TRY"
"""Assets that prices are quoted in: what ends a symbol such as BTCUSDT where no instrument list says it."""

PRECISION_MAX: Final = 18
"""Decimal places that a market may have."""

STATUSES: Final[dict[str, InstrumentStatus]] = {"1": "trading", "ENABLED": "trading", "2": "halted"}
"""What a symbol's status says; anything else is off the market."""


class _Symbol(msgspec.Struct, rename="camel"):
    symbol: str
    base_asset: str
    quote_asset: str
    status: str | int = ""
    base_asset_precision: int | None = None
    quote_asset_precision: int | None = None
    quote_amount_precision: str | None = None


class _ExchangeInfo(msgspec.Struct):
    symbols: list[_Symbol]


class _Book(msgspec.Struct, rename="camel"):
    last_update_id: int
    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]
    timestamp: int | None = None


class _Trade(msgspec.Struct, rename="camel"):
    price: str
    qty: str
    time: int
    is_buyer_maker: bool


_Kline = tuple[int, str, str, str, str, str, int, str]
"""Open time, open, high, low, close, volume, close time, quote volume."""

_EXCHANGE_INFO: Final = msgspec.json.Decoder(_ExchangeInfo, strict=False)
_BOOK: Final = msgspec.json.Decoder(_Book)
_TRADES: Final = msgspec.json.Decoder(list[_Trade], strict=False)
_KLINES: Final = msgspec.json.Decoder(list[_Kline])


def spot_call(url: str, by_name: Mapping[str, Instrument]) -> Call | None:
    """What a URL asks for; None for what is not read, or about an instrument that is not among these.

    Args:
        url: With or without a host.
        by_name: Instruments by the venue's own symbol.
    """
    parts = urlsplit(url)
    found = CALLS.get(parts.path)
    if found is None:
        return None
    kind, weight = found
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    if kind == "instruments":
        return Call(kind, path, weight)
    instrument = by_name.get(query_of(path, "symbol"))
    return Call(kind, path, weight, instrument.symbol) if instrument else None


def query_of(path: str, name: str) -> str:
    """A parameter in the query of a path; empty where it has none."""
    return parse_qs(urlsplit(path).query).get(name, [""])[0]


def spot_guess(venue_symbol: str) -> Instrument | None:
    """The instrument of a symbol by the longest asset at its end; None where none is known."""
    endings = [asset for asset in QUOTE_ASSETS.split() if venue_symbol.endswith(asset)]
    quote = max(endings, key=len, default=venue_symbol)
    base = venue_symbol.removesuffix(quote)
    if not base:
        return None
    name = f"{base}/{quote}"
    return Instrument("mexc", name, venue_symbol, base, quote, "spot", "trading", None, None, None, 1.0, 0)


def spot_instruments(body: bytes, receive_time: Micros) -> list[Instrument]:
    """What `exchangeInfo` lists.

    {"symbols":[{"symbol":"BTCUSDT","status":"1","baseAsset":"BTC","baseAssetPrecision":8,
    "quoteAsset":"USDT","quotePrecision":2,"quoteAssetPrecision":2,"quoteAmountPrecision":"1",
    "baseSizePrecision":"0.000001","permissions":["SPOT"]}]}

    Raises:
        BadRecord: The body is not such an answer.
    """
    return [
        Instrument(
            venue="mexc",
            symbol=f"{item.base_asset}/{item.quote_asset}",
            venue_symbol=item.symbol,
            base=item.base_asset,
            quote=item.quote_asset,
            kind="spot",
            status=STATUSES.get(str(item.status), "delisted"),
            tick_size=_step(item.quote_asset_precision),
            lot_size=_step(item.base_asset_precision),
            min_notional=validation.size(item.quote_amount_precision)
            if item.quote_amount_precision
            else None,
            multiplier=1.0,
            event_time=receive_time,
        )
        for item in validation.decoded(_EXCHANGE_INFO.decode, body).symbols
    ]


def spot_book(symbol: str, body: bytes, receive_time: Micros) -> BookUpdate:
    """The book at a version.

    {"lastUpdateId":74891313262,"bids":[["62383.56","0.07956651"]],"asks":[["62383.57","0.09556"]],
    "timestamp":1782208005000}

    Raises:
        BadRecord: The body is not such an answer.
    """
    book = validation.decoded(_BOOK.decode, body)
    version = validation.sequence(book.last_update_id)
    bids, asks = validation.levels(book.bids), validation.levels(book.asks)
    event_time = validation.micros(book.timestamp) if book.timestamp else None
    return book_update(symbol, "snapshot", (None, version), bids, asks, event_time, receive_time)


def spot_trades(symbol: str, body: bytes, receive_time: Micros) -> list[Trade]:
    """The newest trades, oldest first.

    [{"id":null,"price":"77234.92","qty":"0.1","quoteQty":"7723.492","time":1789251246575,
    "isBuyerMaker":true,"isBestMatch":true,"tradeType":"ASK"}]

    Raises:
        BadRecord: The body is not such an answer.
    """
    rows = validation.decoded(_TRADES.decode, body)
    ids = TradeIds().frame(symbol)
    return [
        spot_trade(
            symbol,
            row.price,
            row.qty,
            "sell" if row.is_buyer_maker else "buy",
            row.time,
            receive_time,
            ids,
            backfilled=True,
        )
        for row in oldest_first(rows, [row.time for row in rows])
    ]


def spot_candles(call: Call, body: bytes, receive_time: Micros) -> Iterator[ExchangeCandle]:
    """Candles of an interval, the last one open.

    [[1640804880000,"47482.36","47482.36","47416.57","47436.1","3.550717",1640804940000,"168387.3"]]

    Raises:
        BadRecord: The body is not such an answer.
    """
    interval = BY_REST.get(query_of(call.path, "interval"))
    if interval is None:
        raise BadRecord("shape", f"no candles are read of {call.path}")
    for opens, open_, high, low, close, volume, closes, amount in validation.decoded(_KLINES.decode, body):
        yield candle(
            call.symbol,
            interval.name,
            (validation.micros(opens), validation.micros(closes)),
            [validation.positive_price(text) for text in (open_, high, low, close)],
            (validation.size(volume), validation.size(amount)),
            None,
            receive_time,
        )


def _step(places: int | None) -> float | None:
    if places is None or not 0 <= places <= PRECISION_MAX:
        return None
    return float(f"1e-{places}")
