"""The contract of every venue that has no file of its own: ccxt's unified structures as frames.

A frame is JSON: `{"stream": "trades/XXBTZUSD", "data": [...]}` with a structure of ccxt, cut down to the
fields that are read, or a word on a subscription: `{"ack": 1}`, `{"refused": 1, "message": "..."}`.
Trades that were asked for beside their stream, to see whether it is whole, are marked `"asked": true`.
Answers of REST are `{"data": ...}`. Trades carry no sequence: ccxt does not tell which ids are dense.
"""

import functools
from collections import deque
from collections.abc import Collection, Iterable, Sequence
from typing import Any, ClassVar, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec

from producers import validation
from producers.ccxt_feed import unified
from producers.ccxt_feed.capabilities import KINDS, PAGE, Capabilities, Way, capabilities, is_known
from producers.ccxt_feed.structures import (
    Market,
    UnifiedBook,
    UnifiedCandle,
    UnifiedFunding,
    UnifiedLiquidation,
    UnifiedTicker,
    UnifiedTrade,
)
from producers.exchange import (
    CHANNELS,
    BadRecord,
    Call,
    CallKind,
    Channel,
    Control,
    Exchange,
    Limits,
    MarketRecord,
    Request,
    Stream,
)
from schemas.errors import ConfigurationError
from schemas.records import Instrument, Micros, Trade

STREAMS: Final = "/streams"
POLLS: Final = "/polls"
"""Paths: what is polled has a connection of its own, so that neither ends with the other."""

MESSAGE_S: Final = 8.0
"""A request names no more streams than are subscribed in so long, at a venue's pace."""

REMEMBERED: Final = 256
"""Trades of a symbol by which it shows whether a page names them as the stream does."""

CALL_KINDS: Final[dict[str, CallKind]] = {
    "load_markets": "instruments",
    "fetch_trades": "trades",
    "fetch_order_book": "book",
    "fetch_ohlcv": "candles",
    "fetch_ticker": "ticker",
    "fetch_funding_rate": "derivatives",
    "fetch_time": "time",
}


class _Frame(msgspec.Struct):
    stream: str = ""
    data: msgspec.Raw = msgspec.Raw(b"null")
    asked: bool = False
    ack: int | None = None
    refused: int | None = None
    message: str = ""


class _Answer(msgspec.Struct):
    data: msgspec.Raw


_FRAME: Final = msgspec.json.Decoder(_Frame)
_ANSWER: Final = msgspec.json.Decoder(_Answer)
_MARKETS: Final = msgspec.json.Decoder(list[Market])
_TRADES: Final = msgspec.json.Decoder(list[UnifiedTrade])
_TICKER: Final = msgspec.json.Decoder(UnifiedTicker)
_FUNDING: Final = msgspec.json.Decoder(UnifiedFunding)
_BOOK: Final = msgspec.json.Decoder(UnifiedBook)
_CANDLES: Final = msgspec.json.Decoder(list[UnifiedCandle])
_LIQUIDATIONS: Final = msgspec.json.Decoder(list[UnifiedLiquidation])


class CcxtExchange(Exchange):
    """One market of one venue of ccxt; `ccxt_exchange` makes a class of it for each."""

    capabilities: ClassVar[Capabilities]
    dense_trades: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        # Not registered: files of our own have their names to themselves.
        super(Exchange, cls).__init_subclass__(**kwargs)

    def __init__(
        self,
        instruments: Iterable[Instrument],
        channels: Collection[Channel] = ("trades", "quotes"),
        aggregated: Iterable[str] = (),
        candle_interval: str = "1m",
    ) -> None:
        intervals = self.capabilities.intervals
        if "candles" in channels and intervals and candle_interval not in intervals:
            has = ", ".join(sorted(intervals))
            raise ConfigurationError(
                f"{self.venue} {self.market} has no candles of {candle_interval}; it has {has}"
            )
        self._named: dict[str, bool] = {}
        """Whether the stream of a symbol's trades brings the venue's ids."""
        self._recent: dict[str, deque[tuple[Micros, str]]] = {}
        super().__init__(instruments, channels, aggregated, candle_interval)

    def drop(self, symbol: str) -> None:
        """See `Exchange.drop`."""
        super().drop(symbol)
        self._named.pop(symbol, None)
        self._recent.pop(symbol, None)

    # symbols

    @classmethod
    def guess(cls, venue_symbol: str) -> Instrument | None:
        """Nothing: each venue has its own rule, and its list of markets tells."""
        return None

    @classmethod
    def venue_symbol(cls, unified: str) -> str:
        """The unified symbol itself: only the list of markets knows the venue's."""
        return unified

    @classmethod
    def instruments_call(cls) -> Call:
        """All markets at once."""
        return Call("instruments", "/load_markets")

    @classmethod
    def read_instruments(cls, body: bytes, receive_time: Micros) -> list[Instrument]:
        """See `Exchange.read_instruments`; options and contracts of unknown size are left out."""
        markets = validation.decoded(_MARKETS.decode, bytes(validation.decoded(_ANSWER.decode, body).data))
        found = (
            unified.instrument_of(market, cls.venue, receive_time)
            for market in markets
            if market.type == cls.capabilities.kind
        )
        return [instrument for instrument in found if instrument is not None]

    # streams

    @classmethod
    def stream_of(cls, frame: bytes) -> str | None:
        """See `Exchange.stream_of`."""
        try:
            return _FRAME.decode(frame).stream or None
        except msgspec.MsgspecError:
            return None

    @classmethod
    def channel_of(cls, stream: str) -> tuple[Channel, str] | None:
        """`trades/XXBTZUSD`, and for candles with their interval `candles@1m/XXBTZUSD`."""
        name, _, venue_symbol = stream.partition("/")
        channel = name.partition("@")[0]
        return (channel, venue_symbol) if channel in CHANNELS and venue_symbol else None

    @classmethod
    def is_trade_frame(cls, frame: bytes) -> bool:
        """See `Exchange.is_trade_frame`."""
        return frame.startswith(b'{"stream":"trades/')

    @classmethod
    def ways(cls, channel: Channel) -> Sequence[Way]:
        """The methods that bring a channel, the best first."""
        return cls.capabilities.ways.get(channel, ())

    def streams(self, symbols: Collection[str] | None = None) -> list[Stream]:
        """See `Exchange.streams`."""
        found = []
        for symbol in self.instruments if symbols is None else symbols:
            instrument = self.instruments.get(symbol)
            if instrument is None:
                continue
            for channel in self.capabilities.ways:
                if channel in self.channels:
                    suffix = f"@{self.candle_interval}" if channel == "candles" else ""
                    path = STREAMS if self.ways(channel)[0].is_stream else POLLS
                    found.append(
                        Stream(f"{channel}{suffix}/{instrument.venue_symbol}", channel, symbol, path)
                    )
        return sorted(found, key=lambda stream: stream.channel == "trades")

    def requests(
        self, streams: Sequence[Stream], number: int, now_s: float, subscribe: bool = True
    ) -> list[Request]:
        """What `connection` understands: names of streams, with what it has to ask ccxt for."""
        size = self.limits.streams_per_message
        groups = [streams[start : start + size] for start in range(0, len(streams), size)]
        return [
            Request(
                number + offset,
                msgspec.json.encode(
                    {"id": number + offset, "subscribe" if subscribe else "unsubscribe": group}
                ).decode(),
                tuple(stream.name for stream in group),
            )
            for offset, group in enumerate(groups)
        ]

    def parse(self, frame: bytes, receive_time: Micros) -> Sequence[MarketRecord | Control]:
        """See `Exchange.parse`."""
        found = validation.decoded(_FRAME.decode, frame)
        if found.ack is not None:
            return [Control("accepted", found.ack)]
        if found.refused is not None:
            return [Control("refused", found.refused, found.message)]
        named = self.channel_of(found.stream)
        instrument = None if named is None else self.by_name.get(named[1])
        if named is None or instrument is None or named[0] not in self.channels:
            return []
        if found.asked:
            page = self._page(bytes(found.data), instrument, receive_time)
            return page if self._shares_names(instrument.symbol, page) else []
        interval = found.stream.partition("/")[0].partition("@")[2]
        return self._records(named[0], bytes(found.data), instrument, interval, receive_time)

    # REST

    def trades_call(self, symbol: str, first: int | None, last: int | None) -> Call | None:
        """The newest trades: venues differ in whether they can be asked for a time."""
        if first is not None or not any(not way.is_stream for way in self.ways("trades")):
            return None
        query = urlencode({"symbol": symbol, "limit": PAGE})
        return Call("trades", f"/fetch_trades?{query}", symbol=symbol)

    def call_of(self, url: str) -> Call | None:
        """See `Exchange.call_of`."""
        parts = urlsplit(url)
        endpoint = parts.path.rpartition("/")[2]
        kind = CALL_KINDS.get(endpoint)
        if kind is None:
            return None
        symbol = dict(parse_qsl(parts.query)).get("symbol", "")
        return Call(kind, f"/{endpoint}?{parts.query}" if parts.query else f"/{endpoint}", symbol=symbol)

    def read(self, call: Call, body: bytes, receive_time: Micros) -> list[MarketRecord]:
        """See `Exchange.read`; what is polled comes as frames instead."""
        instrument = self.instruments.get(call.symbol)
        if call.kind != "trades" or instrument is None:
            return []
        page = self._page(bytes(validation.decoded(_ANSWER.decode, body).data), instrument, receive_time)
        covered = self._recent.get(call.symbol, ())
        if not self._shares_names(call.symbol, page) and any(
            page[0].event_time < time < page[-1].event_time for time, _ in covered
        ):
            raise BadRecord(
                "id", "past trades have other ids than those of the stream: which are new is unknown"
            )
        return list(page)

    def _records(
        self, channel: Channel, data: bytes, instrument: Instrument, interval: str, receive_time: Micros
    ) -> Sequence[MarketRecord]:
        """The records of a unified structure."""
        match channel:
            case "trades":
                return self._trades(data, instrument, receive_time)
            case "quotes":
                row = _of(validation.decoded(_TICKER.decode, data), instrument)
                found: MarketRecord | None = unified.quote(row, instrument, receive_time)
            case "tickers":
                row = _of(validation.decoded(_TICKER.decode, data), instrument)
                found = unified.ticker(row, instrument, receive_time)
            case "books":
                book = _of(validation.decoded(_BOOK.decode, data), instrument)
                found = unified.book(book, instrument, receive_time)
            case "derivatives":
                funding = _of(validation.decoded(_FUNDING.decode, data), instrument)
                found = unified.derivative(funding, instrument, receive_time)
            case "liquidations":
                rows = validation.decoded(_LIQUIDATIONS.decode, data)
                return [unified.liquidation(_of(row, instrument), instrument, receive_time) for row in rows]
            case "candles":
                candles = validation.decoded(_CANDLES.decode, data)
                made = [unified.candle(row, instrument, interval, receive_time) for row in candles]
                return [candle for candle in made if candle is not None]
            case _:
                return []
        return [] if found is None else [found]

    def _trades(self, data: bytes, instrument: Instrument, receive_time: Micros) -> list[Trade]:
        rows = [_of(row, instrument) for row in validation.decoded(_TRADES.decode, data)]
        if not rows:
            return []
        symbol = instrument.symbol
        # Once a trade of a stream had no id, none of the symbol is known by one: a page must say the same.
        named = self._named.get(symbol, True) and all(row.id not in (None, "") for row in rows)
        found = unified.trades(rows, instrument, receive_time, backfilled=False, named=named)
        self._named[symbol] = named
        recent = self._recent.get(symbol)
        if recent is None:
            recent = self._recent[symbol] = deque(maxlen=REMEMBERED)
        recent.extend((trade.event_time, trade.trade_id) for trade in found)
        return found

    def _page(self, data: bytes, instrument: Instrument, receive_time: Micros) -> list[Trade]:
        """Trades that were asked for, known by ids as those of the stream are."""
        rows = validation.decoded(_TRADES.decode, data)
        named = self._named.get(instrument.symbol)
        if named is None:
            named = all(row.id not in (None, "") for row in rows)
        return unified.trades(rows, instrument, receive_time, backfilled=True, named=named)

    def _shares_names(self, symbol: str, page: Sequence[Trade]) -> bool:
        """Whether any trade of a page is one of the stream, by its id."""
        ids = {trade.trade_id for trade in page}
        return any(trade_id in ids for _, trade_id in self._recent.get(symbol, ()))


@functools.cache
def ccxt_exchange(venue: str, market: str) -> type[CcxtExchange]:
    """The class of a venue's market.

    Args:
        venue: A name of ccxt, lower case, or one with the kind of market behind it: `okxswap`.
        market: Kind of market: `spot`, `swap` or `future`.

    Raises:
        ConfigurationError: ccxt does not know it; near matches are named.
    """
    if not is_known(venue):
        for name in KINDS:
            if venue.endswith(name) and is_known(venue.removesuffix(name)):
                venue, market = venue.removesuffix(name), name
                break
    known = capabilities(venue, market)
    per_minute = 60_000 / known.pace_ms
    attributes = {
        "__doc__": f"{venue} {known.kind}, by ccxt.",
        "__module__": __name__,
        "venue": venue,
        "market": known.kind,
        "capabilities": known,
        "websocket_url": f"ccxt://{venue}-{known.kind}",
        "rest_url": f"ccxt://{venue}-{known.kind}",
        "testnet_websocket_url": f"ccxt://{venue}-{known.kind}-test" if known.has_testnet else None,
        "testnet_rest_url": f"ccxt://{venue}-{known.kind}-test" if known.has_testnet else None,
        "ping_path": "/fetch_time",
        "channels_available": frozenset(known.ways),
        "limits": Limits(
            messages_per_s=100.0,
            streams_per_message=max(1, min(20, int(MESSAGE_S * 1_000 / known.pace_ms))),
            streams_per_connection=100,
            connections_per_minute=30.0,
            rest_weight_per_minute=per_minute,
        ),
    }
    return type(f"Ccxt{venue.capitalize()}{known.kind.capitalize()}", (CcxtExchange,), attributes)


def other_exchange(venue: str, market: str, own: Collection[tuple[str, str]]) -> type[CcxtExchange]:
    """The class of a venue's market that has no file of ours.

    Args:
        venue: Lower case.
        market: Kind of market.
        own: Venues and markets that have one; other markets of these venues are not ccxt's to feed, since
            they would use the same keys.

    Raises:
        ConfigurationError: It is not supported; the message lists what is, or near matches.
    """
    names = ", ".join(f"{name} {kind}" for name, kind in sorted(own))
    if any(venue == name for name, _ in own):
        raise ConfigurationError(f"{venue} {market} is not supported; supported: {names}")
    try:
        return ccxt_exchange(venue, market)
    except ConfigurationError as error:
        raise ConfigurationError(f"{error}; with files of their own: {names}") from None


def _of(row: Any, instrument: Instrument) -> Any:
    """A structure, if it is of the symbol whose stream brought it."""
    if row.symbol is not None and row.symbol != instrument.symbol:
        raise BadRecord("symbol", f"expected {instrument.symbol} in its stream, got {row.symbol!r}")
    return row
