"""The contract of a venue: what differs between exchanges, and nothing that touches a socket.

One venue is one file in `producers/exchanges/`, one subclass of `Exchange` for each of its markets:
declarative attributes and one handler a channel. Who calls what:

- before a feed begins: `instruments_call`, `instruments` (what the venue lists);
- once a connection: `streams`, `requests`; then `parse` for every frame, `heartbeat` on time;
- for what only REST knows: `book_call`, `trades_call`, `polls`, and `read` for each answer;
- captures and the simulator: `stream_of`, `channel_of`, `guess`, `call_of`.

A subclass registers itself by being defined; `producers.markets` finds it.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal, NamedTuple, TypeAlias, get_args

import msgspec

from infra.settings import producers as settings
from schemas.errors import ValidationError
from schemas.records import (
    BookUpdate,
    DerivativeTicker,
    ExchangeCandle,
    Instrument,
    Liquidation,
    Micros,
    Quote,
    Ticker,
    Trade,
)

Channel: TypeAlias = settings.Channel
CHANNELS: Final[tuple[Channel, ...]] = get_args(Channel)

MarketRecord: TypeAlias = (
    Trade | Quote | BookUpdate | Ticker | ExchangeCandle | DerivativeTicker | Liquidation
)
CallKind: TypeAlias = Literal["instruments", "book", "trades", "candles", "ticker", "derivatives", "time"]


class Control(msgspec.Struct, frozen=True):
    """A frame that is about the connection, not about the market.

    Attributes:
        kind: `accepted` or `refused` answers a subscription; `alive` answers a heartbeat; `shutdown`
            announces the server's end.
        request: Number of the request that is answered, None where there is none.
        message: The venue's words, for people.
    """

    kind: Literal["accepted", "refused", "alive", "shutdown"]
    request: int | None
    message: str = ""


class BadRecord(ValidationError):  # noqa: N818 - it is the record that is bad
    """One record of a frame breaks a rule: count it, send the frame to the dead letters, go on.

    Attributes:
        reason: Short name of the rule, for metrics: `price`, `size`, `time`, `symbol`, `json`, `shape`.
    """

    code = "BAD_RECORD"

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class OffBookTrade(Trade, frozen=True):
    """An execution beside the order book: it uses an id of trades up, but is no trade of the market.

    Who follows ids takes note of it, so that nothing counts as missing; nobody publishes it.
    """


class Stream(NamedTuple):
    """One subscription: a channel of a symbol.

    Attributes:
        name: The venue's name of it, unique within the venue's market (`btcusdt@trade`).
        channel: What it carries.
        symbol: Unified symbol.
        path: WebSocket path that serves it, below `websocket_url`.
    """

    name: str
    channel: Channel
    symbol: str
    path: str


class Request(msgspec.Struct, frozen=True):
    """A message that subscribes or unsubscribes streams.

    Attributes:
        number: By which its answer is known; see `Control.request`.
        text: What is sent.
        streams: Names of the streams that it is about.
    """

    number: int
    text: str
    streams: tuple[str, ...]


class Call(msgspec.Struct, frozen=True):
    """A GET of a venue's REST interface, as a value.

    Attributes:
        kind: What is asked for.
        path: Path and query, below `rest_url`.
        weight: What it costs of `Limits.rest_weight_per_minute`.
        symbol: Unified symbol, empty where it is about all.
        first: First sequence that is wanted, for trades by id.
        last: Last sequence that is wanted, None for all there are.
    """

    kind: CallKind
    path: str
    weight: int = 1
    symbol: str = ""
    first: int | None = None
    last: int | None = None


class Poll(NamedTuple):
    """A call that is repeated, for what a venue does not stream."""

    call: Call
    every_s: float


@dataclass(frozen=True, slots=True)
class Limits:
    """What a venue allows.

    Attributes:
        messages_per_s: Frames that a client may send in a second on a connection, pings included.
        streams_per_message: Streams named in one subscribe message.
        streams_per_connection: Streams of one connection.
        connections_per_minute: Attempts to connect from one address.
        connection_lifetime_s: A connection is replaced before it is so old; None if the venue sets no end.
        rest_weight_per_minute: Sum of the weights of calls from one address.
        frame_bytes: Largest frame that is accepted; a larger one closes the connection.
    """

    messages_per_s: float
    streams_per_message: int
    streams_per_connection: int
    connections_per_minute: float = 60.0
    connection_lifetime_s: float | None = 86_400.0
    rest_weight_per_minute: float = 1_200.0
    frame_bytes: int = 16 * 1024 * 1024


class _ServerTime(msgspec.Struct):
    """A venue's time in milliseconds, under the names that venues give it."""

    serverTime: int | None = None  # noqa: N815 - a venue's name
    server_time: int | None = None
    data: int | None = None


class Exchange(ABC):
    """One venue's market: no I/O, so every rule of it can be tested with a recorded frame.

    Args:
        instruments: What is fed; more may be admitted and dropped later.
        channels: What is fed of each; those that the market does not have are left out.
        aggregated: Unified symbols whose trades come from the aggregated stream instead of the single one.
        candle_interval: Interval of the venue's own candles.
    """

    venue: ClassVar[str]
    """Name in keys and settings, lower case."""
    market: ClassVar[str]
    """Kind of market: `spot`, `usdm`, `futures` ..."""
    aliases: ClassVar[tuple[str, ...]] = ()
    """Other names under which this market is asked for: `binance-futures`."""
    websocket_url: ClassVar[str]
    """Base of the WebSocket endpoint, without a path."""
    rest_url: ClassVar[str]
    """Base of the REST endpoint, without a path."""
    testnet_websocket_url: ClassVar[str | None] = None
    testnet_rest_url: ClassVar[str | None] = None
    ping_path: ClassVar[str]
    """REST path that answers with the venue's time: whether it can be reached, and how its clock goes."""
    channels_available: ClassVar[frozenset[Channel]]
    """The channels that the market has."""
    headers: ClassVar[Mapping[str, str]] = {}
    """What the venue wants in the headers of every connection and call."""
    dense_trades: ClassVar[bool] = True
    """Whether sequences of trades are contiguous for each symbol, so that a gap shows in them."""
    ping_after_s: ClassVar[float] = 30.0
    """Silence after which a WebSocket ping asks for a sign of life, s."""
    heartbeat_s: ClassVar[float | None] = None
    """How often `heartbeat` is sent, s; None where the venue wants none."""
    limits: ClassVar[Limits]

    registry: ClassVar[dict[tuple[str, str], type["Exchange"]]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "venue" in vars(cls) or "market" in vars(cls):
            Exchange.registry[cls.venue, cls.market] = cls

    def __init__(
        self,
        instruments: Iterable[Instrument],
        channels: Collection[Channel] = ("trades", "quotes"),
        aggregated: Iterable[str] = (),
        candle_interval: str = "1m",
    ) -> None:
        self.instruments: dict[str, Instrument] = {}
        self.by_name: dict[str, Instrument] = {}
        """The same by the venue's own symbol."""
        self.channels = frozenset(channels) & self.channels_available
        self.aggregated = frozenset(aggregated)
        self.candle_interval = candle_interval
        self.talk: Any = self.new_talk()
        """What was said on the connection that `requests` and `parse` are about; its owner sets it first."""
        for instrument in instruments:
            self.admit(instrument)

    def admit(self, instrument: Instrument) -> None:
        """Feed one more instrument, or take its new figures."""
        self.instruments[instrument.symbol] = instrument
        self.by_name[instrument.venue_symbol] = instrument

    def drop(self, symbol: str) -> None:
        """Feed a symbol no longer; its frames that still come are nobody's."""
        instrument = self.instruments.pop(symbol, None)
        if instrument is not None:
            self.by_name.pop(instrument.venue_symbol, None)

    # symbols

    @classmethod
    @abstractmethod
    def guess(cls, venue_symbol: str) -> Instrument | None:
        """The instrument of a venue's symbol by the rule of its name alone; None where that does not tell."""

    @classmethod
    @abstractmethod
    def venue_symbol(cls, unified: str) -> str:
        """The venue's own symbol of a unified one, by the venue's rule alone (no look-up)."""

    @classmethod
    @abstractmethod
    def instruments_call(cls) -> Call:
        """The call that lists what the market trades."""

    @classmethod
    @abstractmethod
    def read_instruments(cls, body: bytes, receive_time: Micros) -> list[Instrument]:
        """What an answer of `instruments_call` lists.

        Raises:
            BadRecord: The body is not such an answer.
        """

    # streams

    @classmethod
    @abstractmethod
    def stream_of(cls, frame: bytes) -> str | None:
        """Name of the stream that a recorded frame belongs to, as a subscription would name it; else None."""

    @classmethod
    @abstractmethod
    def channel_of(cls, stream: str) -> tuple[Channel, str] | None:
        """Channel and venue symbol of a stream's name; None for channels that are not read here."""

    @classmethod
    def is_trade_frame(cls, frame: bytes) -> bool:
        """Whether a frame is shed last: it holds trades, or is about the connection."""
        stream = cls.stream_of(frame)
        found = None if stream is None else cls.channel_of(stream)
        return found is None or found[0] in ("trades", "aggregated_trades")

    @abstractmethod
    def streams(self, symbols: Collection[str] | None = None) -> list[Stream]:
        """The streams of the channels of these unified symbols (all that are fed by default), trades last.

        A playback begins once trades are subscribed.
        """

    def new_talk(self) -> Any:
        """What must be remembered of one connection, so that its answers can be told to requests.

        Each connection has its own, since answers without a number are matched by their order. None where
        they carry one.
        """
        return None

    @abstractmethod
    def requests(
        self, streams: Sequence[Stream], number: int, now_s: float, subscribe: bool = True
    ) -> list[Request]:
        """The messages that subscribe (or unsubscribe) these streams, within `limits.streams_per_message`.

        Args:
            streams: All of one path.
            number: Of the first message; the others count on.
            now_s: The time, s since the epoch, for venues that want it in a request.
            subscribe: False to unsubscribe.
        """

    def heartbeat(self, now_s: float) -> str:
        """The message that is sent every `heartbeat_s`."""
        raise NotImplementedError(f"{self.venue} {self.market} has no heartbeat")

    @abstractmethod
    def parse(self, frame: bytes, receive_time: Micros) -> Sequence[MarketRecord | Control]:
        """The records of one frame, in its order; empty for frames that say nothing of interest.

        Books come as the venue sends them, unchecked: `producers.books` chains them.

        Args:
            frame: A WebSocket frame as received, text or binary.
            receive_time: When it left the socket, µs since the epoch.

        Raises:
            BadRecord: The frame cannot be read or a value breaks a rule; nothing of it is used.
        """

    # REST

    @classmethod
    def server_time(cls, body: bytes) -> Micros:
        """The venue's time in an answer of `ping_path`, µs since the epoch.

        Raises:
            BadRecord: The body has no time.
        """
        try:
            told = msgspec.json.decode(body, type=_ServerTime)
        except msgspec.MsgspecError as error:
            raise BadRecord("shape", f"the answer has no time of the venue: {error}") from None
        found = told.serverTime or told.server_time or told.data
        if not found:
            raise BadRecord("time", "the answer has no time of the venue")
        return found * 1_000

    def book_call(self, symbol: str) -> Call | None:
        """The call for a snapshot of a book; None where the stream itself brings one."""
        return None

    def trades_call(self, symbol: str, first: int | None, last: int | None) -> Call | None:
        """The call for one page of past trades.

        Args:
            symbol: Unified symbol.
            first: Sequence that the page begins with; None: the newest there are, where none are numbered.
            last: Last sequence that is wanted; None for all up to now.

        Returns:
            None where the venue has no such call. A page may hold less than was asked for: ask again.
        """
        return None

    def polls(self) -> list[Poll]:
        """What must be asked for again and again, since the venue does not stream it."""
        return []

    @abstractmethod
    def call_of(self, url: str) -> Call | None:
        """The call that a recorded URL was, with its unified symbol; None for what is not read here."""

    @abstractmethod
    def read(self, call: Call, body: bytes, receive_time: Micros) -> list[MarketRecord]:
        """The records in an answer to any call but `instruments_call`; trades by ascending sequence.

        Raises:
            BadRecord: The body is not an answer to this call.
        """
