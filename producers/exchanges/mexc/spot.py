"""MEXC spot. Rules of the wire: https://www.mexc.com/api-docs/spot-v3/websocket-market-streams.

Market data comes as protobuf, answers to requests as JSON. A frame of market data in protobuf's JSON form is
read as well: recorders write it so.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Any, ClassVar, Final

import msgspec

from producers import protobuf, validation
from producers.exchange import (
    BadRecord,
    Call,
    Channel,
    Control,
    Exchange,
    Limits,
    MarketRecord,
    Request,
    Stream,
)
from producers.exchanges.mexc import messages, rest
from producers.exchanges.mexc.records import (
    BY_STREAM,
    TradeIds,
    book_update,
    candle,
    interval_of,
    side_of,
    spot_trade,
)
from producers.exchanges.mexc.requests import SpotRequests
from schemas.records import (
    BookUpdate,
    ExchangeCandle,
    Instrument,
    Micros,
    Quote,
    Ticker,
    Trade,
)

PATH: Final = "/ws"

NAMES: Final[dict[Channel, str]] = {
    "quotes": "spot@public.aggre.bookTicker.v3.api.pb@100ms@{symbol}",
    "books": "spot@public.aggre.depth.v3.api.pb@100ms@{symbol}",
    "tickers": "spot@public.miniTicker.v3.api.pb@{symbol}@24H",
    "candles": "spot@public.kline.v3.api.pb@{symbol}@{interval}",
    "trades": "spot@public.aggre.deals.v3.api.pb@100ms@{symbol}",
}
"""The streams that are asked for, trades last; those of 10 ms say the same in more frames."""

KINDS: Final[dict[str, tuple[Channel, int]]] = {
    name.split("@")[1]: (channel, name.split("@").index("{symbol}")) for channel, name in NAMES.items()
}
"""Channel, and the place of the symbol, by the second word of a stream's name."""

DEPTH_LEVELS: Final = 1_000
TRADES_MAX: Final = 1_000

Handler = Callable[[messages.Push, str, Micros], Sequence[MarketRecord]]

_TEXT: Final = msgspec.json.Decoder(messages.Text, strict=False)


class MexcSpot(Exchange):
    """Trades, best bid and ask, the book, 24 h tickers and candles."""

    venue: ClassVar[str] = "mexc"
    market: ClassVar[str] = "spot"
    aliases: ClassVar[tuple[str, ...]] = ("mexc-global", "mxc")
    websocket_url: ClassVar[str] = "wss://wbs-api.mexc.com"
    rest_url: ClassVar[str] = "https://api.mexc.com"
    ping_path: ClassVar[str] = "/api/v3/time"
    channels_available: ClassVar[frozenset[Channel]] = frozenset(NAMES)
    dense_trades: ClassVar[bool] = False
    heartbeat_s: ClassVar[float | None] = 20.0
    limits: ClassVar[Limits] = Limits(
        messages_per_s=100,
        # The answer to one stream can be told from that to another only by the words in it.
        streams_per_message=1,
        streams_per_connection=30,
        rest_weight_per_minute=3_000,
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._interval = interval_of(self.candle_interval if "candles" in self.channels else "1m")
        self._ids = TradeIds()
        handlers: dict[Channel, tuple[str, Handler]] = {
            "trades": ("public_aggre_deals", self.on_deals),
            "quotes": ("public_aggre_book_ticker", self.on_book_ticker),
            "books": ("public_aggre_depths", self.on_depth),
            "tickers": ("public_mini_ticker", self.on_mini_ticker),
            "candles": ("public_spot_kline", self.on_kline),
        }
        self._handlers = [found for channel, found in handlers.items() if channel in self.channels]

    # symbols

    @classmethod
    def guess(cls, venue_symbol: str) -> Instrument | None:
        """`BTCUSDT` is BTC/USDT, by the longest asset at its end."""
        return rest.spot_guess(venue_symbol)

    @classmethod
    def venue_symbol(cls, unified: str) -> str:
        """`BTC/USDT` -> `BTCUSDT`."""
        return unified.replace("/", "").upper()

    @classmethod
    def instruments_call(cls) -> Call:
        """All symbols at once."""
        return Call("instruments", "/api/v3/exchangeInfo", 10)

    @classmethod
    def read_instruments(cls, body: bytes, receive_time: Micros) -> list[Instrument]:
        """See `mexc_rest.spot_instruments`."""
        return rest.spot_instruments(body, receive_time)

    # streams

    @classmethod
    def stream_of(cls, frame: bytes) -> str | None:
        """The channel that a frame of market data names."""
        try:
            if frame.startswith(b"{"):
                channel = validation.decoded(_TEXT.decode, frame).channel
            else:
                channel = protobuf.decode(messages.ChannelOnly, frame).channel
        except BadRecord:
            return None
        return channel if channel.startswith("spot@") else None

    @classmethod
    def channel_of(cls, stream: str) -> tuple[Channel, str] | None:
        """`spot@public.aggre.deals.v3.api.pb@100ms@BTCUSDT` -> `("trades", "BTCUSDT")`."""
        words = stream.split("@")
        kind = KINDS.get(words[1]) if len(words) == 4 and words[0] == "spot" else None
        return (kind[0], words[kind[1]]) if kind else None

    def streams(self, symbols: Collection[str] | None = None) -> list[Stream]:
        """One stream a channel and symbol."""
        wanted = self.instruments if symbols is None else symbols
        instruments = [self.instruments[symbol] for symbol in wanted if symbol in self.instruments]
        return [
            Stream(
                name.format(symbol=instrument.venue_symbol, interval=self._interval.stream),
                channel,
                instrument.symbol,
                PATH,
            )
            for channel, name in NAMES.items()
            if channel in self.channels
            for instrument in instruments
        ]

    def new_talk(self) -> SpotRequests:
        """See `Exchange.new_talk`."""
        return SpotRequests(self.channel_of)

    def requests(
        self, streams: Sequence[Stream], number: int, now_s: float, subscribe: bool = True
    ) -> list[Request]:
        """`{"method": "SUBSCRIPTION", "params": ["spot@public..."], "id": 1}`."""
        method = "SUBSCRIPTION" if subscribe else "UNSUBSCRIPTION"
        made = []
        step = self.limits.streams_per_message
        for offset, start in enumerate(range(0, len(streams), step)):
            names = tuple(stream.name for stream in streams[start : start + step])
            message = {"method": method, "params": names, "id": number + offset}
            made.append(Request(number + offset, msgspec.json.encode(message).decode(), names))
            self.talk.asked(number + offset, names)
        return made

    def heartbeat(self, now_s: float) -> str:
        """Asks for a PONG; a connection without any data is closed after a minute."""
        return '{"method":"PING"}'

    # frames

    def parse(self, frame: bytes, receive_time: Micros) -> Sequence[MarketRecord | Control]:
        """See `Exchange.parse`.

        The JSON frames of the venue's second interface, which has ended, are nobody's: lists, and objects
        whose channel is `push.*`.
        """
        first = frame[:1]
        if first == b"{":
            text = validation.decoded(_TEXT.decode, frame)
            if not text.channel:
                return self._control(text)
            return self._records(text, receive_time) if text.channel.startswith("spot@") else ()
        if first == b"[":
            return ()
        push = protobuf.decode(messages.Push, frame)
        if not push.channel:
            raise BadRecord("shape", "the frame names no channel")
        return self._records(push, receive_time)

    def _control(self, reply: messages.Text) -> Sequence[Control]:
        if not reply.msg:
            raise BadRecord("shape", "the frame is neither market data nor an answer to a request")
        if reply.msg == "PONG":
            return (Control("alive", None),)
        control = self.talk.answered(reply.id, reply.code, reply.msg)
        return (control,) if control else ()

    def _records(self, push: messages.Push, receive_time: Micros) -> Sequence[MarketRecord]:
        found = self.channel_of(push.channel)
        if found is None:
            return ()
        symbol = found[1]
        if push.symbol and push.symbol != symbol:
            raise BadRecord("symbol", f"expected symbol {symbol}, got {push.symbol}")
        instrument = self.by_name.get(symbol)
        if instrument is None:
            raise BadRecord("symbol", f"{symbol} of stream {push.channel} was not asked for")
        for body, handler in self._handlers:
            if getattr(push, body) is not None:
                return handler(push, instrument.symbol, receive_time)
        return ()

    # channels

    def on_deals(self, push: messages.Push, symbol: str, receive_time: Micros) -> list[Trade]:
        """Trades, each of one buyer and one seller.

        {"channel":"spot@public.aggre.deals.v3.api.pb@10ms@BTCUSDT","symbol":"BTCUSDT",
        "sendTime":"1782208006171","publicAggreDeals":{"deals":[{"price":"62383.56","quantity":"0.00008235",
        "tradeType":2,"time":"1782208006167"},{"price":"62383.57","quantity":"0.00019595","tradeType":1,
        "time":"1782208006167"}],"eventType":"spot@public.aggre.deals.v3.api.pb@10ms"}}
        """
        assert push.public_aggre_deals is not None
        ids = self._ids.frame(symbol)
        return [
            spot_trade(
                symbol,
                deal.price,
                deal.quantity,
                side_of(deal.trade_type),
                deal.time,
                receive_time,
                ids,
                deal.trade_id,
            )
            for deal in push.public_aggre_deals.deals
        ]

    def on_book_ticker(self, push: messages.Push, symbol: str, receive_time: Micros) -> list[Quote]:
        """Best bid and ask; a side that is empty has empty texts.

        {"channel":"spot@public.aggre.bookTicker.v3.api.pb@10ms@BTCUSDT","symbol":"BTCUSDT",
        "sendTime":"1782208005090","publicAggreBookTicker":{"bidPrice":"62383.56",
        "bidQuantity":"0.07956651","askPrice":"62383.57","askQuantity":"0.09556","version":"74891313262"}}
        """
        best = push.public_aggre_book_ticker
        assert best is not None
        texts = (best.bid_price, best.bid_quantity, best.ask_price, best.ask_quantity)
        bid, bid_size, ask, ask_size = (text or "0" for text in texts)
        bid_value, ask_value = validation.price_or_empty(bid), validation.price_or_empty(ask)
        values = (
            bid_value,
            validation.size(bid_size) if bid_value else 0.0,
            ask_value,
            validation.size(ask_size) if ask_value else 0.0,
        )
        return [
            Quote(
                self.venue,
                symbol,
                *values,
                sequence=validation.sequence_text(best.version) if best.version else None,
                event_time=_time(push),
                receive_time=receive_time,
                inexact=any(map(validation.is_inexact, texts, values)),
            )
        ]

    def on_depth(self, push: messages.Push, symbol: str, receive_time: Micros) -> list[BookUpdate]:
        """What changed in the book; the first version of a message is the last of the one before, + 1.

        {"channel":"spot@public.aggre.depth.v3.api.pb@10ms@BTCUSDT","symbol":"BTCUSDT",
        "sendTime":"1782208005090","publicAggreDepths":{"asks":[],"bids":[{"price":"61759.73",
        "quantity":"0.0001778"}],"eventType":"spot@public.aggre.depth.v3.api.pb@10ms",
        "fromVersion":"74891313263","toVersion":"74891313263"}}
        """
        depths = push.public_aggre_depths
        assert depths is not None
        first = validation.sequence_text(depths.from_version)
        last = validation.sequence_text(depths.to_version)
        if first > last:
            raise BadRecord("id", f"expected versions in their order, got {first} to {last}")
        bids, asks = (
            validation.levels([(level.price, level.quantity) for level in side])
            for side in (depths.bids, depths.asks)
        )
        return [book_update(symbol, "delta", (first, last), bids, asks, _time(push), receive_time)]

    def on_mini_ticker(self, push: messages.Push, symbol: str, receive_time: Micros) -> list[Ticker]:
        """Figures of the last 24 hours; `zonedRate` is the change in the time zone asked for: `24H`.

        {"channel":"spot@public.miniTicker.v3.api.pb@BTCUSDT@24H","symbol":"BTCUSDT",
        "sendTime":"1755076752201","publicMiniTicker":{"symbol":"BTCUSDT","price":"2.5174","rate":"0.0766",
        "zonedRate":"0.0766","high":"2.6299","low":"2.302","volume":"11336518.0264",
        "quantity":"4638390.17","lastCloseRate":"0.0767","lastCloseZonedRate":"0.0767",
        "lastCloseHigh":"2.6299","lastCloseLow":"2.302"}}
        """
        ticker = push.public_mini_ticker
        assert ticker is not None
        event_time = _time(push)
        if event_time is None:
            raise BadRecord("time", "the ticker has no time")
        return [
            Ticker(
                self.venue,
                symbol,
                last=validation.positive_price(ticker.price),
                bid=None,
                ask=None,
                open=None,
                high=validation.price_or_empty(ticker.high or "0"),
                low=validation.price_or_empty(ticker.low or "0"),
                base_volume=validation.size(ticker.quantity or "0"),
                quote_volume=validation.size(ticker.volume or "0"),
                change=None,
                change_percent=round(100.0 * validation.signed(ticker.zoned_rate or "0"), 8),
                event_time=event_time,
                receive_time=receive_time,
            )
        ]

    def on_kline(self, push: messages.Push, symbol: str, receive_time: Micros) -> list[ExchangeCandle]:
        """A candle as it stands, every second; the venue does not say which message of one is its last.

        {"channel":"spot@public.kline.v3.api.pb@BTCUSDT@Min15","publicSpotKline":{"interval":"Min15",
        "windowStart":1736410500,"openingPrice":"92925","closingPrice":"93158.47",
        "highestPrice":"93158.47","lowestPrice":"92800","volume":"36.83803224","amount":"3424811.05",
        "windowEnd":1736411400},"symbol":"BTCUSDT","symbolId":"2fb942154ef44a4ab2ef98c8afb6a4a7",
        "createTime":1736410707571}
        """
        kline = push.public_spot_kline
        assert kline is not None
        interval = BY_STREAM.get(kline.interval)
        if interval is None:
            return []
        prices = [
            validation.positive_price(text)
            for text in (kline.opening_price, kline.highest_price, kline.lowest_price, kline.closing_price)
        ]
        return [
            candle(
                symbol,
                interval.name,
                (validation.instant(kline.window_start), validation.instant(kline.window_end)),
                prices,
                (validation.size(kline.volume or "0"), validation.size(kline.amount or "0")),
                _time(push),
                receive_time,
            )
        ]

    # REST

    def book_call(self, symbol: str) -> Call | None:
        """The best levels of both sides."""
        return self._call(f"/api/v3/depth?symbol={{}}&limit={DEPTH_LEVELS}", symbol)

    def trades_call(self, symbol: str, first: int | None, last: int | None) -> Call | None:
        """The newest trades: there is no call for older ones, and none is numbered."""
        return self._call(f"/api/v3/trades?symbol={{}}&limit={TRADES_MAX}", symbol)

    def _call(self, path: str, symbol: str) -> Call | None:
        instrument = self.instruments.get(symbol)
        return self.call_of(path.format(instrument.venue_symbol)) if instrument else None

    def call_of(self, url: str) -> Call | None:
        """Book, trades and candles of a symbol that is fed, and the list of instruments."""
        return rest.spot_call(url, self.by_name)

    def read(self, call: Call, body: bytes, receive_time: Micros) -> list[MarketRecord]:
        """See `mexc_rest`."""
        if call.kind == "book":
            return [rest.spot_book(call.symbol, body, receive_time)]
        if call.kind == "trades":
            return [*rest.spot_trades(call.symbol, body, receive_time)]
        if call.kind == "candles":
            return [*rest.spot_candles(call, body, receive_time)]
        raise BadRecord("shape", f"no answers to {call.kind} are read")


def _time(push: messages.Push) -> Micros | None:
    """When the venue made the message, else when it sent it."""
    time_ms = push.create_time or push.send_time
    return validation.micros(time_ms) if time_ms else None
