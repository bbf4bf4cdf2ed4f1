"""What Gate.io's spot and futures markets share: requests and their answers, names of streams, REST calls.

Rules of the wire: https://www.gate.com/docs/developers/apiv4/ws/en/ (spot), .../futures/ws/en/ (futures),
.../apiv4/en/ (REST: 200 calls in 10 s for each endpoint and address).
"""

from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final, TypeAlias

import msgspec

from producers import validation
from producers.exchange import (
    BadRecord,
    Channel,
    Control,
    Exchange,
    Limits,
    MarketRecord,
    Request,
    Stream,
)
from producers.exchanges.gateio import records, wire
from schemas.errors import ConfigurationError
from schemas.records import ExchangeCandle, Instrument, Micros, Quote

READ: Final[Mapping[str, Channel]] = {
    "book_ticker": "quotes",
    "order_book_update": "books",
    "order_book": "books",
    "obu": "books",
    "tickers": "tickers",
    "candlesticks": "candles",
    "public_liquidates": "liquidations",
    "trades": "trades",
}
"""What is read, by the part of a channel's name after `spot.` or `futures.`."""

SUBSCRIBED: Final[Mapping[Channel, str]] = {
    "books": "order_book_update",
    "quotes": "book_ticker",
    "tickers": "tickers",
    "derivatives": "tickers",
    "candles": "candlesticks",
    "liquidations": "public_liquidates",
    "trades": "trades",
}
"""What is subscribed, in this order; tickers and derivatives come by one stream."""

INTERVALS: Final[Mapping[str, int]] = {
    "10s": 10,
    "1m": 60,
    "5m": 300,
    "15m": 900,
    "30m": 1_800,
    "1h": 3_600,
    "4h": 14_400,
    "8h": 28_800,
    "1d": 86_400,
    "7d": 604_800,
}
"""Lengths of the candles that both markets have, s; `30d` is a calendar month there, and left out."""

UPDATES: Final = frozenset({"update", "all", "", "snapshot"})
"""Events of frames that carry data: the documentation shows `obu` without one, recorders make snapshots."""

Handler: TypeAlias = Callable[[wire.Envelope, Micros], Sequence[MarketRecord]]


class GateProtocol(Exchange):
    """One market of Gate.io; a handler is a method `on_<channel>`."""

    venue_prefix: ClassVar[str]
    """Begins the names of the market's channels."""
    websocket_path: ClassVar[str]
    rest_path: ClassVar[str]
    pair_parameter: ClassVar[str]
    """Name of the venue's symbol in the query of a call."""
    book_parameters: ClassVar[tuple[str, ...]]
    """What follows the symbol in a subscription of a book."""
    intervals: ClassVar[Mapping[str, int]]
    """Lengths of the venue's candles, s."""
    rest_url: ClassVar[str] = "https://api.gateio.ws"
    testnet_rest_url: ClassVar[str | None] = "https://api-testnet.gateapi.io"
    ping_path: ClassVar[str] = "/api/v4/spot/time"
    heartbeat_s: ClassVar[float | None] = 15.0
    limits: ClassVar[Limits] = Limits(
        messages_per_s=20,
        streams_per_message=20,
        streams_per_connection=200,
        connections_per_minute=60,
        connection_lifetime_s=None,
        rest_weight_per_minute=1_200,
    )
    """The venue sets 300 connections an address, and calls; the pace and the size of requests are ours."""

    def __init__(
        self,
        instruments: Iterable[Instrument],
        channels: Collection[Channel] = ("trades", "quotes"),
        aggregated: Iterable[str] = (),
        candle_interval: str = "1m",
    ) -> None:
        super().__init__(instruments, channels, aggregated, candle_interval)
        if "candles" in self.channels and candle_interval not in self.intervals:
            raise ConfigurationError(
                f"{self.venue} {self.market} has no candles of {candle_interval!r}; "
                f"it has {', '.join(self.intervals)}"
            )
        wanted = {READ[SUBSCRIBED[channel]] for channel in self.channels} | {"quotes"}
        self._handlers: dict[str, Handler] = {
            f"{self.venue_prefix}.{name}": getattr(self, f"on_{name}")
            for name, channel in READ.items()
            if channel in wanted & self.channels_available
        }

    # streams

    @classmethod
    def stream_of(cls, frame: bytes) -> str | None:
        """`spot.trades/BTC_USDT`, `spot.candlesticks/1m_BTC_USDT`, `spot.obu/ob.BTC_USDT.400`."""
        try:
            envelope = validation.decoded(wire.ENVELOPE.decode, frame)
            if envelope.error is not None or envelope.event not in UPDATES:
                return None
            if cls._kind_of(envelope.channel) is None:
                return None
            if envelope.symbol:
                return f"{envelope.channel}/{envelope.symbol}"
            named = rows(wire.NAMED.decode, envelope.result)
        except BadRecord:
            return None
        for item in named:
            # A candle has a close, and a level a size, under names that mean the symbol elsewhere.
            symbol = item.s if isinstance(item.s, str) else item.c
            subject = item.n or item.currency_pair or item.contract or symbol
            return f"{envelope.channel}/{subject}" if subject else None
        return None

    @classmethod
    def channel_of(cls, stream: str) -> tuple[Channel, str] | None:
        """`spot.candlesticks/1m_BTC_USDT` -> `("candles", "BTC_USDT")`."""
        name, _, subject = stream.partition("/")
        channel = cls._kind_of(name)
        if channel == "candles":
            subject = subject.partition("_")[2]
        elif name.endswith(".obu"):
            subject = records.symbol_of(subject)
        return (channel, subject) if channel and subject else None

    def streams(self, symbols: Collection[str] | None = None) -> list[Stream]:
        """See `Exchange.streams`; what only brings derivatives is named after them."""
        found: dict[str, Stream] = {}
        for channel, name in SUBSCRIBED.items():
            if channel not in self.channels:
                continue
            for symbol in self.instruments if symbols is None else symbols:
                subject = self.instruments[symbol].venue_symbol
                if channel == "candles":
                    subject = f"{self.candle_interval}_{subject}"
                stream = Stream(f"{self.venue_prefix}.{name}/{subject}", channel, symbol, self.websocket_path)
                found.setdefault(stream.name, stream)
        return list(found.values())

    def requests(
        self, streams: Sequence[Stream], number: int, now_s: float, subscribe: bool = True
    ) -> list[Request]:
        """`{"time": 1611541000, "id": 1, "channel": "spot.trades", "event": "subscribe", "payload": [...]}`.

        One message for each book and candle, since their payload holds parameters of one symbol.
        """
        batches: list[list[Stream]] = []
        for stream in streams:
            last = batches[-1] if batches else None
            is_of_many = self._payload([stream]) == [_subject(stream)]
            if (
                last
                and is_of_many
                and _channel(last[0]) == _channel(stream)
                and len(last) < self.limits.streams_per_message
            ):
                last.append(stream)
            else:
                batches.append([stream])
        return [
            Request(
                number=number + place,
                text=msgspec.json.encode(
                    {
                        "time": int(now_s),
                        "id": number + place,
                        "channel": _channel(batch[0]),
                        "event": "subscribe" if subscribe else "unsubscribe",
                        "payload": self._payload(batch),
                    }
                ).decode(),
                streams=tuple(stream.name for stream in batch),
            )
            for place, batch in enumerate(batches)
        ]

    def heartbeat(self, now_s: float) -> str:
        """`{"time": 1611541000, "channel": "spot.ping"}`; also puts off the server's own time-out."""
        message = {"time": int(now_s), "channel": f"{self.venue_prefix}.ping"}
        return msgspec.json.encode(message).decode()

    def _payload(self, batch: Sequence[Stream]) -> list[str]:
        subjects = [_subject(stream) for stream in batch]
        if _channel(batch[0]).endswith(".order_book_update"):
            return [*subjects, *self.book_parameters]
        if _channel(batch[0]).endswith(".candlesticks"):
            return subjects[0].split("_", 1)
        return subjects

    @classmethod
    def _kind_of(cls, wire_channel: str) -> Channel | None:
        prefix, _, name = wire_channel.partition(".")
        channel = READ.get(name) if prefix == cls.venue_prefix else None
        return channel if channel in cls.channels_available else None

    # frames

    def parse(self, frame: bytes, receive_time: Micros) -> Sequence[MarketRecord | Control]:
        """See `Exchange.parse`; frames about symbols that are not fed are nobody's."""
        envelope = validation.decoded(wire.ENVELOPE.decode, frame)
        if envelope.error is not None or envelope.event in {"subscribe", "unsubscribe"}:
            return (_answer(envelope),)
        handler = self._handlers.get(envelope.channel)
        if handler is not None and envelope.event in UPDATES:
            return handler(envelope, receive_time)
        return self._notice(envelope)

    def _notice(self, envelope: wire.Envelope) -> Sequence[Control]:
        if envelope.channel == f"{self.venue_prefix}.pong":
            return (Control("alive", None),)
        if envelope.channel == f"{self.venue_prefix}.system":
            notice = validation.decoded(wire.NOTICE.decode, envelope.result)
            return (Control("shutdown", None, notice.msg),) if notice.type == "upgrade" else ()
        if not envelope.channel and not envelope.rest:
            raise BadRecord("shape", "the frame names no channel: it is none of API v4")
        return ()

    def _book_changes(self, envelope: wire.Envelope, receive_time: Micros) -> Sequence[MarketRecord]:
        if envelope.event == "snapshot":
            return self._whole_books(envelope, receive_time)
        change = validation.decoded(wire.BOOK_CHANGE.decode, envelope.result)
        instrument = self.by_name.get(records.symbol_of(change.s))
        if instrument is None:
            return ()
        time = validation.micros(change.t) if change.t else envelope.sent
        return (records.book_update(self.venue, change, instrument, time, receive_time),)

    def _whole_books(self, envelope: wire.Envelope, receive_time: Micros) -> Sequence[MarketRecord]:
        book = validation.decoded(wire.BOOK.decode, envelope.result)
        instrument = self.by_name.get(book.s or book.contract or envelope.symbol)
        if instrument is None:
            return ()
        time = validation.instant(book.t or book.update) if book.t or book.update else envelope.sent
        return (records.book_snapshot(self.venue, book, instrument, time, receive_time),)

    def _quotes(self, envelope: wire.Envelope, receive_time: Micros) -> Sequence[Quote]:
        ticker = validation.decoded(wire.BOOK_TICKER.decode, envelope.result)
        instrument = self.by_name.get(ticker.s)
        if instrument is None:
            return ()
        time = validation.micros(ticker.t) if ticker.t else envelope.sent
        return (records.quote(self.venue, ticker, instrument, time, receive_time),)

    def _candles(self, envelope: wire.Envelope, receive_time: Micros) -> Sequence[MarketRecord]:
        found: list[MarketRecord] = []
        for row in rows(wire.CANDLES.decode, envelope.result):
            name, _, symbol = row.n.partition("_")
            instrument = self.by_name.get(symbol)
            if instrument is not None:
                interval = self._interval_of(name)
                found.append(self._candle(row, instrument, interval, envelope.sent, receive_time))
        return found

    def _interval_of(self, name: str) -> tuple[str, int]:
        """Name and length of an interval, s."""
        if name not in self.intervals:
            raise BadRecord("shape", f"{self.venue} {self.market} has no candles of {name[:20]!r}")
        return name, self.intervals[name]

    @abstractmethod
    def _candle(
        self,
        row: wire.Candle,
        instrument: Instrument,
        interval: tuple[str, int],
        event_time: Micros | None,
        receive_time: Micros,
    ) -> ExchangeCandle:
        """The candle of a row."""

    def _fed(self, found: Iterable[Any], field: str) -> Iterator[tuple[Any, Instrument]]:
        """The rows of symbols that are fed, each with its instrument."""
        for row in found:
            instrument = self.by_name.get(getattr(row, field))
            if instrument is not None:
                yield row, instrument


def rows(decode: Callable[[bytes], Any], raw: bytes) -> list[Any]:
    """What a result holds: one row, a list of rows, or, in the tickers of 2021, a list of lists.

    Raises:
        BadRecord: It cannot be read.
    """
    found = validation.decoded(decode, raw)
    if not isinstance(found, list):
        return [found]
    return [row for item in found for row in (item if isinstance(item, list) else (item,))]


def _answer(envelope: wire.Envelope) -> Control:
    """What the venue answers to a request; `error` tells, and the older ones say no id."""
    request = envelope.id if isinstance(envelope.id, int) else None
    if envelope.error is not None:
        return Control("refused", request, f"{envelope.error.code}: {envelope.error.message}")
    status = validation.decoded(wire.STATUS.decode, envelope.result)
    if status is not None and status.status != "success":
        return Control("refused", request, f"{envelope.channel}: {status.status}")
    return Control("accepted", request)


def _channel(stream: Stream) -> str:
    return stream.name.partition("/")[0]


def _subject(stream: Stream) -> str:
    return stream.name.partition("/")[2]
