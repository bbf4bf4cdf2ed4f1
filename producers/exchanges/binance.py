"""Binance spot. Rules of the wire: https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final, NamedTuple, TypeVar

import msgspec

from producers import validation
from producers.exchange import BadRecord, Channel, Control, Exchange, Limits, MarketRecord
from schemas.records import Quote, Trade

STREAM_PREFIX: Final = b'{"stream":"'

QUOTE_ASSETS: Final = (
    "FDUSD USDT USDC TUSD BUSD USDP BIDR IDRT BVND BKRW DOGE USDS BTC ETH BNB XRP TRX DOT SOL TRY EUR BRL "
    "GBP AUD RUB UAH NGN ZAR PLN RON ARS JPY MXN CZK COP IDR DAI VAI PAX UST USD EURI AEUR XUSD USD1 "
    "GYEN KZT RLUSD BFUSD USDE U"
)
"""Assets that prices are quoted in: what ends a symbol such as BTCUSDT where no instrument list says it."""

RARE_QUOTE_ASSETS: Final = frozenset({"AEUR", "XUSD"})
"""Quote a few large assets only, and look like the end of another pair: ADAEUR is ADA/EUR."""

SUFFIXES: Final[dict[str, Channel]] = {
    "trade": "trades",
    "aggTrade": "aggregated_trades",
    "bookTicker": "quotes",
}
"""The channels that are read, by the part of a stream's name after `@`."""

NAMES: Final = {channel: suffix for suffix, channel in SUFFIXES.items()}

_T = TypeVar("_T")


class _Trade(msgspec.Struct, gc=False):
    s: str
    t: int
    p: str
    q: str
    T: int
    m: bool


class _AggregatedTrade(msgspec.Struct, gc=False):
    s: str
    a: int
    p: str
    q: str
    T: int
    m: bool


class _BookTicker(msgspec.Struct, gc=False):
    u: int
    s: str
    b: str
    B: str
    a: str
    A: str


class _Error(msgspec.Struct):
    code: int | None = None
    msg: str = ""


class _Envelope(msgspec.Struct):
    """Any frame there is: combined, raw, or about the connection."""

    stream: str | None = None
    data: msgspec.Raw = msgspec.Raw()
    e: str | None = None
    s: str | None = None
    u: int | None = None
    A: Any = None
    B: Any = None
    id: int | str | None = None
    result: Any = msgspec.UNSET
    error: _Error | None = None
    code: int | None = None
    msg: str = ""
    rest: msgspec.Raw = msgspec.Raw()


class _TradeFrame(msgspec.Struct, gc=False):
    data: _Trade


class _AggregatedTradeFrame(msgspec.Struct, gc=False):
    data: _AggregatedTrade


class _BookTickerFrame(msgspec.Struct, gc=False):
    data: _BookTicker


class _Instrument(msgspec.Struct):
    symbol: str
    baseAsset: str  # noqa: N815 - the venue's name
    quoteAsset: str  # noqa: N815


class _ExchangeInfo(msgspec.Struct):
    symbols: list[_Instrument]


_ENVELOPE = msgspec.json.Decoder(_Envelope)
_EXCHANGE_INFO = msgspec.json.Decoder(_ExchangeInfo)

Handler = Callable[[Any, str, int], MarketRecord]


class _Route(NamedTuple):
    """How frames of one subscribed stream are read."""

    decode_frame: Callable[[bytes], Any]
    decode_data: Callable[[bytes | msgspec.Raw], Any]
    handler: Handler
    venue_symbol: str
    symbol: str


class BinanceSpot(Exchange):
    """Trades (`@trade`, or `@aggTrade` where configured so) and best bid and ask (`@bookTicker`)."""

    venue: ClassVar[str] = "binance"
    market: ClassVar[str] = "spot"
    websocket_url: ClassVar[str] = "wss://data-stream.binance.vision"
    rest_url: ClassVar[str] = "https://data-api.binance.vision"
    websocket_path: ClassVar[str] = "/stream"
    ping_path: ClassVar[str] = "/api/v3/ping"
    instruments_path: ClassVar[str] = "/api/v3/exchangeInfo"
    limits: ClassVar[Limits] = Limits(messages_per_s=5, streams_per_message=200, streams_per_connection=1024)

    def __init__(self, symbols: Mapping[str, str], aggregated: Iterable[str] = ()) -> None:
        super().__init__(symbols, aggregated)
        self._unified = {name: unified for unified, name in self.symbols.items()}
        self._handlers: dict[Channel, tuple[type[Any], type[Any], Handler]] = {
            "trades": (_TradeFrame, _Trade, self.on_trade),
            "aggregated_trades": (_AggregatedTradeFrame, _AggregatedTrade, self.on_aggregated_trade),
            "quotes": (_BookTickerFrame, _BookTicker, self.on_book_ticker),
        }
        self._routes: dict[bytes, _Route] = {
            stream.encode(): self._route(stream) for stream in self.streams(quotes=True)
        }

    # symbols and streams

    @classmethod
    def venue_symbol(cls, unified: str) -> str:
        """`BTC/USDT` -> `BTCUSDT`."""
        return unified.replace("/", "").upper()

    @classmethod
    def unified_symbol(cls, venue_symbol: str) -> str | None:
        """`BTCUSDT` -> `BTC/USDT` by the longest asset at its end; None where none is known."""
        assets = QUOTE_ASSETS.split()
        endings = [
            asset
            for asset in assets
            if venue_symbol.endswith(asset)
            and venue_symbol != asset
            and (asset not in RARE_QUOTE_ASSETS or venue_symbol.removesuffix(asset) in assets)
        ]
        if not endings:
            return None
        quote = max(endings, key=len)
        return f"{venue_symbol.removesuffix(quote)}/{quote}"

    @classmethod
    def instruments(cls, body: bytes) -> dict[str, str]:
        """The symbols of an `exchangeInfo` answer: unified -> venue symbol."""
        info = _decoded(_EXCHANGE_INFO.decode, body)
        return {f"{item.baseAsset}/{item.quoteAsset}": item.symbol for item in info.symbols}

    @classmethod
    def stream_of(cls, frame: bytes) -> str | None:
        """Name of the stream that a recorded frame belongs to, whether combined or raw."""
        try:
            envelope = _decoded(_ENVELOPE.decode, frame)
        except BadRecord:
            return None
        if envelope.stream is not None:
            return envelope.stream
        if envelope.s is None:
            return None
        suffix = {"depthUpdate": "depth@100ms"}.get(envelope.e or "", envelope.e)
        if envelope.e is None:
            # Spot's bookTicker is the one event without a name of its own.
            suffix = "bookTicker" if envelope.A is not None and envelope.B is not None else None
        return f"{envelope.s.lower()}@{suffix}" if suffix else None

    @classmethod
    def channel_of(cls, stream: str) -> tuple[Channel, str] | None:
        """`btcusdt@trade` -> `("trades", "BTCUSDT")`."""
        name, _, suffix = stream.partition("@")
        channel = SUFFIXES.get(suffix)
        return (channel, name.upper()) if channel else None

    def streams(self, quotes: bool) -> list[str]:
        """Quotes of all symbols, then trades of all symbols: `trade` or `aggTrade`, never both."""
        names = {unified: venue_symbol.lower() for unified, venue_symbol in self.symbols.items()}
        wanted = [f"{name}@{NAMES['quotes']}" for name in names.values()] if quotes else []
        for unified, name in names.items():
            channel: Channel = "aggregated_trades" if unified in self.aggregated else "trades"
            wanted.append(f"{name}@{NAMES[channel]}")
        return wanted

    def subscription(self, streams: Sequence[str], request: int) -> str:
        """`{"method": "SUBSCRIBE", "params": ["btcusdt@trade"], "id": 1}`."""
        message = {"method": "SUBSCRIBE", "params": list(streams), "id": request}
        return msgspec.json.encode(message).decode()

    # frames

    def parse(self, frame: bytes | str, receive_time: int) -> Sequence[MarketRecord | Control]:
        """See `Exchange.parse`; a combined frame of a subscribed stream is decoded in one step."""
        raw = frame.encode() if isinstance(frame, str) else frame
        if raw.startswith(STREAM_PREFIX):
            start = len(STREAM_PREFIX)
            route = self._routes.get(raw[start : raw.find(b'"', start)])
            if route is not None:
                data = _decoded(route.decode_frame, raw).data
                if data.s != route.venue_symbol:
                    raise BadRecord("symbol", f"expected symbol {route.venue_symbol}, got {data.s}")
                return (route.handler(data, route.symbol, receive_time),)
        return self._parse_any(raw, receive_time)

    def _parse_any(self, raw: bytes, receive_time: int) -> Sequence[MarketRecord | Control]:
        envelope = _decoded(_ENVELOPE.decode, raw)
        if envelope.stream is not None and envelope.data:
            stream, data = envelope.stream, bytes(envelope.data)
            inner = _decoded(_ENVELOPE.decode, data)
            if inner.e == "serverShutdown":
                return (Control("shutdown", None, "the server announces its end"),)
        elif envelope.e == "serverShutdown":
            return (Control("shutdown", None, "the server announces its end"),)
        elif (name := self.stream_of(raw)) is not None:
            stream, data = name, raw
        else:
            return self._control(envelope)
        route = self._routes.get(stream.encode())
        if route is None:
            found = self.channel_of(stream)
            if found is not None and found[1] not in self._unified:
                raise BadRecord("symbol", f"{found[1]} of stream {stream} was not asked for")
            return ()
        message = _decoded(route.decode_data, data)
        if message.s != route.venue_symbol:
            raise BadRecord("symbol", f"expected symbol {route.venue_symbol}, got {message.s}")
        return (route.handler(message, route.symbol, receive_time),)

    @staticmethod
    def _control(envelope: _Envelope) -> Sequence[Control]:
        request = envelope.id if isinstance(envelope.id, int) else None
        if envelope.error is not None:
            return (Control("refused", request, f"{envelope.error.code}: {envelope.error.msg}"),)
        if envelope.code is not None:
            return (Control("refused", request, f"{envelope.code}: {envelope.msg}"),)
        if envelope.result is None and request is not None:
            return (Control("accepted", request),)
        if envelope.rest or envelope.result is not msgspec.UNSET:
            return ()
        raise BadRecord("shape", "the frame is neither market data nor an answer to a request")

    # channels

    def on_trade(self, message: _Trade, symbol: str, receive_time: int) -> Trade:
        """One execution; `m` says that the buyer is the maker, so the seller is the aggressor.

        {"stream":"btcusdt@trade","data":{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":3735683259,
        "p":"61837.63000000","q":"0.02000000","T":1723161255342,"m":true,"M":true}}
        """
        return self._trade(message, message.t, symbol, receive_time)

    def on_aggregated_trade(self, message: _AggregatedTrade, symbol: str, receive_time: int) -> Trade:
        """Executions of one order at one price, added up; `a` is an id of its own, dense as `t` is.

        {"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","E":1616176861895,"s":"BTCUSDT","a":640283266,
        "p":"58942.01000000","q":"0.00035600","f":716849523,"l":716849523,"T":1616176861893,"m":false,"M":true}}
        """
        return self._trade(message, message.a, symbol, receive_time)

    def _trade(
        self, message: _Trade | _AggregatedTrade, trade_id: int, symbol: str, receive_time: int
    ) -> Trade:
        price = validation.positive_price(message.p)
        size = validation.size(message.q)
        return Trade(
            venue=self.venue,
            symbol=symbol,
            trade_id=str(trade_id),
            sequence=validation.sequence(trade_id),
            price=price,
            size=size,
            side="sell" if message.m else "buy",
            event_time=validation.micros(message.T),
            receive_time=receive_time,
            inexact=validation.is_inexact(message.p, price) or validation.is_inexact(message.q, size),
        )

    def on_book_ticker(self, message: _BookTicker, symbol: str, receive_time: int) -> Quote:
        """Best bid and ask; spot gives no time, an empty side comes as price 0.

        {"stream":"btcusdt@bookTicker","data":{"u":50093239212,"s":"BTCUSDT","b":"61837.63000000",
        "B":"3.78826000","a":"61837.64000000","A":"1.54698000"}}
        """
        bid, bid_size = validation.price_or_empty(message.b), validation.size(message.B)
        ask, ask_size = validation.price_or_empty(message.a), validation.size(message.A)
        inexact = (
            validation.is_inexact(message.b, bid)
            or validation.is_inexact(message.B, bid_size)
            or validation.is_inexact(message.a, ask)
            or validation.is_inexact(message.A, ask_size)
        )
        return Quote(
            venue=self.venue,
            symbol=symbol,
            bid=bid,
            bid_size=bid_size if bid else 0.0,
            ask=ask,
            ask_size=ask_size if ask else 0.0,
            sequence=validation.sequence(message.u),
            event_time=None,
            receive_time=receive_time,
            inexact=inexact,
        )

    def _route(self, stream: str) -> _Route:
        found = self.channel_of(stream)
        assert found is not None
        channel, venue_symbol = found
        frame_type, data_type, handler = self._handlers[channel]
        return _Route(
            msgspec.json.Decoder(frame_type).decode,
            msgspec.json.Decoder(data_type).decode,
            handler,
            venue_symbol,
            self._unified[venue_symbol],
        )


def _decoded(decode: Callable[[bytes], _T], raw: bytes) -> _T:
    try:
        return decode(raw)
    except msgspec.ValidationError as error:
        raise BadRecord("shape", f"the message has not the expected shape: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRecord("json", f"the frame is not JSON: {error}") from None
