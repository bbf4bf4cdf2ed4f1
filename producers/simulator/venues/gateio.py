"""Gate.io v4 spot and USDT futures, the server's side.

Wire: https://www.gate.com/docs/developers/apiv4/ws/en and https://www.gate.com/docs/developers/futures/ws/en.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Final
from urllib.parse import parse_qsl, urlsplit

import msgspec

from producers.exchange import Channel
from producers.simulator.figures import Execution
from producers.simulator.ledger import Level, SimulatedBook, Tape
from producers.simulator.venue import Reply, RestError, SimulatedVenue, limit_of, whole
from producers.simulator.venues import gateio_figures as figures
from producers.simulator.venues.gateio_client import GateClient, text_of

CHANNELS: Final[dict[str, Channel]] = {
    "trades": "trades",
    "book_ticker": "quotes",
    "order_book_update": "books",
    "obu": "books",
    "tickers": "tickers",
    "candlesticks": "candles",
    "public_liquidates": "liquidations",
}
"""What a channel carries, by its name after the market's."""


class _Frame(msgspec.Struct):
    channel: str
    event: str = ""
    result: msgspec.Raw = msgspec.Raw(b"null")


class _Named(msgspec.Struct):
    currency_pair: str | None = None
    contract: str | None = None
    n: str | None = None
    s: Any = None
    full: bool = False


class _Depth(msgspec.Struct):
    u: int
    b: list[Any] = []
    a: list[Any] = []
    full: bool = False


class _Snapshot(msgspec.Struct):
    id: int
    bids: list[Any]
    asks: list[Any]


_FRAME = msgspec.json.Decoder(_Frame)
_NAMED = msgspec.json.Decoder(_Named | None)
_NAMED_LIST = msgspec.json.Decoder(list[_Named])
_DEPTH = msgspec.json.Decoder(_Depth)
_SNAPSHOT = msgspec.json.Decoder(_Snapshot)


class GateSpotSimulated(SimulatedVenue):
    """Spot: `/ws/v4/` and `/api/v4/spot`."""

    venue: ClassVar[str] = "gateio"
    market: ClassVar[str] = "spot"
    weight_per_minute: ClassVar[int] = 1_200
    prefix: ClassVar[str] = "spot"
    """What the names of channels begin with."""
    paths: ClassVar[tuple[str, ...]] = ("/ws/v4",)
    base: ClassVar[str] = "/api/v4/spot"
    listing: ClassVar[str] = "currency_pairs"
    symbol_parameter: ClassVar[str] = "currency_pair"
    unknown_label: ClassVar[str] = "INVALID_CURRENCY_PAIR"

    def __init__(self, symbols: Mapping[str, str]) -> None:
        super().__init__(symbols)
        self._names = frozenset(self.symbols.values())
        self._listed: bytes | None = None
        self._trades: dict[str, Tape[dict[str, Any]]] = {}
        self._books: dict[str, SimulatedBook] = {}

    @property
    def names(self) -> frozenset[str]:
        """The venue's symbols."""
        return self._names

    # the wire

    def client(self, path: str) -> GateClient:
        """See `SimulatedVenue.client`; the simulator also takes the bare path."""
        route = urlsplit(path).path.rstrip("/")
        if route and route not in self.paths:
            raise ValueError(f"expected the path {' or '.join(self.paths)}, got {path}")
        return GateClient(self)

    def key(self, channel: str, name: str) -> str:
        """The key of a stream: `spot.trades/BTC_USDT`, `spot.candlesticks/1m_BTC_USDT`."""
        return f"{self.prefix}.{channel}/{name}"

    def symbol_of(self, key: str) -> str:
        """The venue's symbol in a stream's key."""
        channel, _, name = key.partition("/")
        if channel.endswith(".candlesticks"):
            return name.partition("_")[2]
        return name.split(".")[1] if channel.endswith(".obu") and name.count(".") == 2 else name

    def split(self, frame: bytes, binary: bool) -> tuple[str, bytes] | None:
        """See `SimulatedVenue.split`."""
        try:
            found = _FRAME.decode(frame)
            if found.event not in {"update", "all"}:
                return None
            if bytes(found.result).startswith(b"["):
                named: _Named | None = next(iter(_NAMED_LIST.decode(found.result)), None)
            else:
                named = _NAMED.decode(found.result)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None
        if named is None:
            return None
        # In trades of futures `s` is a size; symbols are texts.
        symbol = named.n or named.currency_pair or named.contract or named.s
        return (f"{found.channel}/{symbol}", frame) if isinstance(symbol, str) else None

    def channel_of(self, stream: str) -> tuple[Channel, str] | None:
        """See `SimulatedVenue.channel_of`."""
        channel = CHANNELS.get(stream.partition("/")[0].partition(".")[2])
        return (channel, self.symbol_of(stream)) if channel is not None else None

    def shutdown_notice(self, now_ms: int) -> bytes | None:
        """A message of the channel `spot.system`."""
        words = "The connection will soon be closed due to a system upgrade. Please reconnect."
        result = {"type": "upgrade", "msg": words}
        channel = f"{self.prefix}.system"
        return text_of(
            {
                "time": now_ms // 1_000,
                "time_ms": now_ms,
                "channel": channel,
                "event": "update",
                "result": result,
            }
        ).encode()

    def whole_book(self, key: str, now_ms: int) -> str:
        """The first message of `spot.obu`."""
        book = self._books.get(self.symbol_of(key)) or SimulatedBook()
        self.note_told(self.symbol_of(key), book)
        bids, asks = book.bids(400), book.asks(400)
        levels = {"b": self._levels(bids), "a": self._levels(asks)}
        result = {"t": now_ms, "full": True, "s": key.partition("/")[2], "u": book.last, **levels}
        channel = key.partition("/")[0]
        return text_of({"channel": channel, "result": result, "time_ms": now_ms, "event": "update"})

    # what happens

    def observe(self, stream: str, data: bytes) -> None:
        """See `SimulatedVenue.observe`."""
        found = self.channel_of(stream)
        if found is None or found[0] not in {"trades", "books"}:
            return
        try:
            result = _FRAME.decode(data).result
            if found[0] == "trades":
                self._take_trades(found[1], msgspec.json.decode(result))
            else:
                change = _DEPTH.decode(result)
                book = self._books.setdefault(found[1], SimulatedBook())
                take: Callable[..., None] = book.restart if change.full else book.change
                take(change.u, _pairs(change.b), _pairs(change.a))
        except (msgspec.MsgspecError, ValueError, KeyError, TypeError):
            return

    def learn(self, url: str, body: bytes) -> None:
        """See `SimulatedVenue.learn`."""
        parts = urlsplit(url)
        if parts.path.endswith(f"/{self.listing}"):
            self._listed = body
        elif parts.path.endswith("/order_book"):
            symbol = dict(parse_qsl(parts.query)).get(self.symbol_parameter, "")
            try:
                snapshot = _SNAPSHOT.decode(body)
            except msgspec.MsgspecError:
                return
            book = self._books.setdefault(symbol, SimulatedBook())
            book.restart(snapshot.id, _pairs(snapshot.bids), _pairs(snapshot.asks))

    def _take_trades(self, symbol: str, result: Any) -> None:
        tape = self._trades.setdefault(symbol, Tape())
        for trade in result if isinstance(result, list) else [result]:
            tape.add(int(trade["id"]), trade)

    # REST

    def usage(self, used: int, now_s: float) -> Mapping[str, str]:
        """See `SimulatedVenue.usage`."""
        return {
            "X-Gate-RateLimit-Requests-Remain": str(max(0, self.weight_per_minute - used)),
            "X-Gate-RateLimit-Limit": str(self.weight_per_minute),
            "X-Gate-RateLimit-Reset-Timestamp": str(int(now_s // 60 + 1) * 60),
        }

    def failure(self, status: int, retry_after_s: float) -> Reply:
        """See `SimulatedVenue.failure`."""
        if status in {418, 429}:
            refusal = _rest_error("TOO_MANY_REQUESTS", "Request Rate Limit Exceeded")
            return Reply(status, refusal, {"Retry-After": f"{retry_after_s:.0f}"})
        return Reply(status, _rest_error("SERVER_ERROR", "Internal server error"))

    def rest(self, path: str, query: Mapping[str, str], now_ms: int) -> Reply:
        """See `SimulatedVenue.rest`."""
        name = path.removeprefix(f"{self.base}/")
        if path == "/api/v4/spot/time":
            return Reply(200, msgspec.json.encode({"server_time": now_ms}))
        if name == self.listing:
            listed = [self._instrument(unified, symbol) for unified, symbol in self.symbols.items()]
            return Reply(200, self._listed or msgspec.json.encode(listed))
        if path in {"/api/v4/margin/currency_pairs", "/api/v4/spot/currencies"}:
            return Reply(200, b"[]")
        if name == "tickers":
            return Reply(200, msgspec.json.encode(self._tickers(query, now_ms)))
        if name == path or name not in {"order_book", "trades", "candlesticks"}:
            raise RestError(404, _rest_error("NOT_FOUND", f"no such path: {path}"))
        symbol = query.get(self.symbol_parameter, "")
        if symbol not in self.names:
            raise RestError(400, _rest_error(self.unknown_label, f"Invalid symbol {symbol}"))
        if name == "order_book":
            return Reply(200, msgspec.json.encode(self._book(symbol, query, now_ms)))
        if name == "candlesticks":
            rows = figures.candles(self._executions(symbol), query, self.market == "futures")
            if rows is None:
                raise RestError(400, _rest_error("INVALID_PARAM_VALUE", "Invalid interval"))
            return Reply(200, msgspec.json.encode(rows))
        trades = self._found(self._trades.get(symbol) or Tape(), query)
        # The newest comes first.
        return Reply(200, msgspec.json.encode([self._row(trade) for trade in reversed(trades)]))

    def _executions(self, symbol: str) -> list[Execution]:
        return figures.executions((self._trades.get(symbol) or Tape()).all())

    def _tickers(self, query: Mapping[str, str], now_ms: int) -> list[dict[str, Any]]:
        """The figures of the symbol that is named, or of all that were traded."""
        named = query.get(self.symbol_parameter)
        if named is not None and named not in self.names:
            raise RestError(400, _rest_error(self.unknown_label, f"Invalid symbol {named}"))
        rows = (
            figures.day_figures(
                symbol,
                self._executions(symbol),
                self._books.get(symbol) or SimulatedBook(),
                now_ms,
                self.market == "futures",
            )
            for symbol in ([named] if named is not None else self._trades)
        )
        return [row for row in rows if row is not None]

    def _book(self, symbol: str, query: Mapping[str, str], now_ms: int) -> dict[str, Any]:
        book, limit = self._books.get(symbol) or SimulatedBook(), limit_of(query, 10, 1_000)
        self.note_told(symbol, book)
        number = {"id": book.last} if query.get("with_id") == "true" else {}
        asks, bids = self._levels(book.asks(limit)), self._levels(book.bids(limit))
        return number | self._times(now_ms) | {"asks": asks, "bids": bids}

    def _times(self, now_ms: int) -> dict[str, Any]:
        return {"current": now_ms, "update": now_ms}

    def _levels(self, levels: Sequence[Level]) -> list[Any]:
        return [list(level) for level in levels]

    def _found(self, tape: Tape[dict[str, Any]], query: Mapping[str, str]) -> list[dict[str, Any]]:
        """Trades by id, older ones with `reverse`; by time in whole seconds; else the newest."""
        limit, last = limit_of(query, 100, 1_000), whole(query, "last_id")
        start, end = whole(query, "from"), whole(query, "to")
        if start is not None or end is not None:
            within = [
                trade
                for trade in tape.all()
                if (start or 0) <= int(trade["create_time"]) <= (end if end is not None else 1 << 62)
            ]
            page = (whole(query, "page") or 1) - 1 if limit else 0
            offset = whole(query, "offset") or page * limit
            return within[max(0, len(within) - offset - limit) : len(within) - offset]
        if last is not None and query.get("reverse") == "true":
            return tape.before(last, limit)
        return tape.newest(limit) if last is None else tape.since(last + 1, limit)

    def _row(self, trade: dict[str, Any]) -> dict[str, Any]:
        named = ("currency_pair", "side", "amount", "price")
        row = {name: trade[name] for name in named}
        row |= {"id": str(trade["id"]), "create_time": str(trade["create_time"])}
        row["create_time_ms"] = str(trade.get("create_time_ms", trade["create_time"] * 1_000))
        if "id_market" in trade:
            row["sequence_id"] = str(trade["id_market"])
        return row

    def _instrument(self, unified: str, venue_symbol: str) -> dict[str, Any]:
        base, _, quote = unified.partition(":")[0].partition("/")
        return {
            "id": venue_symbol,
            "base": base,
            "quote": quote,
            "fee": "0.2",
            "min_base_amount": "0.0001",
            "min_quote_amount": "1",
            "amount_precision": 8,
            "precision": 8,
            "trade_status": "tradable",
            "sell_start": 0,
            "buy_start": 0,
        }


class GateFuturesSimulated(GateSpotSimulated):
    """USDT futures: `/v4/ws/usdt` and `/api/v4/futures/usdt`; sizes are contracts."""

    market: ClassVar[str] = "futures"
    prefix: ClassVar[str] = "futures"
    paths: ClassVar[tuple[str, ...]] = ("/v4/ws/usdt",)
    base: ClassVar[str] = "/api/v4/futures/usdt"
    listing: ClassVar[str] = "contracts"
    symbol_parameter: ClassVar[str] = "contract"
    unknown_label: ClassVar[str] = "CONTRACT_NOT_FOUND"

    def _times(self, now_ms: int) -> dict[str, Any]:
        return {"current": now_ms / 1_000, "update": now_ms / 1_000}

    def _levels(self, levels: Sequence[Level]) -> list[Any]:
        return [{"p": price, "s": int(size) if size.isdigit() else size} for price, size in levels]

    def _row(self, trade: dict[str, Any]) -> dict[str, Any]:
        milliseconds = trade.get("create_time_ms", trade["create_time"] * 1_000)
        row = {name: trade[name] for name in ("id", "create_time", "contract", "size", "price")}
        return row | {"create_time_ms": float(milliseconds) / 1_000}

    def _instrument(self, unified: str, venue_symbol: str) -> dict[str, Any]:
        return {
            "name": venue_symbol,
            "type": "direct",
            "quanto_multiplier": "0.0001",
            "order_price_round": "0.1",
            "mark_price_round": "0.01",
            "order_size_min": 1,
            "order_size_max": 1_000_000,
            "in_delisting": False,
            "status": "trading",
            "funding_interval": 28_800,
            "funding_rate": "0.0001",
            "mark_price": "0",
            "index_price": "0",
            "last_price": "0",
        }


def _pairs(levels: Sequence[Any]) -> list[tuple[str, str]]:
    """Levels of spot, `[price, size]`, and of futures, `{"p": price, "s": size}`, as texts."""
    pairs = ((level["p"], level["s"]) if isinstance(level, dict) else level for level in levels)
    return [(str(price), str(size)) for price, size in pairs]


def _rest_error(label: str, message: str) -> bytes:
    return msgspec.json.encode({"label": label, "message": message})
