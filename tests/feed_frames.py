"""Frames of a feed in tests, and what it says of them in short."""

import json
from typing import Any

from producers.exchange import Control, Stream
from producers.feed import Feed, Patience
from producers.markets import exchange_class
from producers.outputs import Ask, BookGap, Output, Refusal, Repeat
from producers.resumed import Resumed
from schemas.records import BookUpdate, Gap, Quote, TimeMark, Trade

T0_MS = 1_723_161_255_000
DAY_MS = 86_400_000
MARKET = exchange_class("binance", "spot")
INSTRUMENTS = [found for name in ("BTCUSDT", "ETHUSDT") if (found := MARKET.guess(name)) is not None]


def feed(resumed: Resumed | None = None, idle_marks: bool = False) -> Feed:
    exchange = MARKET(INSTRUMENTS, ["trades", "quotes", "books"])
    return Feed(exchange, "binance-spot-0", "run", idle_marks, resumed, Patience(30.0, 60.0))


def streams(fed: Feed, channel: str, *symbols: str) -> list[Stream]:
    return [stream for stream in fed.exchange.streams(symbols or None) if stream.channel == channel]


def page(*numbers: int) -> bytes:
    """A page of past trades as the venue's REST interface answers it."""
    return json.dumps(
        [
            {"id": n, "price": "1.5", "qty": "2.0", "quoteQty": "3", "time": T0_MS + n, "isBuyerMaker": True}
            for n in numbers
        ]
    ).encode()


def delta(first: int, last: int, bid: str = "1.0") -> bytes:
    data = {"e": "depthUpdate", "E": T0_MS + last, "s": "BTCUSDT", "U": first, "u": last}
    levels = {"b": [[bid, "2.0"]], "a": []}
    return json.dumps(
        {"stream": "btcusdt@depth@100ms", "data": data | levels}, separators=(",", ":")
    ).encode()


def depth(last: int) -> bytes:
    """A book as the venue's REST interface answers it."""
    return json.dumps({"lastUpdateId": last, "bids": [["1.0", "5.0"]], "asks": [["1.1", "5.0"]]}).encode()


def trade(number: int, at_ms: int = 0, symbol: str = "BTCUSDT", **fields: Any) -> bytes:
    data = {"e": "trade", "s": symbol, "t": number, "p": "1.5", "q": "2.0", "T": T0_MS + at_ms, "m": True}
    return json.dumps(
        {"stream": f"{symbol.lower()}@trade", "data": data | fields}, separators=(",", ":")
    ).encode()


def quote(number: int, symbol: str = "BTCUSDT") -> bytes:
    data = {"u": number, "s": symbol, "b": "1.0", "B": "2.0", "a": "1.1", "A": "3.0"}
    return json.dumps(
        {"stream": f"{symbol.lower()}@bookTicker", "data": data}, separators=(",", ":")
    ).encode()


def run(fed: Feed, *frames: bytes, end: bool = False) -> list[Output]:
    outputs: list[Output] = []
    for frame in frames:
        fed.take(frame, 1, 0.0, outputs)
    if end:
        fed.end(outputs)
    return outputs


def told(outputs: list[Output]) -> list[tuple[Any, ...]]:
    """Outputs in short: (trade, id), (mark, ms after T0, final), (gap, first, last) ..."""
    short: list[tuple[Any, ...]] = []
    for output in outputs:
        match output:
            case Trade():
                short.append(("trade", output.sequence))
            case Quote():
                short.append(("quote", output.sequence))
            case TimeMark():
                short.append(("mark", output.time // 1000 - T0_MS, output.final))
            case Gap():
                short.append((output.status, output.first_sequence, output.last_sequence))
            case Ask():
                short.append(("ask", output.call.kind, output.call.first, output.call.last))
            case BookGap():
                gap = output.gap
                short.append(("book", gap.status, gap.first_sequence, gap.last_sequence))
            case BookUpdate():
                short.append((output.kind, output.first_sequence, output.last_sequence))
            case Refusal():
                short.append(("refused", output.error.reason))
            case Repeat(record=Trade() | Quote() as record):
                short.append(("repeat", record.sequence))
            case Control():
                short.append((output.kind, output.request))
    return short
