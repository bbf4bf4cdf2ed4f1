"""A venue's market from the server's side: what clients may say, what they hear, what REST knows.

One venue is one file in `producers/simulator/venues/`, one subclass of `SimulatedVenue` for each of its
markets; a subclass registers itself by being defined. Nothing here touches a socket. It is written from the
venue's documentation and shares nothing with `producers/exchanges/` but the layout of binary messages: a
misreading in one of the two shows.

Who calls what:

- the server: `client` for each connection, then `Client.answer` for every message; `rest` for every GET;
- the market behind it (a playback, a seeded market): `split` for a recorded frame, `observe` for everything
  that happens, whether or not anybody hears it, and `learn` for recorded REST answers.
"""

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import ClassVar, NamedTuple

import producers.simulator.venues
from producers.exchange import Channel
from producers.simulator.ledger import SimulatedBook
from schemas.errors import ConfigurationError


class Reply(NamedTuple):
    """The answer to a GET."""

    status: int
    body: bytes
    headers: Mapping[str, str] = {}
    content_type: str = "application/json"


class RestError(Exception):
    """A request that the venue answers with an error.

    Args:
        status: HTTP status.
        body: JSON body as the venue words it.
    """

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(body.decode())
        self.reply = Reply(status, body)


class Client(ABC):
    """One connection: what it is subscribed to, and in which form its frames come.

    Attributes:
        streams: Streams by their key (see `SimulatedVenue.split`), with the name that the client used.
    """

    def __init__(self) -> None:
        self.streams: dict[str, str] = {}

    @abstractmethod
    def answer(self, message: str | bytes, now_ms: int) -> list[str]:
        """The answers to a message; subscriptions are in force when it returns."""

    @abstractmethod
    def refuse(self, message: str | bytes, now_ms: int) -> list[str]:
        """The answers of a venue that refuses this subscription, which it otherwise would not."""

    @abstractmethod
    def is_subscription(self, message: str | bytes) -> bool:
        """Whether a message asks for streams."""

    def frame(self, stream: str, data: bytes) -> bytes:
        """The frame that carries `data` of a stream to this client."""
        return data


class SimulatedVenue(ABC):
    """One venue's market: its wire, and what has happened in it so far.

    Args:
        symbols: Unified symbols with the venue's own.
    """

    venue: ClassVar[str]
    market: ClassVar[str]
    messages_per_s: ClassVar[float] = 100.0
    """A client that sends more is disconnected."""
    weight_per_minute: ClassVar[int] = 100_000
    """REST requests of more weight than this in a minute are refused with status 429."""
    settle_s: ClassVar[float] = 0.0
    """How long subscriptions must stand still before a playback begins, s: other connections may follow."""
    binary: ClassVar[bool] = False
    """Whether data frames are binary ones."""
    has_books_by_rest: ClassVar[bool] = True
    """Whether clients have to ask for a book before its changes are of use to them."""

    registry: ClassVar[dict[tuple[str, str], type["SimulatedVenue"]]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "venue" in vars(cls) or "market" in vars(cls):
            SimulatedVenue.registry[cls.venue, cls.market] = cls

    def __init__(self, symbols: Mapping[str, str]) -> None:
        self.symbols = dict(symbols)
        self.books_told: set[str] = set()
        """Venue symbols of the books that clients have been told since somebody took them out of here."""
        self.recall: Callable[[str, int, int], list[bytes]] | None = None
        """Set by a market that remembers more than was observed: frames of the trades of a venue symbol, from
        an id on, so many at most."""

    @abstractmethod
    def client(self, path: str) -> Client:
        """A connection to this path and query.

        Raises:
            ValueError: The venue serves no such path.
        """

    @abstractmethod
    def split(self, frame: bytes, binary: bool) -> tuple[str, bytes] | None:
        """Key of the stream of a recorded frame, and the frame without what a connection wraps around it.

        None for frames that belong to no stream. Streams that differ in their pace alone share a key.
        """

    @abstractmethod
    def channel_of(self, stream: str) -> tuple[Channel, str] | None:
        """Channel and venue symbol of a stream's key."""

    @abstractmethod
    def observe(self, stream: str, data: bytes) -> None:
        """Remember what happened, for REST; data that cannot be read happened to nobody."""

    @abstractmethod
    def learn(self, url: str, body: bytes) -> None:
        """Take a recorded REST answer: the list of instruments, a book that is newer than the one kept."""

    @abstractmethod
    def rest(self, path: str, query: Mapping[str, str], now_ms: int) -> Reply:
        """The answer to a GET, from what has happened until now.

        Raises:
            RestError: The path or a parameter is unknown.
        """

    def note_told(self, symbol: str, book: SimulatedBook) -> None:
        """Note that a client is told a book, unless there is nothing in it yet; called by the venues."""
        if book.last:
            self.books_told.add(symbol)

    def weight(self, path: str, query: Mapping[str, str]) -> int:
        """What a request costs of `weight_per_minute`."""
        return 1

    def usage(self, used: int, now_s: float) -> Mapping[str, str]:
        """The headers that tell a client what it has used of its weight in this minute."""
        return {}

    @abstractmethod
    def failure(self, status: int, retry_after_s: float) -> Reply:
        """The answer with an error status, as the venue words it; 429 and 418 say when to come back."""

    def shutdown_notice(self, now_ms: int) -> bytes | None:
        """The frame that announces the server's end; None where the venue just closes."""
        return None


def venue_class(venue: str, market: str = "spot") -> type[SimulatedVenue]:
    """The class that speaks for a venue's market.

    Raises:
        ConfigurationError: There is none; the message lists those that exist.
    """
    known = simulated_venues()
    found = known.get((venue.lower(), market.lower()))
    if found is None:
        names = ", ".join(f"{name} {kind}" for name, kind in sorted(known))
        raise ConfigurationError(f"{venue} {market} cannot be simulated; what can: {names}")
    return found


def simulated_venues() -> dict[tuple[str, str], type[SimulatedVenue]]:
    """All that there are, by venue and market: the modules of `producers/simulator/venues/`."""
    for module in pkgutil.iter_modules(producers.simulator.venues.__path__):
        importlib.import_module(f"producers.simulator.venues.{module.name}")
    return dict(SimulatedVenue.registry)


def limit_of(query: Mapping[str, str], default: int, most: int) -> int:
    """The `limit` of a query, within what the venue allows."""
    text = query.get("limit", "")
    return max(1, min(int(text), most)) if text.isdigit() else default


def whole(query: Mapping[str, str], *names: str) -> int | None:
    """The first of these parameters that is a whole number."""
    texts: Iterable[str] = (query.get(name, "") for name in names)
    return next((int(text) for text in texts if text.isdigit()), None)
