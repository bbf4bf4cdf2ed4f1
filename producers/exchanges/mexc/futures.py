"""MEXC futures. Rules of the wire: https://www.mexc.com/api-docs/futures/websocket-api.

Amounts are contracts on the wire. A contract of a market that settles in its quote currency is `contractSize`
base units; of one that settles in its base currency (BTC_USD), `contractSize` units of the quote currency.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Any, ClassVar, Final

import msgspec

from producers import validation
from producers.exchange import (
    BadRecord,
    Call,
    Channel,
    Control,
    Exchange,
    Limits,
    MarketRecord,
    Poll,
    Request,
    Stream,
)
from producers.exchanges.mexc import futures_messages as messages
from producers.exchanges.mexc import futures_records as records
from producers.exchanges.mexc import futures_rest as rest
from producers.exchanges.mexc.records import TradeIds, book_update, interval_of
from producers.exchanges.mexc.requests import FuturesRequests
from schemas.records import (
    BookUpdate,
    DerivativeTicker,
    ExchangeCandle,
    Instrument,
    Micros,
    Quote,
    Ticker,
    Trade,
)

PATH: Final = "/edge"

SUBJECTS: Final[dict[str, Channel]] = {
    "depth.full": "quotes",
    "depth": "books",
    "ticker": "tickers",
    "kline": "candles",
    "funding.rate": "derivatives",
    "fair.price": "derivatives",
    "index.price": "derivatives",
    "deal": "trades",
}
"""The channel of what a push is about, trades last; `sub.` subscribes it, `push.` brings it.

There is no stream of the best bid and ask: the best five levels, sent when any of them changes, are it.
"""

OPEN_INTEREST_EVERY_S: Final = 30.0
"""How often open interest is asked for where the ticker, which brings it, is not fed."""

Handler = Callable[[messages.Push, Instrument, Micros], Sequence[MarketRecord]]


class MexcFutures(Exchange):
    """Trades, best bid and ask, the book, 24 h tickers, candles, mark price and index, funding."""

    venue: ClassVar[str] = "mexc"
    market: ClassVar[str] = "futures"
    aliases: ClassVar[tuple[str, ...]] = ("mexc-swap", "mexc-contract", "mexc-usdm", "mexc-perpetual")
    websocket_url: ClassVar[str] = "wss://contract.mexc.com"
    rest_url: ClassVar[str] = "https://contract.mexc.com"
    ping_path: ClassVar[str] = "/api/v1/contract/ping"
    channels_available: ClassVar[frozenset[Channel]] = frozenset(SUBJECTS.values())
    dense_trades: ClassVar[bool] = False
    heartbeat_s: ClassVar[float | None] = 15.0
    limits: ClassVar[Limits] = Limits(
        # The venue names no limits of a connection: forty streams at once were seen to work.
        messages_per_s=20,
        streams_per_message=1,
        streams_per_connection=40,
        connection_lifetime_s=None,
        rest_weight_per_minute=600,
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._interval = interval_of(self.candle_interval if "candles" in self.channels else "1m")
        self._ids = TradeIds()
        handlers: dict[str, tuple[Handler, frozenset[Channel]]] = {
            "deal": (self.on_deal, frozenset(("trades",))),
            "depth": (self.on_depth, frozenset(("books",))),
            "depth.full": (self.on_depth_full, frozenset(("quotes",))),
            "ticker": (self.on_ticker, frozenset(("tickers", "derivatives"))),
            "kline": (self.on_kline, frozenset(("candles",))),
            "funding.rate": (self.on_funding_rate, frozenset(("derivatives",))),
            "fair.price": (self.on_fair_price, frozenset(("derivatives",))),
            "index.price": (self.on_index_price, frozenset(("derivatives",))),
        }
        self._handlers = {
            f"push.{subject}": handler
            for subject, (handler, channels) in handlers.items()
            if channels & self.channels
        }

    # symbols

    @classmethod
    def guess(cls, venue_symbol: str) -> Instrument | None:
        """`BTC_USDT` is BTC/USDT:USDT, `BTC_USD` is BTC/USD:BTC.

        The name does not tell the size of a contract, so one counts as one base unit.
        """
        return records.guess(venue_symbol)

    @classmethod
    def venue_symbol(cls, unified: str) -> str:
        """`BTC/USDT:USDT` -> `BTC_USDT`."""
        return unified.partition(":")[0].replace("/", "_").upper()

    @classmethod
    def instruments_call(cls) -> Call:
        """All contracts at once; allowed once in 5 s."""
        return Call("instruments", rest.DETAIL, rest.DETAIL_WEIGHT)

    @classmethod
    def read_instruments(cls, body: bytes, receive_time: Micros) -> list[Instrument]:
        """See `mexc_futures_rest.instruments`."""
        return rest.instruments(body, receive_time)

    # streams

    @classmethod
    def stream_of(cls, frame: bytes) -> str | None:
        """`depth@BTC_USDT`; a candle's ends in its interval: `kline@BTC_USDT@Min1`."""
        try:
            push = validation.decoded(messages.PUSH.decode, frame)
            subject = push.channel.removeprefix("push.")
            if subject == push.channel or not push.symbol:
                return None
            if subject != "kline":
                return f"{subject}@{push.symbol}"
            kline = validation.decoded(messages.KLINE.decode, bytes(push.data))
        except BadRecord:
            return None
        return f"{subject}@{push.symbol}@{kline.interval}"

    @classmethod
    def channel_of(cls, stream: str) -> tuple[Channel, str] | None:
        """`deal@BTC_USDT` -> `("trades", "BTC_USDT")`."""
        subject, _, rest_of_it = stream.partition("@")
        channel = SUBJECTS.get(subject)
        symbol = rest_of_it.partition("@")[0]
        return (channel, symbol) if channel and symbol else None

    def streams(self, symbols: Collection[str] | None = None) -> list[Stream]:
        """One stream a subject and symbol."""
        wanted = self.instruments if symbols is None else symbols
        names = {s: self.instruments[s].venue_symbol for s in wanted if s in self.instruments}
        return [
            Stream(
                f"{subject}@{name}" + (f"@{self._interval.stream}" if subject == "kline" else ""),
                channel,
                symbol,
                PATH,
            )
            for subject, channel in SUBJECTS.items()
            if channel in self.channels
            for symbol, name in names.items()
        ]

    def new_talk(self) -> FuturesRequests:
        """See `Exchange.new_talk`."""
        return FuturesRequests()

    def requests(
        self, streams: Sequence[Stream], number: int, now_s: float, subscribe: bool = True
    ) -> list[Request]:
        """`{"method":"sub.deal","param":{"symbol":"BTC_USDT"}}`, one a stream."""
        made = []
        for at, stream in enumerate(streams, number):
            subject, name, *interval = stream.name.split("@")
            param: dict[str, Any] = {"symbol": name}
            if interval:
                param["interval"] = interval[0]
            elif subject == "depth":
                # Else versions are merged, which saves frames and costs time.
                param["compress"] = False
            elif subject == "depth.full":
                param["limit"] = 5
            method = f"{'sub' if subscribe else 'unsub'}.{subject}"
            text = msgspec.json.encode({"method": method, "param": param}).decode()
            made.append(Request(at, text, (stream.name,)))
            self.talk.asked(method, made[-1])
        return made

    def heartbeat(self, now_s: float) -> str:
        """Sent however busy the connection is: it is closed a minute after the last one."""
        return '{"method":"ping"}'

    # frames

    def parse(self, frame: bytes, receive_time: Micros) -> Sequence[MarketRecord | Control]:
        """See `Exchange.parse`; pushes of channels that are not fed are nobody's."""
        push = validation.decoded(messages.PUSH.decode, frame)
        handler = self._handlers.get(push.channel)
        if handler is None:
            return () if push.channel.startswith("push.") else self._control(push)
        instrument = self.by_name.get(push.symbol or "")
        if instrument is None:
            raise BadRecord("symbol", f"{push.symbol} of {push.channel} was not asked for")
        return handler(push, instrument, receive_time)

    def _control(self, push: messages.Push) -> Sequence[Control]:
        if push.channel == "pong":
            return (Control("alive", None),)
        if not push.channel.startswith("rs."):
            raise BadRecord("shape", "the frame is neither market data nor an answer to a request")
        words = bytes(push.data).decode(errors="replace").strip('"')
        if "close the channel" in words:
            return (Control("shutdown", None, words),)
        control = self.talk.answered(push.channel, words)
        return (control,) if control else ()

    # channels

    def on_deal(self, push: messages.Push, instrument: Instrument, receive_time: Micros) -> list[Trade]:
        """Trades, the newest first on the wire; before 2025 one at a time, without an id.

        The ids count all contracts together, so they have holes; REST leaves them out.

        {"symbol":"BTC_USDT","data":[{"p":115309.8,"v":55,"T":2,"O":3,"M":1,"t":1755487578276,
        "i":"13064218826","cts":"1755487578276"},{"p":115309.8,"v":11,"T":1,"O":3,"M":1,"t":1755487578275,
        "i":"13064218827","cts":"1755487578275"}],"channel":"push.deal","ts":1755487578276}
        """
        deals = validation.decoded(messages.DEALS.decode, bytes(push.data))
        return records.trades(deals, instrument, receive_time, self._ids.frame(instrument.symbol))

    def on_depth(self, push: messages.Push, instrument: Instrument, receive_time: Micros) -> list[BookUpdate]:
        """What changed in the book, each time with the version before + 1; merged ones name their range.

        {"channel":"push.depth","data":{"asks":[[6859.5,3251,1]],"bids":[[6858.5,42,7]],"cts":1587442021983,
        "version":96801927},"symbol":"BTC_USDT","ts":1587442022003}
        """
        depth = validation.decoded(messages.DEPTH.decode, bytes(push.data))
        last = validation.sequence(depth.version if depth.end is None else depth.end)
        first = validation.sequence(last if depth.begin is None else depth.begin)
        if first > last:
            raise BadRecord("id", f"expected versions in their order, got {first} to {last}")
        return [
            book_update(
                instrument.symbol,
                "delta",
                (first, last),
                records.levels(depth.bids, instrument),
                records.levels(depth.asks, instrument),
                records.time_of(depth.cts or push.ts),
                receive_time,
            )
        ]

    def on_depth_full(self, push: messages.Push, instrument: Instrument, receive_time: Micros) -> list[Quote]:
        """The best levels, of which the best bid and ask are taken.

        {"channel":"push.depth.full","data":{"asks":[[31708.5,74950,2],[31709,8817,2]],
        "bids":[[31708,3210,1],[31706,184756,2]],"version":5194972869},"symbol":"BTC_USDT",
        "ts":1653995843510}
        """
        depth = validation.decoded(messages.FULL_DEPTH.decode, bytes(push.data))
        bids = [records.priced(level, instrument) for level in depth.bids]
        asks = [records.priced(level, instrument) for level in depth.asks]
        bid, bid_size, is_bid_inexact = max(bids, default=(None, 0.0, False))
        ask, ask_size, is_ask_inexact = min(asks, default=(None, 0.0, False))
        return [
            Quote(
                self.venue,
                instrument.symbol,
                bid,
                bid_size,
                ask,
                ask_size,
                validation.sequence(depth.version),
                records.time_of(depth.cts or push.ts),
                receive_time,
                is_bid_inexact or is_ask_inexact,
            )
        ]

    def on_ticker(
        self, push: messages.Push, instrument: Instrument, receive_time: Micros
    ) -> list[Ticker | DerivativeTicker]:
        """24 hour figures, and mark price, index, funding and open interest; every one to three seconds.

        {"channel":"push.ticker","data":{"amount24":898120149.6331,"ask1":29911.5,"bid1":29911,
        "contractId":10,"fairPrice":29911.1,"fundingRate":7.2e-05,"high24Price":31905.5,"holdVol":12357864,
        "indexPrice":29926.9,"lastPrice":29911.5,"lower24Price":29316,"maxBidPrice":32919.5,
        "minAskPrice":26934,"riseFallRate":-0.0275,"riseFallValue":-846,"symbol":"BTC_USDT",
        "timestamp":1654165943014,"volume24":295146577},"symbol":"BTC_USDT","ts":1654165943014}
        """
        ticker = validation.decoded(messages.TICKER.decode, bytes(push.data))
        told: list[Ticker | DerivativeTicker] = []
        if "tickers" in self.channels:
            told.append(records.ticker(ticker, instrument, receive_time))
        if "derivatives" in self.channels:
            told.append(records.derivative_ticker(ticker, instrument, receive_time))
        return told

    def on_kline(
        self, push: messages.Push, instrument: Instrument, receive_time: Micros
    ) -> list[ExchangeCandle]:
        """A candle as it stands; the venue does not say which message of one is its last.

        {"channel":"push.kline","data":{"a":99371.3865,"c":31575,"h":31585.5,"interval":"Min1","l":31574.5,
        "o":31576,"q":31468,"rc":31575,"rh":31585.5,"rl":31574.5,"ro":31576,"symbol":"BTC_USDT",
        "t":1654083480},"symbol":"BTC_USDT","ts":1654083512507}
        """
        kline = validation.decoded(messages.KLINE.decode, bytes(push.data))
        return records.candles(kline, instrument, records.time_of(push.ts), receive_time)

    def on_funding_rate(
        self, push: messages.Push, instrument: Instrument, receive_time: Micros
    ) -> list[DerivativeTicker]:
        """The rate of the next funding.

        {"channel":"push.funding.rate","data":{"rate":0.0012,"symbol":"BTC_USDT",
        "nextSettleTime":1587445200000},"symbol":"BTC_USDT","ts":1587442022503}
        """
        funding = validation.decoded(messages.FUNDING_RATE.decode, bytes(push.data))
        return [
            records.derivative(
                instrument,
                push.ts,
                receive_time,
                funding_rate=records.signed(funding.rate),
                next_funding_time=records.time_of(funding.next_settle_time),
            )
        ]

    def on_fair_price(
        self, push: messages.Push, instrument: Instrument, receive_time: Micros
    ) -> list[DerivativeTicker]:
        """The price that positions are valued at.

        {"channel":"push.fair.price","data":{"price":6867.5,"symbol":"BTC_USDT"},"symbol":"BTC_USDT",
        "ts":1587442021503}
        """
        price = validation.decoded(messages.PRICE.decode, bytes(push.data)).price
        return [
            records.derivative(instrument, push.ts, receive_time, mark_price=validation.price_number(price))
        ]

    def on_index_price(
        self, push: messages.Push, instrument: Instrument, receive_time: Micros
    ) -> list[DerivativeTicker]:
        """The price of the underlying.

        {"channel":"push.index.price","data":{"price":6861.7,"symbol":"BTC_USDT"},"symbol":"BTC_USDT",
        "ts":1587442021003}
        """
        price = validation.decoded(messages.PRICE.decode, bytes(push.data)).price
        return [
            records.derivative(instrument, push.ts, receive_time, index_price=validation.price_number(price))
        ]

    # REST

    def book_call(self, symbol: str) -> Call | None:
        """The best levels of both sides."""
        return self._call(rest.DEPTH + "{}?limit=1000", symbol)

    def trades_call(self, symbol: str, first: int | None, last: int | None) -> Call | None:
        """The newest trades: there is no call for older ones, and none is numbered."""
        return self._call(rest.DEALS + "{}?limit=100", symbol)

    def _call(self, path: str, symbol: str) -> Call | None:
        instrument = self.instruments.get(symbol)
        return self.call_of(path.format(instrument.venue_symbol)) if instrument else None

    def polls(self) -> list[Poll]:
        """Open interest, where no ticker brings it."""
        if "derivatives" not in self.channels or "tickers" in self.channels:
            return []
        paths = [f"{rest.TICKER}?symbol={item.venue_symbol}" for item in self.instruments.values()]
        return [Poll(call, OPEN_INTEREST_EVERY_S) for call in map(self.call_of, paths) if call]

    def call_of(self, url: str) -> Call | None:
        """Book, trades, candles and ticker of a contract that is fed, and the list of contracts."""
        return rest.call(url, self.by_name)

    def read(self, call: Call, body: bytes, receive_time: Micros) -> list[MarketRecord]:
        """See `mexc_futures_rest`; an answer about a contract that is fed no longer is nobody's."""
        instrument = self.instruments.get(call.symbol)
        return rest.read(call, instrument, body, receive_time) if instrument else []
