"""Binance's spot markets, the server's side.

Wire: https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Final
from urllib.parse import parse_qsl, urlsplit

import msgspec

from producers.exchange import Channel
from producers.simulator.figures import UNITS_MS, Execution, bar_of, bars_of, interval_ms_of
from producers.simulator.ledger import SimulatedBook, Tape
from producers.simulator.venue import Reply, RestError, SimulatedVenue, limit_of, whole
from producers.simulator.venues.binance_client import BinanceClient, key_of
from producers.simulator.venues.binance_listing import day_figures, kline_row, spot_listing

CHANNELS: Final[dict[str, Channel]] = {
    "trade": "trades",
    "aggTrade": "aggregated_trades",
    "bookTicker": "quotes",
    "depth": "books",
    "ticker": "tickers",
    "miniTicker": "tickers",
    "kline": "candles",
    "markPrice": "derivatives",
    "forceOrder": "liquidations",
}
"""What a stream carries, by its name after `@`, without pace and interval."""

EVENTS: Final = {"depthUpdate": "depth", "24hrTicker": "ticker", "24hrMiniTicker": "miniTicker"} | {
    "markPriceUpdate": "markPrice"
}
"""Names of streams that differ from those of their events."""

_COMBINED: Final = b'{"stream":"'
_DATA: Final = b',"data":'


class _Trade(msgspec.Struct):
    t: int
    p: str
    q: str
    T: int
    m: bool
    X: str = "MARKET"


class _AggregatedTrade(msgspec.Struct):
    a: int
    p: str
    q: str
    f: int
    l: int  # noqa: E741 - the venue's name
    T: int
    m: bool


class _Depth(msgspec.Struct):
    u: int
    b: list[tuple[str, str]]
    a: list[tuple[str, str]]
    T: int = 0


class _Snapshot(msgspec.Struct):
    lastUpdateId: int  # noqa: N815 - the venue's name
    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]
    T: int = 0


class _Named(msgspec.Struct):
    stream: str | None = None
    data: msgspec.Raw = msgspec.Raw()
    e: str | None = None
    s: str | None = None
    k: dict[str, Any] | None = None
    A: Any = None
    B: Any = None


_TRADE = msgspec.json.Decoder(_Trade)
_AGGREGATED = msgspec.json.Decoder(_AggregatedTrade)
_DEPTH = msgspec.json.Decoder(_Depth)
_SNAPSHOT = msgspec.json.Decoder(_Snapshot)
_NAMED = msgspec.json.Decoder(_Named)


class BinanceSpotSimulated(SimulatedVenue):
    """Trades by id, books, the list of instruments; `/api/v3`."""

    venue: ClassVar[str] = "binance"
    market: ClassVar[str] = "spot"
    messages_per_s: ClassVar[float] = 5.0
    weight_per_minute: ClassVar[int] = 6_000
    base: ClassVar[str] = "/api/v3"
    kinds: ClassVar[Mapping[str, Callable[[str], bool]]] = {}
    weights: ClassVar[Mapping[str, int]] = {"exchangeInfo": 20, "trades": 25, "historicalTrades": 25} | {
        "aggTrades": 4
    }
    depth_weights: ClassVar[Sequence[tuple[int, int]]] = ((100, 5), (500, 25), (1_000, 50), (5_000, 250))
    depth_default: ClassVar[int] = 100

    def __init__(self, symbols: Mapping[str, str]) -> None:
        super().__init__(symbols)
        self._unified = {name: unified for unified, name in self.symbols.items()}
        self._listed: bytes | None = None
        self._trades: dict[str, Tape[_Trade]] = {}
        self._aggregated: dict[str, Tape[_AggregatedTrade]] = {}
        self._books: dict[str, SimulatedBook] = {}
        self._open_interest: dict[str, bytes] = {}
        self._keys: dict[bytes, str] = {}
        self._routes: dict[str, Callable[[bytes], None] | None] = {}

    # the wire

    def client(self, path: str) -> BinanceClient:
        """See `SimulatedVenue.client`."""
        return BinanceClient(path, self.kinds)

    def split(self, frame: bytes, binary: bool) -> tuple[str, bytes] | None:
        """See `SimulatedVenue.split`; captures hold combined frames, however spaced, and raw ones."""
        if frame.startswith(_COMBINED):
            end = frame.find(b'"', len(_COMBINED))
            name = frame[len(_COMBINED) : end]
            key = self._keys.get(name)
            if key is None:
                key = self._keys[name] = key_of(name.decode("utf-8", "replace"))
            start = end + 1
            if frame.startswith(_DATA, start) and frame.endswith(b"}"):
                return key, frame[start + len(_DATA) : -1]
            return None
        try:
            named = _NAMED.decode(frame)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None
        if named.stream is not None and named.data:
            return key_of(named.stream), bytes(named.data)
        if named.s is None:
            return None
        kind = EVENTS.get(named.e, named.e) if named.e is not None else None
        if named.e is None and named.A is not None and named.B is not None:
            # Spot's bookTicker is the one event without a name of its own.
            kind = "bookTicker"
        if kind == "kline" and named.k is not None:
            kind = f"kline_{named.k.get('i')}"
        return (f"{named.s.lower()}@{kind}", frame) if kind is not None else None

    def channel_of(self, stream: str) -> tuple[Channel, str] | None:
        """See `SimulatedVenue.channel_of`."""
        name, _, kind = stream.partition("@")
        channel = CHANNELS.get(kind.partition("_")[0])
        return (channel, name.upper()) if channel is not None else None

    def shutdown_notice(self, now_ms: int) -> bytes | None:
        """`{"e": "serverShutdown", "E": 1770123456789}`."""
        return msgspec.json.encode({"e": "serverShutdown", "E": now_ms})

    # what happens

    def observe(self, stream: str, data: bytes) -> None:
        """See `SimulatedVenue.observe`."""
        if stream not in self._routes:
            self._routes[stream] = self._route(stream)
        route = self._routes[stream]
        if route is not None:
            try:
                route(data)
            except (msgspec.MsgspecError, ValueError):
                return

    def learn(self, url: str, body: bytes) -> None:
        """See `SimulatedVenue.learn`."""
        parts = urlsplit(url)
        symbol = dict(parse_qsl(parts.query)).get("symbol", "")
        if parts.path.endswith("/exchangeInfo"):
            self._listed = body
        elif parts.path.endswith("/openInterest"):
            self._open_interest[symbol] = body
        elif parts.path.endswith("/depth"):
            try:
                snapshot = _SNAPSHOT.decode(body)
            except msgspec.MsgspecError:
                return
            book = self._books.setdefault(symbol, SimulatedBook())
            book.restart(snapshot.lastUpdateId, snapshot.bids, snapshot.asks, snapshot.T)

    def _route(self, stream: str) -> Callable[[bytes], None] | None:
        found = self.channel_of(stream)
        channel, symbol = found if found is not None else (None, "")
        if channel == "trades":
            trades = self._trades.setdefault(symbol, Tape())

            def on_trade(data: bytes) -> None:
                trade = _TRADE.decode(data)
                # Of futures REST lists those alone that an order of the book took part in.
                if trade.X == "MARKET":
                    trades.add(trade.t, trade)

            return on_trade
        if channel == "aggregated_trades":
            aggregated = self._aggregated.setdefault(symbol, Tape())

            def on_aggregated(data: bytes) -> None:
                trade = _AGGREGATED.decode(data)
                aggregated.add(trade.a, trade)

            return on_aggregated
        if channel == "books":
            book = self._books.setdefault(symbol, SimulatedBook())

            def on_depth(data: bytes) -> None:
                change = _DEPTH.decode(data)
                book.change(change.u, change.b, change.a, change.T)

            return on_depth
        return None

    # REST

    def weight(self, path: str, query: Mapping[str, str]) -> int:
        """See `SimulatedVenue.weight`."""
        name = path.removeprefix(f"{self.base}/")
        if name == "depth":
            limit = limit_of(query, self.depth_default, 5_000)
            return next(weight for most, weight in self.depth_weights if limit <= most)
        return self.weights.get(name, 1)

    def usage(self, used: int, now_s: float) -> Mapping[str, str]:
        """See `SimulatedVenue.usage`."""
        return {"X-MBX-USED-WEIGHT": str(used), "X-MBX-USED-WEIGHT-1M": str(used)}

    def failure(self, status: int, retry_after_s: float) -> Reply:
        """See `SimulatedVenue.failure`."""
        if status in {418, 429}:
            words = "Way too many requests; IP banned." if status == 418 else "Too many requests."
            body = msgspec.json.encode({"code": -1003, "msg": words})
            return Reply(status, body, {"Retry-After": f"{retry_after_s:.0f}"})
        return Reply(
            status, msgspec.json.encode({"code": -1001, "msg": "Internal error; unable to process."})
        )

    def rest(self, path: str, query: Mapping[str, str], now_ms: int) -> Reply:
        """See `SimulatedVenue.rest`."""
        if not path.startswith(f"{self.base}/"):
            raise RestError(404, _rest_error(-1000, f"no such path: {path}"))
        match path.removeprefix(f"{self.base}/"):
            case "ping":
                body: Any = {}
            case "time":
                body = {"serverTime": now_ms}
            case "exchangeInfo":
                return Reply(200, self._listed or self._instruments(now_ms))
            case "depth":
                body = self._depth(self._symbol(query), limit_of(query, self.depth_default, 5_000), now_ms)
            case "trades":
                found = self._tape(query).newest(limit_of(query, 500, 1_000))
                body = [self._trade(trade) for trade in found]
            case "historicalTrades":
                body = self._historical(query)
            case "aggTrades":
                body = self._aggregated_trades(query)
            case "klines":
                body = self._klines(query)
            case "ticker/24hr":
                body = (
                    self._day(self._symbol(query), now_ms) if "symbol" in query else self._days(query, now_ms)
                )
            case "openInterest" if self._symbol(query) in self._open_interest:
                return Reply(200, self._open_interest[self._symbol(query)])
            case _:
                raise RestError(404, _rest_error(-1000, f"no such path: {path}"))
        return Reply(200, msgspec.json.encode(body))

    def _symbol(self, query: Mapping[str, str]) -> str:
        symbol = query.get("symbol", "")
        if symbol not in self._unified:
            raise RestError(400, _rest_error(-1121, "Invalid symbol."))
        return symbol

    def _tape(self, query: Mapping[str, str]) -> Tape[_Trade]:
        return self._trades.get(self._symbol(query)) or Tape()

    def _depth(self, symbol: str, limit: int, now_ms: int) -> dict[str, Any]:
        book = self._books.get(symbol) or SimulatedBook()
        self.note_told(symbol, book)
        return {"lastUpdateId": book.last, "bids": book.bids(limit), "asks": book.asks(limit)}

    def _historical(self, query: Mapping[str, str]) -> list[dict[str, Any]]:
        tape, limit, first = self._tape(query), limit_of(query, 500, 1_000), whole(query, "fromId")
        if first is None:
            found = tape.newest(limit)
        elif self.recall is not None:
            found = [_TRADE.decode(frame) for frame in self.recall(self._symbol(query), first, limit)]
        else:
            found = tape.since(first, limit)
        return [self._trade(trade) for trade in found]

    @staticmethod
    def _trade(trade: _Trade) -> dict[str, Any]:
        return {
            "id": trade.t,
            "price": trade.p,
            "qty": trade.q,
            "quoteQty": f"{float(trade.p) * float(trade.q):.8f}",
            "time": trade.T,
            "isBuyerMaker": trade.m,
            "isBestMatch": True,
        }

    def _aggregated_trades(self, query: Mapping[str, str]) -> list[dict[str, Any]]:
        tape = self._aggregated.get(self._symbol(query)) or Tape()
        limit, first = limit_of(query, 500, 1_000), whole(query, "fromId")
        start, end = whole(query, "startTime"), whole(query, "endTime")
        if first is not None:
            found = tape.since(first, limit)
        elif start is not None:
            found = [t for t in tape.all() if start <= t.T <= (end or t.T)][:limit]
        else:
            found = tape.newest(limit)
        named = ("a", "p", "q", "f", "l", "T", "m")
        return [{name: getattr(trade, name) for name in named} | {"M": True} for trade in found]

    def executions(self, symbol: str) -> list[Execution]:
        """What was traded, from single trades where there are any."""
        singles = self._trades.get(symbol)
        if singles is not None:
            return [Execution(t.t, t.p, t.q, t.T, t.m) for t in singles.all()]
        aggregated = self._aggregated.get(symbol)
        return [Execution(t.a, t.p, t.q, t.T, t.m) for t in aggregated.all()] if aggregated else []

    def _klines(self, query: Mapping[str, str]) -> list[list[Any]]:
        symbol, interval_ms = self._symbol(query), interval_ms_of(query.get("interval", ""))
        if interval_ms is None:
            raise RestError(400, _rest_error(-1120, "Invalid interval."))
        bars = bars_of(self.executions(symbol), interval_ms)
        start, end = whole(query, "startTime"), whole(query, "endTime")
        found = [bar for bar in bars if (start or 0) <= bar.open_ms <= (end or bar.open_ms)]
        limit = limit_of(query, 500, 1_000)
        chosen = found[-limit:] if start is None else found[:limit]
        return [kline_row(bar, interval_ms) for bar in chosen]

    def _day(self, symbol: str, now_ms: int) -> dict[str, Any]:
        since_ms = now_ms - UNITS_MS["d"]
        bar = bar_of((one for one in self.executions(symbol) if one.time_ms > since_ms), since_ms)
        if bar is None:
            raise RestError(400, _rest_error(-1121, "Invalid symbol."))
        book = self._books.get(symbol) or SimulatedBook()
        bid, ask = (next(iter(side), ("0.00", "0.00")) for side in (book.bids(1), book.asks(1)))
        return day_figures(symbol, bar, now_ms, bid, ask)

    def _days(self, query: Mapping[str, str], now_ms: int) -> list[dict[str, Any]]:
        """The same for the symbols that are named, or for all that were traded."""
        named = msgspec.json.decode(query["symbols"]) if "symbols" in query else self._trades
        return [self._day(self._symbol({"symbol": symbol}), now_ms) for symbol in named]

    @staticmethod
    def _listing(unified: str, venue_symbol: str) -> dict[str, Any]:
        return spot_listing(unified, venue_symbol)

    def _instruments(self, now_ms: int) -> bytes:
        listed = [self._listing(unified, name) for unified, name in self.symbols.items()]
        return msgspec.json.encode({"timezone": "UTC", "serverTime": now_ms, "symbols": listed})


class BinanceUsSimulated(BinanceSpotSimulated):
    """Binance US: the same with other figures."""

    venue: ClassVar[str] = "binanceus"
    weight_per_minute: ClassVar[int] = 1_200


def _rest_error(code: int, text: str) -> bytes:
    return msgspec.json.encode({"code": code, "msg": text})
