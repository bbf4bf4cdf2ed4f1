"""MEXC futures' answers by REST: https://www.mexc.com/api-docs/futures/market-endpoints."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from producers import validation
from producers.exchange import BadRecord, Call, CallKind, MarketRecord
from producers.exchanges.mexc import futures_messages as messages
from producers.exchanges.mexc import futures_records as records
from producers.exchanges.mexc.records import BY_STREAM, TradeIds, book_update
from producers.exchanges.mexc.rest import query_of
from schemas.records import ExchangeCandle, Instrument, InstrumentStatus, Micros

DETAIL: Final = "/api/v1/contract/detail"
DEPTH: Final = "/api/v1/contract/depth/"
DEALS: Final = "/api/v1/contract/deals/"
KLINE: Final = "/api/v1/contract/kline/"
TICKER: Final = "/api/v1/contract/ticker"

DETAIL_WEIGHT: Final = 50
"""Once in 5 s is allowed, where other calls are 20 in 2 s: as much as 50 of them."""

KINDS: Final[dict[str, CallKind]] = {DEPTH: "book", DEALS: "trades", KLINE: "candles"}
"""What is asked for by a path that ends in a contract's symbol."""

STATUSES: Final[dict[int, InstrumentStatus]] = {0: "trading", 1: "halted", 4: "halted"}
"""Enabled, in delivery, paused; the others, completed and offline, are off the market."""

PERPETUAL: Final = 1
"""The `futureType` that is read; the venue lists no other today."""


def instruments(body: bytes, receive_time: Micros) -> list[Instrument]:
    """What `contract/detail` lists of perpetuals.

    {"success":true,"code":0,"data":[{"symbol":"BTC_USDT","baseCoin":"BTC","quoteCoin":"USDT",
    "settleCoin":"USDT","contractSize":0.0001,"priceUnit":0.1,"volUnit":1,"state":0,"futureType":1}]}

    Raises:
        BadRecord: The body is not such an answer.
    """
    listed = validation.decoded(messages.CONTRACTS.decode, _data(body))
    return [
        records.contract(
            item.symbol,
            item.base_coin,
            item.quote_coin,
            item.settle_coin,
            status=STATUSES.get(item.state, "delisted"),
            tick_size=item.price_unit or None,
            # Lots of a contract that is worth so much in quote currency have no fixed size in base units.
            lot_size=validation.base_size(item.vol_unit, item.contract_size)
            if item.vol_unit and item.settle_coin != item.base_coin
            else None,
            multiplier=validation.size_number(item.contract_size),
            event_time=receive_time,
        )
        for item in (listed if isinstance(listed, list) else [listed])
        if item.future_type == PERPETUAL
    ]


def call(url: str, by_name: Mapping[str, Instrument]) -> Call | None:
    """What a URL asks for; None for what is not read, or about an instrument that is not among these.

    Args:
        url: With or without a host.
        by_name: Instruments by the venue's own symbol.
    """
    parts = urlsplit(url)
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    if parts.path == DETAIL:
        return Call("instruments", path, DETAIL_WEIGHT)
    if parts.path == TICKER:
        instrument = by_name.get(query_of(path, "symbol"))
        return Call("derivatives", path, 1, instrument.symbol) if instrument else None
    prefix, slash, name = parts.path.rpartition("/")
    kind, instrument = KINDS.get(prefix + slash), by_name.get(name)
    return Call(kind, path, 1, instrument.symbol) if kind and instrument else None


def read(call: Call, instrument: Instrument, body: bytes, receive_time: Micros) -> list[MarketRecord]:
    """The records in an answer.

    Raises:
        BadRecord: The body is not an answer to this call.
    """
    data = _data(body)
    if call.kind == "book":
        book = validation.decoded(messages.DEPTH.decode, data)
        return [
            book_update(
                instrument.symbol,
                "snapshot",
                (None, validation.sequence(book.version)),
                records.levels(book.bids, instrument),
                records.levels(book.asks, instrument),
                records.time_of(book.timestamp),
                receive_time,
            )
        ]
    if call.kind == "trades":
        deals = validation.decoded(messages.DEALS.decode, data)
        ids = TradeIds().frame(instrument.symbol)
        return [*records.trades(deals, instrument, receive_time, ids, backfilled=True)]
    if call.kind == "candles":
        return [*_candles(call, instrument, data, receive_time)]
    if call.kind == "derivatives":
        told = validation.decoded(messages.TICKER.decode, data)
        return [records.derivative_ticker(told, instrument, receive_time)]
    raise BadRecord("shape", f"no answers to {call.kind} are read")


def _candles(call: Call, instrument: Instrument, data: bytes, receive_time: Micros) -> list[ExchangeCandle]:
    interval = BY_STREAM.get(query_of(call.path, "interval") or "Min1")
    if interval is None:
        raise BadRecord("shape", f"no candles are read of {call.path}")
    told = validation.decoded(messages.KLINES.decode, data)
    columns = (
        told.time,
        told.real_open or told.open,
        told.real_high or told.high,
        told.real_low or told.low,
        told.real_close or told.close,
        told.vol,
        told.amount,
    )
    if len({len(column) for column in columns}) != 1:
        raise BadRecord("shape", "the columns of the candles differ in length")
    return [
        records.candle_of(instrument, interval, int(opens), prices, (volume, amount), None, receive_time)
        for opens, *prices, volume, amount in zip(*columns, strict=True)
    ]


def _data(body: bytes) -> bytes:
    answer = validation.decoded(messages.ANSWER.decode, body)
    if answer.success is False or (answer.code or 0) != 0:
        raise BadRecord("shape", f"the venue answers {answer.code}: {answer.message}")
    return bytes(answer.data) or body
