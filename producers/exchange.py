"""The contract of a venue: what differs between exchanges, and nothing that touches a socket.

One venue is one file in `producers/exchanges/`, one subclass of `Exchange`: declarative attributes and one
handler a channel. The session does all I/O and calls, in this order: `subscriptions` once a connection,
`parse` for every frame. The simulator and the captures ask `stream_of` and `unified_symbol`.

A subclass registers itself by being defined; `exchange_class("binance", "spot")` finds it.
"""

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias

import msgspec

import producers.exchanges
from schemas.errors import ConfigurationError, ValidationError
from schemas.records import Quote, Trade

Channel: TypeAlias = Literal["trades", "aggregated_trades", "quotes"]
MarketRecord: TypeAlias = Trade | Quote


class Control(msgspec.Struct, frozen=True):
    """A frame that is about the connection, not about the market.

    Attributes:
        kind: `accepted` or `refused` answers a subscription; `shutdown` announces the server's end.
        request: Number of the request that is answered, None where there is none.
        message: The venue's words, for people.
    """

    kind: Literal["accepted", "refused", "shutdown"]
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


@dataclass(frozen=True, slots=True)
class Limits:
    """What a venue allows on one connection.

    Attributes:
        messages_per_s: Frames that a client may send in a second, pings included.
        streams_per_message: Streams named in one subscribe message.
        streams_per_connection: Streams of one connection.
        frame_bytes: Largest frame that is accepted; a larger one closes the connection.
    """

    messages_per_s: float
    streams_per_message: int
    streams_per_connection: int
    frame_bytes: int = 16 * 1024 * 1024


class Exchange(ABC):
    """One venue's market: pure, so every rule of it can be tested with a recorded frame.

    Args:
        symbols: The venue's symbol of each unified symbol that is fed (`{"BTC/USDT": "BTCUSDT"}`).
        aggregated: Unified symbols whose trades come from the aggregated stream instead of the single one.
    """

    venue: ClassVar[str]
    """Name in keys and settings, lower case."""
    market: ClassVar[str]
    """Kind of market: `spot`, `usdm` ..."""
    websocket_url: ClassVar[str]
    """Base of the WebSocket endpoint, without a path."""
    rest_url: ClassVar[str]
    """Base of the REST endpoint, without a path."""
    websocket_path: ClassVar[str]
    """Path that a connection asks for."""
    ping_path: ClassVar[str]
    """REST path that answers cheaply: whether the venue can be reached."""
    instruments_path: ClassVar[str]
    """REST path that lists the symbols; see `instruments`."""
    limits: ClassVar[Limits]

    registry: ClassVar[dict[tuple[str, str], type["Exchange"]]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        Exchange.registry[cls.venue, cls.market] = cls

    def __init__(self, symbols: Mapping[str, str], aggregated: Iterable[str] = ()) -> None:
        self.symbols = dict(symbols)
        self.aggregated = frozenset(aggregated)
        unknown = self.aggregated - set(self.symbols)
        if unknown:
            names = ", ".join(sorted(unknown))
            raise ConfigurationError(f"aggregated trades are asked for {names}, not among the symbols")

    @classmethod
    @abstractmethod
    def venue_symbol(cls, unified: str) -> str:
        """The venue's own symbol of a unified one, by the venue's rule alone (no look-up)."""

    @classmethod
    @abstractmethod
    def unified_symbol(cls, venue_symbol: str) -> str | None:
        """The unified symbol of a venue's own, by rule alone; None where the rule does not tell."""

    @classmethod
    @abstractmethod
    def instruments(cls, body: bytes) -> dict[str, str]:
        """The tradeable symbols in an answer of `instruments_path`: unified symbol -> venue symbol.

        Raises:
            BadRecord: The body is not such an answer.
        """

    @classmethod
    @abstractmethod
    def stream_of(cls, frame: bytes) -> str | None:
        """Name of the stream that a recorded frame belongs to, as a subscription would name it; else None."""

    @classmethod
    @abstractmethod
    def channel_of(cls, stream: str) -> tuple[Channel, str] | None:
        """Channel and venue symbol of a stream's name; None for channels that are not read here."""

    @abstractmethod
    def streams(self, quotes: bool) -> list[str]:
        """Names of the streams to subscribe, trades last: a playback begins once those are subscribed."""

    @abstractmethod
    def subscription(self, streams: Sequence[str], request: int) -> str:
        """The message that subscribes these streams, numbered `request`."""

    @abstractmethod
    def parse(self, frame: bytes | str, receive_time: int) -> Sequence[MarketRecord | Control]:
        """The records of one frame, in its order; empty for frames that say nothing of interest.

        Args:
            frame: A WebSocket frame as received.
            receive_time: When it left the socket, µs since the epoch.

        Raises:
            BadRecord: The frame cannot be read or a value breaks a rule; nothing of it is used.
        """


def exchange_class(venue: str, market: str = "spot") -> type[Exchange]:
    """The class of a venue's market.

    Raises:
        ConfigurationError: There is none; the message lists those that exist.
    """
    known = exchanges()
    found = known.get((venue.lower(), market.lower()))
    if found is None:
        names = ", ".join(f"{name} {kind}" for name, kind in sorted(known))
        raise ConfigurationError(f"{venue} {market} is not supported; supported: {names}")
    return found


def exchanges() -> dict[tuple[str, str], type[Exchange]]:
    """All venues there are, by venue and market: the modules of `producers/exchanges/`."""
    for module in pkgutil.iter_modules(producers.exchanges.__path__):
        importlib.import_module(f"producers.exchanges.{module.name}")
    return dict(Exchange.registry)
