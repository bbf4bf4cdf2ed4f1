"""MEXC futures, the server's side. Wire: https://www.mexc.com/api-docs/futures/websocket-api."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

import msgspec

from producers.exchange import Channel
from producers.simulator.figures import Execution
from producers.simulator.ledger import SimulatedBook, Tape
from producers.simulator.venue import Client, Reply, RestError, SimulatedVenue, limit_of
from producers.simulator.venues import mexc_figures as figures

CHANNELS: Final[dict[str, Channel]] = {
    "deal": "trades",
    "depth.full": "quotes",
    "depth": "books",
    "ticker": "tickers",
    "kline": "candles",
    "funding.rate": "derivatives",
    "fair.price": "derivatives",
    "index.price": "derivatives",
}
DEALS_MAX: Final = 100
"""Trades of one answer."""


class _Request(msgspec.Struct):
    method: str = ""
    param: dict[str, Any] = {}


class _Frame(msgspec.Struct):
    channel: str
    symbol: str | None = None
    data: msgspec.Raw = msgspec.Raw(b"null")


class _Depth(msgspec.Struct):
    version: int
    asks: list[list[Any]] = []
    bids: list[list[Any]] = []


class _Answer(msgspec.Struct):
    data: msgspec.Raw = msgspec.Raw(b"null")


_REQUEST = msgspec.json.Decoder(_Request)
_FRAME = msgspec.json.Decoder(_Frame)
_DEPTH = msgspec.json.Decoder(_Depth)
_ANSWER = msgspec.json.Decoder(_Answer)


class MexcFuturesClient(Client):
    """A connection to `/edge`.

    Args:
        symbols: The venue's symbols.
    """

    def __init__(self, symbols: Iterable[str]) -> None:
        super().__init__()
        self._symbols = frozenset(symbols)

    def answer(self, message: str | bytes, now_ms: int) -> list[str]:
        """See `Client.answer`; an answer names the method alone."""
        try:
            request = _REQUEST.decode(message)
        except msgspec.MsgspecError:
            return [_text("rs.error", "Invalid request", now_ms)]
        if request.method == "ping":
            return [_text("pong", now_ms, now_ms)]
        action, _, subject = request.method.partition(".")
        symbol = request.param.get("symbol")
        if action not in {"sub", "unsub"} or subject not in CHANNELS:
            return [_text("rs.error", f"method {request.method} does not exist", now_ms)]
        if symbol not in self._symbols:
            return [_text("rs.error", f"Contract [{symbol}] not exists", now_ms)]
        key = f"{subject}@{symbol}"
        if subject == "kline":
            key += f"@{request.param.get('interval')}"
        if action == "sub":
            self.streams[key] = key
        else:
            self.streams.pop(key, None)
        return [_text(f"rs.{request.method}", "success", now_ms)]

    def refuse(self, message: str | bytes, now_ms: int) -> list[str]:
        """See `Client.refuse`."""
        symbol = _REQUEST.decode(message).param.get("symbol")
        return [_text("rs.error", f"Contract [{symbol}] not exists", now_ms)]

    def is_subscription(self, message: str | bytes) -> bool:
        """See `Client.is_subscription`."""
        try:
            return _REQUEST.decode(message).method.startswith("sub.")
        except msgspec.MsgspecError:
            return False


class MexcFuturesSimulated(SimulatedVenue):
    """`/edge` and `/api/v1/contract`; trades by REST are the newest 100, and have no ids."""

    venue: ClassVar[str] = "mexc"
    market: ClassVar[str] = "futures"
    weight_per_minute: ClassVar[int] = 600
    base: ClassVar[str] = "/api/v1/contract"

    def __init__(self, symbols: Mapping[str, str]) -> None:
        super().__init__(symbols)
        self._names = frozenset(self.symbols.values())
        self._listed: bytes | None = None
        self._trades: dict[str, Tape[dict[str, Any]]] = {}
        self._books: dict[str, SimulatedBook] = {}
        self._count = 0

    # the wire

    def client(self, path: str) -> MexcFuturesClient:
        """See `SimulatedVenue.client`."""
        if urlsplit(path).path.rstrip("/") not in {"/edge", ""}:
            raise ValueError(f"expected the path /edge, got {path}")
        return MexcFuturesClient(self._names)

    def split(self, frame: bytes, binary: bool) -> tuple[str, bytes] | None:
        """See `SimulatedVenue.split`."""
        try:
            found = _FRAME.decode(frame)
            if not found.channel.startswith("push.") or found.symbol is None:
                return None
            key = f"{found.channel.removeprefix('push.')}@{found.symbol}"
            if found.channel == "push.kline":
                key += f"@{msgspec.json.decode(found.data)['interval']}"
        except (msgspec.MsgspecError, UnicodeDecodeError, KeyError, TypeError):
            return None
        return key, frame

    def channel_of(self, stream: str) -> tuple[Channel, str] | None:
        """See `SimulatedVenue.channel_of`."""
        subject, _, rest = stream.partition("@")
        channel = CHANNELS.get(subject)
        return (channel, rest.partition("@")[0]) if channel is not None else None

    # what happens

    def observe(self, stream: str, data: bytes) -> None:
        """See `SimulatedVenue.observe`."""
        found = self.channel_of(stream)
        if found is None or found[0] not in {"trades", "books"}:
            return
        symbol = found[1]
        try:
            pushed = _FRAME.decode(data).data
            if found[0] == "trades":
                deals = msgspec.json.decode(pushed)
                # The newest comes first.
                for deal in reversed(deals if isinstance(deals, list) else [deals]):
                    self._count += 1
                    self._trades.setdefault(symbol, Tape()).add(self._count, deal)
            else:
                change = _DEPTH.decode(pushed)
                book = self._books.setdefault(symbol, SimulatedBook())
                book.change(change.version, _pairs(change.bids), _pairs(change.asks))
        except (msgspec.MsgspecError, ValueError, TypeError):
            return

    def learn(self, url: str, body: bytes) -> None:
        """See `SimulatedVenue.learn`."""
        path = urlsplit(url).path
        if path.endswith("/detail"):
            self._listed = body
        elif "/depth/" in path:
            symbol = path.rpartition("/")[2]
            try:
                answer = _ANSWER.decode(body)
                snapshot = _DEPTH.decode(body if bytes(answer.data) == b"null" else answer.data)
            except msgspec.MsgspecError:
                return
            book = self._books.setdefault(symbol, SimulatedBook())
            book.restart(snapshot.version, _pairs(snapshot.bids), _pairs(snapshot.asks))

    # REST

    def failure(self, status: int, retry_after_s: float) -> Reply:
        """See `SimulatedVenue.failure`."""
        if status in {418, 429}:
            refusal = _rest_error(510, "Requests are too frequent")
            return Reply(status, refusal, {"Retry-After": f"{retry_after_s:.0f}"})
        return Reply(status, _rest_error(500, "Internal error"))

    def rest(self, path: str, query: Mapping[str, str], now_ms: int) -> Reply:
        """See `SimulatedVenue.rest`."""
        name, _, symbol = path.removeprefix(f"{self.base}/").partition("/")
        if name == "ping":
            return _success(now_ms)
        if name == "ticker":
            return self._tickers(query.get("symbol"), now_ms)
        if name == "detail":
            listed = [_listing(unified, known) for unified, known in self.symbols.items()]
            return Reply(200, self._listed) if self._listed is not None else _success(listed)
        if name not in {"depth", "deals", "kline"}:
            raise RestError(404, _rest_error(404, f"no such path: {path}"))
        if symbol not in self._names:
            raise RestError(400, _rest_error(1001, "Contract does not exist!"))
        if name == "kline":
            columns = figures.kline_columns(self._executions(symbol), query)
            if columns is None:
                raise RestError(400, _rest_error(600, "Parameter error"))
            return _success(columns)
        if name == "deals":
            found = (self._trades.get(symbol) or Tape()).newest(limit_of(query, DEALS_MAX, DEALS_MAX))
            named = ("p", "v", "T", "O", "M", "t")
            rows = [{key: deal[key] for key in named if key in deal} for deal in reversed(found)]
            return _success(rows)
        book, limit = self._books.get(symbol) or SimulatedBook(), limit_of(query, 1_000, 1_000)
        self.note_told(symbol, book)
        sides = {"asks": _levels(book.asks(limit)), "bids": _levels(book.bids(limit))}
        return _success({**sides, "version": book.last, "timestamp": now_ms})

    def _executions(self, symbol: str) -> list[Execution]:
        return figures.futures_executions((self._trades.get(symbol) or Tape()).all())

    def _tickers(self, named: str | None, now_ms: int) -> Reply:
        """The figures of the contract that is named, or a list of all that were traded."""
        if named is not None and named not in self._names:
            raise RestError(400, _rest_error(1001, "Contract does not exist!"))
        rows = [
            figures.futures_day(
                symbol, self._executions(symbol), self._books.get(symbol) or SimulatedBook(), now_ms
            )
            for symbol in ([named] if named is not None else self._trades)
        ]
        return _success(rows[0] if named is not None else [row for row in rows if row is not None])


def _pairs(levels: Sequence[Sequence[Any]]) -> list[tuple[str, str]]:
    """Price and contracts of levels, as texts; the number of orders comes third."""
    return [(str(level[0]), str(level[1])) for level in levels]


def _levels(levels: Sequence[tuple[str, str]]) -> list[list[float]]:
    return [[float(price), float(size), 1] for price, size in levels]


def _listing(unified: str, venue_symbol: str) -> dict[str, Any]:
    contract, _, settle = unified.partition(":")
    base, _, quote = contract.partition("/")
    return {
        "symbol": venue_symbol,
        "displayNameEn": f"{venue_symbol} PERPETUAL",
        "baseCoin": base,
        "quoteCoin": quote,
        "settleCoin": settle,
        "contractSize": 0.0001,
        "priceUnit": 0.1,
        "volUnit": 1,
        "minVol": 1,
        "maxVol": 1_000_000,
        "priceScale": 1,
        "volScale": 0,
        "state": 0,
        "futureType": 1,
    }


def _text(channel: str, data: Any, now_ms: int) -> str:
    return msgspec.json.encode({"channel": channel, "data": data, "ts": now_ms}).decode()


def _success(data: Any) -> Reply:
    return Reply(200, msgspec.json.encode({"success": True, "code": 0, "data": data}))


def _rest_error(code: int, words: str) -> bytes:
    return msgspec.json.encode({"success": False, "code": code, "message": words})
