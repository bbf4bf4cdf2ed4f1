"""Captures of every venue from one seeded market: the same trades, quotes and books, as each words them."""

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from producers.capture import CaptureWriter
from producers.exchanges.mexc.messages import frame_of
from producers.simulator.prices import BookEvent, MarketEvent, QuoteEvent, TradeEvent
from tests.made_market import seeded_market

START_US: Final = 1_700_000_000_000_000
LATENCY_NS: Final = 20_000_000
BASES: Final = ("BTC", "ETH")

Frame = dict[str, Any] | bytes


class Made(NamedTuple):
    """How a venue's market words the events of the market.

    Attributes:
        unified: The unified symbol of a base asset.
        name: The venue's symbol of it.
        word: Frame of an event; None for what the venue does not say.
        book_url: Path and query of the REST snapshot of a symbol.
        snapshot: Its body, from the first change of the book.
    """

    unified: str
    name: str
    word: Callable[[MarketEvent], Frame | None]
    book_url: str
    snapshot: Callable[[BookEvent], dict[str, Any]]


def write_market(path: Path, venue: str, market: str, seconds: float = 40.0, rate: float = 12.0) -> Path:
    """Write a capture of two symbols of a venue's market.

    Args:
        path: Where to.
        venue: Name of the venue.
        market: Kind of market.
        seconds: Market time covered.
        rate: Trades a second of each symbol.
    """
    made = MADE[venue, market]
    symbols = [(f"{base}/USDT", made.name.format(base=base)) for base in BASES]
    snapped: set[str] = set()
    with CaptureWriter(path, {"venue": venue, "market": market, "source": "made"}) as writer:
        for event in _events(symbols, seconds, rate):
            frame = made.word(event)
            at_ns = event.time * 1_000 + LATENCY_NS
            if frame is not None:
                writer.write(
                    at_ns, frame if isinstance(frame, bytes) else json.dumps(frame, separators=(",", ":"))
                )
            if isinstance(event, BookEvent) and event.venue_symbol not in snapped:
                snapped.add(event.venue_symbol)
                url = "https://venue" + made.book_url.format(name=event.venue_symbol)
                writer.write_rest(at_ns, "GET", url, json.dumps(made.snapshot(event)).encode())
    return path


def _events(symbols: list[tuple[str, str]], seconds: float, rate: float) -> Iterator[MarketEvent]:
    end = START_US + int(seconds * 1_000_000)
    return itertools.takewhile(lambda event: event.time < end, seeded_market(symbols, 11, START_US, rate))


def _combined(stream: str, data: dict[str, Any]) -> dict[str, Any]:
    return {"stream": f"{data['s'].lower()}@{stream}", "data": data}


def _binance_spot(event: MarketEvent) -> Frame:
    ms, name = event.time // 1_000, event.venue_symbol
    if isinstance(event, TradeEvent):
        fields = {"t": event.trade_id, "p": event.price, "q": event.size, "T": ms, "m": event.buyer_is_maker}
        return _combined("trade", {"e": "trade", "E": ms, "s": name, **fields, "M": True})
    if isinstance(event, QuoteEvent):
        sides = {"b": event.bid, "B": event.bid_size, "a": event.ask, "A": event.ask_size}
        return _combined("bookTicker", {"u": event.update_id, "s": name, **sides})
    ids = {"U": event.first_id, "u": event.last_id}
    change = {"e": "depthUpdate", "E": ms, "s": name, **ids, "b": event.bids, "a": event.asks}
    return _combined("depth@100ms", change)


def _binance_usdm(event: MarketEvent) -> Frame:
    frame = _binance_spot(event)
    assert isinstance(frame, dict)
    ms, data = event.time // 1_000, frame["data"]
    if isinstance(event, TradeEvent):
        data["X"] = "MARKET"
        del data["M"]
    elif isinstance(event, QuoteEvent):
        data |= {"e": "bookTicker", "T": ms, "E": ms}
    else:
        data |= {"T": ms, "pu": event.first_id - 1}
        frame["stream"] = frame["stream"].replace("@100ms", "@0ms")
    return frame


def _gate(channel: str, ms: int, result: Any) -> dict[str, Any]:
    return {"time": ms // 1_000, "time_ms": ms, "channel": channel, "event": "update", "result": result}


def _gate_spot(event: MarketEvent) -> Frame:
    ms, name = event.time // 1_000, event.venue_symbol
    if isinstance(event, TradeEvent):
        result: dict[str, Any] = {
            "id": event.trade_id,
            "id_market": event.trade_id,
            "create_time": ms // 1_000,
            "create_time_ms": f"{ms}.5",
            "side": "sell" if event.buyer_is_maker else "buy",
            "currency_pair": name,
            "amount": event.size,
            "price": event.price,
            "range": f"{event.trade_id}-{event.trade_id}",
        }
        return _gate("spot.trades", ms, result)
    if isinstance(event, QuoteEvent):
        sides = {"b": event.bid, "B": event.bid_size, "a": event.ask, "A": event.ask_size}
        return _gate("spot.book_ticker", ms, {"t": ms, "u": event.update_id, "s": name, **sides})
    change = {
        "t": ms,
        "e": "depthUpdate",
        "E": ms // 1_000,
        "s": name,
        "U": event.first_id,
        "u": event.last_id,
    }
    return _gate("spot.order_book_update", ms, {**change, "b": event.bids, "a": event.asks})


def _contracts(size: str) -> int:
    """A size of the market as a number of contracts."""
    return round(float(size) * 10_000)


def _gate_futures(event: MarketEvent) -> Frame:
    ms, name = event.time // 1_000, event.venue_symbol
    if isinstance(event, TradeEvent):
        size = max(1, _contracts(event.size)) * (-1 if event.buyer_is_maker else 1)
        result = {
            "size": size,
            "id": event.trade_id,
            "create_time": ms // 1_000,
            "create_time_ms": ms,
            "price": event.price,
            "contract": name,
        }
        return _gate("futures.trades", ms, [result])
    if isinstance(event, QuoteEvent):
        sizes = {"B": _contracts(event.bid_size), "A": _contracts(event.ask_size)}
        quote = {"t": ms, "u": event.update_id, "s": name, "b": event.bid, "a": event.ask, **sizes}
        return _gate("futures.book_ticker", ms, quote)
    change = {"t": ms, "s": name, "U": event.first_id, "u": event.last_id}
    return _gate(
        "futures.order_book_update",
        ms,
        {**change, "b": _contract_levels(event.bids), "a": _contract_levels(event.asks)},
    )


def _contract_levels(levels: list[tuple[str, str]]) -> list[dict[str, Any]]:
    return [{"p": price, "s": _contracts(size)} for price, size in levels]


def _mexc_spot(event: MarketEvent) -> Frame:
    ms, name = event.time // 1_000, event.venue_symbol
    kind = {TradeEvent: "deals", QuoteEvent: "bookTicker", BookEvent: "depth"}[type(event)]
    push: dict[str, Any] = {
        "channel": f"spot@public.aggre.{kind}.v3.api.pb@100ms@{name}",
        "symbol": name,
        "sendTime": ms,
    }
    if isinstance(event, TradeEvent):
        deal = {"price": event.price, "quantity": event.size, "tradeType": 1 + event.buyer_is_maker}
        deal |= {"time": ms, "tradeId": str(event.trade_id)}
        push["publicAggreDeals"] = {"deals": [deal], "eventType": "spot@public.aggre.deals.v3.api.pb@100ms"}
    elif isinstance(event, QuoteEvent):
        push["publicAggreBookTicker"] = {
            "bidPrice": event.bid,
            "bidQuantity": event.bid_size,
            "askPrice": event.ask,
            "askQuantity": event.ask_size,
            "version": str(event.update_id),
        }
    else:
        sides = {
            side: [{"price": price, "quantity": size} for price, size in levels]
            for side, levels in (("bids", event.bids), ("asks", event.asks))
        }
        versions = {"fromVersion": str(event.first_id), "toVersion": str(event.last_id)}
        push["publicAggreDepths"] = {**sides, **versions}
    return frame_of(push)


def _mexc_futures(event: MarketEvent) -> Frame:
    ms, name = event.time // 1_000, event.venue_symbol
    if isinstance(event, TradeEvent):
        size = max(1, _contracts(event.size))
        data: Any = [
            {"p": float(event.price), "v": size, "T": 1 + event.buyer_is_maker, "O": 3, "M": 1, "t": ms}
            | {"i": str(event.trade_id)}
        ]
        subject = "deal"
    elif isinstance(event, QuoteEvent):
        bid = [float(event.bid), _contracts(event.bid_size), 1]
        ask = [float(event.ask), _contracts(event.ask_size), 1]
        data, subject = {"asks": [ask], "bids": [bid], "version": event.update_id, "cts": ms}, "depth.full"
    else:
        versions = {"begin": event.first_id, "end": event.last_id, "version": event.last_id}
        data, subject = {**_mexc_sides(event), **versions, "cts": ms}, "depth"
    return {"channel": f"push.{subject}", "symbol": name, "data": data, "ts": ms}


def _mexc_sides(event: BookEvent) -> dict[str, Any]:
    return {
        side: [[float(price), _contracts(size), 1] for price, size in levels]
        for side, levels in (("asks", event.asks), ("bids", event.bids))
    }


def _mexc_contract_book(event: BookEvent) -> dict[str, Any]:
    book = {**_mexc_sides(event), "version": event.last_id, "timestamp": event.time // 1_000}
    return {"success": True, "code": 0, "data": book}


def _numbered(event: BookEvent) -> dict[str, Any]:
    return {"lastUpdateId": event.last_id, "bids": event.bids, "asks": event.asks}


def _gate_book(event: BookEvent) -> dict[str, Any]:
    ms = event.time // 1_000
    return {"id": event.last_id, "current": ms, "update": ms, "asks": event.asks, "bids": event.bids}


def _gate_contract_book(event: BookEvent) -> dict[str, Any]:
    sides = {"asks": _contract_levels(event.asks), "bids": _contract_levels(event.bids)}
    return _gate_book(event) | {"current": event.time / 1e6, "update": event.time / 1e6} | sides


MADE: Final[dict[tuple[str, str], Made]] = {
    ("binance", "spot"): Made(
        "{base}/USDT", "{base}USDT", _binance_spot, "/api/v3/depth?symbol={name}&limit=1000", _numbered
    ),
    ("binanceus", "spot"): Made(
        "{base}/USDT", "{base}USDT", _binance_spot, "/api/v3/depth?symbol={name}&limit=1000", _numbered
    ),
    ("binance", "usdm"): Made(
        "{base}/USDT:USDT", "{base}USDT", _binance_usdm, "/fapi/v1/depth?symbol={name}&limit=1000", _numbered
    ),
    ("gateio", "spot"): Made(
        "{base}/USDT",
        "{base}_USDT",
        _gate_spot,
        "/api/v4/spot/order_book?currency_pair={name}&limit=1000&with_id=true",
        _gate_book,
    ),
    ("gateio", "futures"): Made(
        "{base}/USDT:USDT",
        "{base}_USDT",
        _gate_futures,
        "/api/v4/futures/usdt/order_book?contract={name}&limit=300&with_id=true",
        _gate_contract_book,
    ),
    ("mexc", "spot"): Made(
        "{base}/USDT", "{base}USDT", _mexc_spot, "/api/v3/depth?symbol={name}&limit=1000", _numbered
    ),
    ("mexc", "futures"): Made(
        "{base}/USDT:USDT",
        "{base}_USDT",
        _mexc_futures,
        "/api/v1/contract/depth/{name}",
        _mexc_contract_book,
    ),
}
"""By venue and market."""
