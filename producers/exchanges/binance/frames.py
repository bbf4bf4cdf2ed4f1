"""Binance: streams and messages, as its markets share them.

The markets themselves are `spot.py`, with Binance US, and `usdm.py`.

Rules of the wire: https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams and
https://developers.binance.com/docs/derivatives/usds-margined-futures/websocket-market-streams. The shapes of
the messages stand in `wire.py`, the REST side in `rest.py`.

Passed over on purpose: partial books (`@depth5` to `@depth20`), which say nothing that the changes of
`@depth` do not, and cannot be told from them where they come without their stream's name; statistics of
other windows, block trades, averages and contract notices; entries of `!...@arr` about other symbols.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, ClassVar, Final, NamedTuple

import msgspec

from producers import validation
from producers.exchange import BadRecord, Channel, Control, MarketRecord, Request, Stream
from producers.exchanges.binance import wire
from producers.exchanges.binance.rest import BinanceRest
from schemas.errors import ConfigurationError
from schemas.records import (
    BookUpdate,
    ExchangeCandle,
    Instrument,
    Micros,
    Quote,
    Ticker,
    Trade,
)

STREAM_PREFIX: Final = b'{"stream":"'
PREFIX_LENGTH: Final = len(STREAM_PREFIX)

Handler = Callable[[Any, str, Micros], MarketRecord | None]


class _Route(NamedTuple):
    """How frames of one stream are read."""

    decode_frame: Callable[[bytes], Any]
    decode_data: Callable[[bytes], Any]
    handler: Handler
    venue_symbol: str
    symbol: str


class Binance(BinanceRest):
    """What the markets of Binance share; see `Exchange` for the contract of each method."""

    intervals: ClassVar[tuple[str, ...]] = wire.INTERVALS
    """Intervals of candles that the market streams."""

    def __init__(
        self,
        instruments: Iterable[Instrument],
        channels: Collection[Channel] = ("trades", "quotes"),
        aggregated: Iterable[str] = (),
        candle_interval: str = "1m",
    ) -> None:
        self._routes: dict[bytes, _Route] = {}
        """By the stream's name; made when a stream's first frame comes."""
        self._readers = {
            channel: (*wire.decoders(message), handler)
            for channel, (message, handler) in self.handlers().items()
        }
        super().__init__(instruments, channels, aggregated, candle_interval)
        if "candles" in self.channels and candle_interval not in self.intervals:
            raise ConfigurationError(
                f"{self.venue} {self.market} has no candles of {candle_interval}; it has "
                + ", ".join(self.intervals)
            )

    def handlers(self) -> dict[Channel, tuple[type[Any], Handler]]:
        """The shape of each channel's messages, and what reads them."""
        return {
            "trades": (wire.TradeMessage, self.on_trade),
            "aggregated_trades": (wire.AggregatedTradeMessage, self.on_aggregated_trade),
            "quotes": (wire.BookTickerMessage, self.on_book_ticker),
            "books": (wire.DepthMessage, self.on_depth),
            "tickers": (wire.TickerMessage, self.on_ticker),
            "candles": (wire.KlineMessage, self.on_kline),
        }

    def admit(self, instrument: Instrument) -> None:
        """See `Exchange.admit`; a route holds what it was made of, so all are made anew."""
        super().admit(instrument)
        self._routes.clear()

    def drop(self, symbol: str) -> None:
        """See `Exchange.drop`."""
        super().drop(symbol)
        self._routes.clear()

    # symbols and streams

    @classmethod
    def venue_symbol(cls, unified: str) -> str:
        """`BTC/USDT` -> `BTCUSDT`, `BTC/USDT:USDT-210625` -> `BTCUSDT_210625`."""
        pair, _, settled = unified.upper().partition(":")
        _, _, date = settled.partition("-")
        return pair.replace("/", "") + (f"_{date}" if date else "")

    @classmethod
    def stream_of(cls, frame: bytes) -> str | None:
        """Name of the stream that a recorded frame belongs to, whether combined or raw."""
        try:
            envelope = validation.decoded(wire.ENVELOPE.decode, frame)
        except BadRecord:
            return None
        return envelope.stream if envelope.stream is not None else wire.stream_of(envelope)

    @classmethod
    def channel_of(cls, stream: str) -> tuple[Channel, str] | None:
        """`btcusdt@trade` -> `("trades", "BTCUSDT")`."""
        name, _, suffix = stream.partition("@")
        channel = wire.SUFFIXES.get(suffix)
        if channel is None or channel not in cls.channels_available or name.startswith("!"):
            return None
        return channel, name.upper()

    def path_of(self, channel: Channel) -> str:
        """The WebSocket path that serves a channel."""
        return "/stream"

    def streams(self, symbols: Collection[str] | None = None) -> list[Stream]:
        """One stream for each channel of each symbol; its trades from `trade` or `aggTrade`, never both."""
        wanted = self.instruments if symbols is None else symbols
        names = {s: self.instruments[s].venue_symbol.lower() for s in wanted if s in self.instruments}
        streams = []
        for channel, suffix in wire.SUBSCRIBED.items():
            if channel in self.channels:
                ending = suffix + (self.candle_interval if channel == "candles" else "")
                path = self.path_of(channel)
                streams += [
                    Stream(f"{name}@{ending}", channel, symbol, path) for symbol, name in names.items()
                ]
        if not self.channels.isdisjoint(("trades", "aggregated_trades")):
            for symbol, name in names.items():
                if self.is_aggregated(symbol):
                    path = self.path_of("aggregated_trades")
                    streams.append(Stream(f"{name}@aggTrade", "aggregated_trades", symbol, path))
                else:
                    streams.append(Stream(f"{name}@trade", "trades", symbol, self.path_of("trades")))
        return streams

    def requests(
        self, streams: Sequence[Stream], number: int, now_s: float, subscribe: bool = True
    ) -> list[Request]:
        """`{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":1}`."""
        method = "SUBSCRIBE" if subscribe else "UNSUBSCRIBE"
        size = self.limits.streams_per_message
        requests: list[Request] = []
        for start in range(0, len(streams), size):
            names = tuple(stream.name for stream in streams[start : start + size])
            message = {"method": method, "params": names, "id": number + len(requests)}
            text = msgspec.json.encode(message).decode()
            requests.append(Request(number + len(requests), text, names))
        return requests

    # frames

    def parse(self, frame: bytes, receive_time: Micros) -> Sequence[MarketRecord | Control]:
        """See `Exchange.parse`; a combined frame of a known stream is decoded in one step."""
        if frame.startswith(STREAM_PREFIX):
            route = self._routes.get(frame[PREFIX_LENGTH : frame.find(b'"', PREFIX_LENGTH)])
            if route is not None:
                decode, _, handler, venue_symbol, symbol = route
                try:
                    message = decode(frame).data
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                    return self._parse_any(frame, receive_time)
                if message.s != venue_symbol:
                    raise BadRecord("symbol", f"expected symbol {venue_symbol}, got {message.s}")
                record = handler(message, symbol, receive_time)
                return (record,) if record is not None else ()
        return self._parse_any(frame, receive_time)

    def _parse_any(self, frame: bytes, receive_time: Micros) -> Sequence[MarketRecord | Control]:
        if frame.lstrip()[:1] == b"[":
            return self._parse_array(frame, receive_time)
        envelope = validation.decoded(wire.ENVELOPE.decode, frame)
        stream, data, is_about_all = envelope.stream, frame, False
        if stream is not None and envelope.data:
            data = bytes(envelope.data)
            if data[:1] == b"[":
                return self._parse_array(data, receive_time)
            is_about_all = stream.startswith("!")
            if is_about_all:
                envelope = validation.decoded(wire.ENVELOPE.decode, data)
                stream = None
        if envelope.e == "serverShutdown":
            return (Control("shutdown", None, "the server announces its end"),)
        if stream is None:
            stream = wire.stream_of(envelope)
            if stream is None:
                return wire.control(envelope) if data is frame else ()
        elif data is frame:
            raise BadRecord("shape", f"a frame of stream {stream} holds no data")
        found = self.channel_of(stream)
        if found is None:
            return ()
        if found[1] not in self.by_name:
            if is_about_all:
                return ()
            raise BadRecord("symbol", f"{found[1]} of stream {stream} was not asked for")
        return self._read_item(stream, data, receive_time)

    def _parse_array(self, data: bytes, receive_time: Micros) -> Sequence[MarketRecord]:
        """Messages about all symbols of the market: those of the symbols that are fed."""
        records: list[MarketRecord] = []
        for item in validation.decoded(wire.ARRAY.decode, data):
            stream = wire.stream_of(validation.decoded(wire.ENVELOPE.decode, bytes(item)))
            found = None if stream is None else self.channel_of(stream)
            if stream is not None and found is not None and found[1] in self.by_name:
                records += self._read_item(stream, bytes(item), receive_time)
        return records

    def _read_item(self, stream: str, data: bytes, receive_time: Micros) -> Sequence[MarketRecord]:
        route = self._route(stream)
        if route is None:
            return ()
        message = validation.decoded(route.decode_data, data)
        if message.s != route.venue_symbol:
            raise BadRecord("symbol", f"expected symbol {route.venue_symbol}, got {message.s}")
        record = route.handler(message, route.symbol, receive_time)
        return (record,) if record is not None else ()

    def _route(self, stream: str) -> _Route | None:
        """How a stream is read; None where its channel is not wanted of its symbol."""
        known = self._routes.get(stream.encode())
        if known is not None:
            return known
        found = self.channel_of(stream)
        assert found is not None
        channel, venue_symbol = found
        instrument = self.by_name[venue_symbol]
        if channel in ("trades", "aggregated_trades"):
            wanted = "aggregated_trades" if self.is_aggregated(instrument.symbol) else "trades"
            if channel != wanted or self.channels.isdisjoint(("trades", "aggregated_trades")):
                return None
        elif channel not in self.channels:
            return None
        route = _Route(*self._readers[channel], venue_symbol, instrument.symbol)
        self._routes[stream.encode()] = route
        return route

    # channels

    def on_trade(self, message: wire.TradeMessage, symbol: str, receive_time: Micros) -> Trade:
        """One execution; `m` says that the buyer is the maker, so the seller is the aggressor.

        {"stream":"btcusdt@trade","data":{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":3735683259,
        "p":"61837.63000000","q":"0.02000000","T":1723161255342,"m":true,"M":true}}
        """
        m = message
        return self.trade(symbol, m.t, m.p, m.q, m.T, m.m, receive_time)

    def on_aggregated_trade(
        self, message: wire.AggregatedTradeMessage, symbol: str, receive_time: Micros
    ) -> Trade:
        """Executions of one order at one price, added up; `a` is an id of its own, dense as `t` is.

        Where it is missing, as in 2019, the first and last trade are what tells it from others.

        {"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","E":1616176861895,"s":"BTCUSDT","a":640283266,
        "p":"58942.01000000","q":"0.00035600","f":716849523,"l":716849523,"T":1616176861893,"m":false,"M":true}}
        """
        m = message
        if m.a is not None:
            return self.trade(symbol, m.a, m.p, m.q, m.T, m.m, receive_time)
        unnumbered = self.trade(symbol, m.f, m.p, m.q, m.T, m.m, receive_time)
        return msgspec.structs.replace(unnumbered, trade_id=f"{m.f}-{m.l}", sequence=None)

    def on_book_ticker(self, message: wire.BookTickerMessage, symbol: str, receive_time: Micros) -> Quote:
        """Best bid and ask; spot gives no time, an empty side comes as price 0.

        {"stream":"btcusdt@bookTicker","data":{"u":50093239212,"s":"BTCUSDT","b":"61837.63000000",
        "B":"3.78826000","a":"61837.64000000","A":"1.54698000"}}
        """
        bid, bid_size = validation.price_or_empty(message.b), validation.size(message.B)
        ask, ask_size = validation.price_or_empty(message.a), validation.size(message.A)
        return Quote(
            self.venue,
            symbol,
            bid,
            bid_size if bid else 0.0,
            ask,
            ask_size if ask else 0.0,
            validation.sequence(message.u),
            None if message.T is None else validation.micros(message.T),
            receive_time,
            validation.is_inexact(message.b, bid)
            or validation.is_inexact(message.B, bid_size)
            or validation.is_inexact(message.a, ask)
            or validation.is_inexact(message.A, ask_size),
        )

    def on_depth(self, message: wire.DepthMessage, symbol: str, receive_time: Micros) -> BookUpdate:
        """Levels of the book that have changed since the message before; size 0 removes one.

        {"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1622363903670,"s":"BTCUSDT",
        "U":11294093710,"u":11294093726,"b":[["35743.98000000","0.00000000"]],
        "a":[["35743.88000000","0.24000000"],["35743.97000000","0.00000000"]]}}
        """
        if message.u < message.U:
            raise BadRecord("id", f"expected U <= u, got {message.U} and {message.u}")
        bid_prices, bid_sizes = validation.levels(message.b)
        ask_prices, ask_sizes = validation.levels(message.a)
        previous = message.pu
        return BookUpdate(
            venue=self.venue,
            symbol=symbol,
            kind="delta",
            first_sequence=validation.sequence(message.U),
            last_sequence=validation.sequence(message.u),
            # -1 stands where nothing came before.
            previous_sequence=None if previous is None or previous == -1 else validation.sequence(previous),
            bid_prices=bid_prices,
            bid_sizes=bid_sizes,
            ask_prices=ask_prices,
            ask_sizes=ask_sizes,
            checksum=None,
            event_time=validation.micros(message.E if message.T is None else message.T),
            receive_time=receive_time,
        )

    def on_ticker(self, message: wire.TickerMessage, symbol: str, receive_time: Micros) -> Ticker | None:
        """Figures of the last 24 hours; `@miniTicker` has no changes, futures no bid and ask.

        {"stream":"ethusdt@ticker","data":{"e":"24hrTicker","E":1653812650349,"s":"ETHUSDT",
        "p":"28.23000000","P":"1.600","w":"1781.16275609","x":"1764.61000000","c":"1792.84000000",
        "Q":"0.55720000","b":"1792.83000000","B":"1.62740000","a":"1792.84000000","A":"20.29140000",
        "o":"1764.61000000","h":"1808.98000000","l":"1748.94000000","v":"471703.53110000",
        "q":"840180761.51358100","O":1653726250344,"C":1653812650344,"F":841094172,"L":841646650,"n":552479}}
        """
        m = message
        return self.ticker(
            symbol, m.c, (m.o, m.h, m.l), (m.v, m.q), (m.p, m.P), (m.b, m.a), m.E, receive_time
        )

    def on_kline(self, message: wire.KlineMessage, symbol: str, receive_time: Micros) -> ExchangeCandle:
        """A candle as far as it has come; `x` says that it is closed, `T` is its last millisecond.

        {"stream":"btcusdt@kline_1m","data":{"e":"kline","E":1653818762502,"s":"BTCUSDT",
        "k":{"t":1653818760000,"T":1653818819999,"s":"BTCUSDT","i":"1m","f":1384844002,"L":1384844032,
        "o":"29038.46000000","c":"29038.47000000","h":"29038.47000000","l":"29038.46000000",
        "v":"0.20926000","n":31,"x":false,"q":"6076.58918320","V":"0.10436000","Q":"3030.45472920","B":"0"}}}
        """
        k = message.k
        if k.i not in wire.INTERVALS:
            raise BadRecord("shape", f"expected an interval such as 1m, got {k.i[:40]!r}")
        row = (k.t, k.o, k.h, k.l, k.c, k.v, k.T, k.q, k.n, k.V)
        found = self.candle(symbol, k.i, row, receive_time)
        return msgspec.structs.replace(
            found,
            first_sequence=None if k.f == -1 else validation.sequence(k.f),
            last_sequence=None if k.L == -1 else validation.sequence(k.L),
            closed=k.x,
            event_time=validation.micros(message.E),
        )
