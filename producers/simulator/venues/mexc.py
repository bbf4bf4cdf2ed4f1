"""MEXC spot v3, the server's side: requests and answers as JSON, market data as protobuf.

Wire: https://www.mexc.com/api-docs/spot-v3/websocket-market-streams. The declared layout of the messages is
shared with the reading side; everything else is not.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Final
from urllib.parse import parse_qsl, urlsplit

import msgspec

from producers import protobuf
from producers.exchange import BadRecord, Channel
from producers.exchanges.mexc.messages import ChannelOnly, Deal, Level, Push
from producers.simulator.figures import Execution
from producers.simulator.ledger import SimulatedBook, Tape
from producers.simulator.venue import Client, Reply, RestError, SimulatedVenue, limit_of
from producers.simulator.venues import mexc_figures as figures

CHANNELS: Final[dict[str, Channel]] = {
    "aggre.deals": "trades",
    "aggre.bookTicker": "quotes",
    "aggre.depth": "books",
    "miniTicker": "tickers",
    "kline": "candles",
}
STREAMS_MAX: Final = 30
"""Streams of one connection."""

_NAME: Final = re.compile(r"spot@public\.(?P<kind>[A-Za-z.]+)\.v3\.api\.pb@(?:\d+ms@)?(?P<symbol>[^@]+).*")
_PACE: Final = re.compile(r"@\d+ms(?=@)")


class _Request(msgspec.Struct):
    method: str = ""
    id: int | None = None
    params: list[str] = []


class _Snapshot(msgspec.Struct):
    lastUpdateId: int  # noqa: N815 - the venue's name
    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]


_REQUEST = msgspec.json.Decoder(_Request)
_SNAPSHOT = msgspec.json.Decoder(_Snapshot)
_JSON_PUSH = msgspec.json.Decoder(Push, strict=False)


class MexcClient(Client):
    """A connection to `/ws`.

    Args:
        symbols: The venue's symbols.
    """

    def __init__(self, symbols: Iterable[str]) -> None:
        super().__init__()
        self._symbols = frozenset(symbols)

    def answer(self, message: str | bytes, now_ms: int) -> list[str]:
        """See `Client.answer`; what is refused is told in words, with code 0."""
        try:
            request = _REQUEST.decode(message)
        except msgspec.MsgspecError:
            return [_answer(None, "msg error")]
        match request.method:
            case "PING":
                return [_answer(request, "PONG")]
            case "UNSUBSCRIPTION":
                for name in request.params:
                    self.streams.pop(key_of(name), None)
                return [_answer(request, ",".join(request.params))]
            case "SUBSCRIPTION":
                return [self._subscribe(request)]
            case _:
                return [_answer(request, f"unknown method {request.method}")]

    def refuse(self, message: str | bytes, now_ms: int) -> list[str]:
        """See `Client.refuse`."""
        request = _REQUEST.decode(message)
        return [_refusal(request, request.params, "Blocked!")]

    def is_subscription(self, message: str | bytes) -> bool:
        """See `Client.is_subscription`."""
        try:
            return _REQUEST.decode(message).method == "SUBSCRIPTION"
        except msgspec.MsgspecError:
            return False

    def _subscribe(self, request: _Request) -> str:
        wrong = [name for name in request.params if not self._exists(name)]
        if wrong:
            return _refusal(request, wrong, "Blocked!")
        keys = {key_of(name): name for name in request.params}
        if len(self.streams | keys) > STREAMS_MAX:
            return _refusal(request, request.params, "exceed maximum subscription limit")
        self.streams |= keys
        return _answer(request, ",".join(request.params))

    def _exists(self, name: str) -> bool:
        found = _NAME.fullmatch(name)
        return found is not None and found["kind"] in CHANNELS and found["symbol"] in self._symbols


class MexcSpotSimulated(SimulatedVenue):
    """Spot: `/ws` and `/api/v3`; trades by REST are the newest, and have no ids."""

    venue: ClassVar[str] = "mexc"
    market: ClassVar[str] = "spot"
    weight_per_minute: ClassVar[int] = 3_000
    binary: ClassVar[bool] = True
    base: ClassVar[str] = "/api/v3"
    weights: ClassVar[Mapping[str, int]] = {"exchangeInfo": 10, "trades": 5}

    def __init__(self, symbols: Mapping[str, str]) -> None:
        super().__init__(symbols)
        self._names = frozenset(self.symbols.values())
        self._listed: bytes | None = None
        self._trades: dict[str, Tape[Deal]] = {}
        self._books: dict[str, SimulatedBook] = {}
        self._count = 0

    # the wire

    def client(self, path: str) -> MexcClient:
        """See `SimulatedVenue.client`."""
        if urlsplit(path).path.rstrip("/") not in {"/ws", ""}:
            raise ValueError(f"expected the path /ws, got {path}")
        return MexcClient(self._names)

    def split(self, frame: bytes, binary: bool) -> tuple[str, bytes] | None:
        """See `SimulatedVenue.split`; recorders write frames in protobuf's JSON form as well."""
        try:
            if frame.startswith(b"{"):
                channel = _JSON_PUSH.decode(frame).channel
            else:
                channel = protobuf.decode(ChannelOnly, frame).channel
        except (BadRecord, msgspec.MsgspecError, UnicodeDecodeError):
            return None
        return (key_of(channel), frame) if channel.startswith("spot@") else None

    def channel_of(self, stream: str) -> tuple[Channel, str] | None:
        """See `SimulatedVenue.channel_of`."""
        found = _NAME.fullmatch(stream)
        channel = CHANNELS.get(found["kind"]) if found is not None else None
        return (channel, found["symbol"]) if found is not None and channel is not None else None

    # what happens

    def observe(self, stream: str, data: bytes) -> None:
        """See `SimulatedVenue.observe`."""
        found = self.channel_of(stream)
        if found is None or found[0] not in {"trades", "books"}:
            return
        symbol = found[1]
        try:
            push = _JSON_PUSH.decode(data) if data.startswith(b"{") else protobuf.decode(Push, data)
            deals, depths = push.public_aggre_deals, push.public_aggre_depths
            for deal in deals.deals if deals is not None else ():
                self._count += 1
                self._trades.setdefault(symbol, Tape()).add(self._count, deal)
            if depths is not None:
                book = self._books.setdefault(symbol, SimulatedBook())
                book.change(int(depths.to_version), _pairs(depths.bids), _pairs(depths.asks))
        except (BadRecord, msgspec.MsgspecError, ValueError):
            return

    def learn(self, url: str, body: bytes) -> None:
        """See `SimulatedVenue.learn`."""
        parts = urlsplit(url)
        if parts.path.endswith("/exchangeInfo"):
            self._listed = body
        elif parts.path.endswith("/depth"):
            symbol = dict(parse_qsl(parts.query)).get("symbol", "")
            try:
                snapshot = _SNAPSHOT.decode(body)
            except msgspec.MsgspecError:
                return
            book = self._books.setdefault(symbol, SimulatedBook())
            book.restart(snapshot.lastUpdateId, snapshot.bids, snapshot.asks)

    # REST

    def weight(self, path: str, query: Mapping[str, str]) -> int:
        """See `SimulatedVenue.weight`."""
        return self.weights.get(path.removeprefix(f"{self.base}/"), 1)

    def failure(self, status: int, retry_after_s: float) -> Reply:
        """See `SimulatedVenue.failure`."""
        if status in {418, 429}:
            refusal = _rest_error(429, "Too Many Requests")
            return Reply(status, refusal, {"Retry-After": f"{retry_after_s:.0f}"})
        return Reply(status, _rest_error(500, "Internal error"))

    def rest(self, path: str, query: Mapping[str, str], now_ms: int) -> Reply:
        """See `SimulatedVenue.rest`."""
        name = path.removeprefix(f"{self.base}/")
        symbol = query.get("symbol", "")
        body: Any
        if name == "ping":
            body = {}
        elif name == "time":
            body = {"serverTime": now_ms}
        elif name == "exchangeInfo":
            return Reply(200, self._listed or self._instruments(now_ms))
        elif name == "ticker/24hr" and "symbol" not in query:
            rows = (self._day(known, now_ms) for known in self._trades)
            body = [row for row in rows if row is not None]
        elif name not in {"depth", "trades", "ticker/24hr", "klines"}:
            raise RestError(404, _rest_error(404, f"no such path: {path}"))
        elif symbol not in self._names:
            raise RestError(400, _rest_error(-1121, "Invalid symbol."))
        elif name == "ticker/24hr":
            body = self._day(symbol, now_ms)
        elif name == "klines":
            body = figures.klines(self._executions(symbol), query)
            if body is None:
                raise RestError(400, _rest_error(-1120, "Invalid interval."))
        elif name == "depth":
            book, limit = self._books.get(symbol) or SimulatedBook(), limit_of(query, 100, 5_000)
            self.note_told(symbol, book)
            sides = {"bids": book.bids(limit), "asks": book.asks(limit)}
            body = {"lastUpdateId": book.last, **sides, "timestamp": now_ms}
        else:
            found = (self._trades.get(symbol) or Tape()).newest(limit_of(query, 500, 1_000))
            body = [_row(deal) for deal in reversed(found)]
        return Reply(200, msgspec.json.encode(body))

    def _executions(self, symbol: str) -> list[Execution]:
        return figures.spot_executions((self._trades.get(symbol) or Tape()).all())

    def _day(self, symbol: str, now_ms: int) -> dict[str, Any] | None:
        book = self._books.get(symbol) or SimulatedBook()
        return figures.spot_day(symbol, self._executions(symbol), book, now_ms)

    def _instruments(self, now_ms: int) -> bytes:
        listed = [_instrument(unified, name) for unified, name in self.symbols.items()]
        return msgspec.json.encode({"timezone": "CST", "serverTime": now_ms, "symbols": listed})


def key_of(name: str) -> str:
    """The key of a stream's name: paces are one stream here."""
    return _PACE.sub("", name)


def _instrument(unified: str, venue_symbol: str) -> dict[str, Any]:
    base, _, quote = unified.partition("/")
    return {
        "symbol": venue_symbol,
        "status": "1",
        "baseAsset": base,
        "baseAssetPrecision": 8,
        "quoteAsset": quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseSizePrecision": "0.00000001",
        "quoteAmountPrecision": "1",
        "isSpotTradingAllowed": True,
        "permissions": ["SPOT"],
    }


def _row(deal: Deal) -> dict[str, Any]:
    return {
        "id": None,
        "price": deal.price,
        "qty": deal.quantity,
        "quoteQty": f"{float(deal.price) * float(deal.quantity):.8f}",
        "time": deal.time,
        "isBuyerMaker": deal.trade_type == 2,
        "isBestMatch": True,
        "tradeType": "ASK" if deal.trade_type == 2 else "BID",
    }


def _pairs(levels: Iterable[Level]) -> list[tuple[str, str]]:
    return [(level.price, level.quantity) for level in levels]


def _answer(request: _Request | None, words: str) -> str:
    number = request.id if request is not None and request.id is not None else 0
    return msgspec.json.encode({"id": number, "code": 0, "msg": words}).decode()


def _refusal(request: _Request, names: Iterable[str], why: str) -> str:
    return _answer(request, f"Not Subscribed successfully! [{','.join(names)}].  Reason: {why} ")


def _rest_error(code: int, words: str) -> bytes:
    return msgspec.json.encode({"code": code, "msg": words})
