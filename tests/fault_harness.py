"""A venue simulated with faults, and a producer that reads it: what it would have published."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, TypeVar
from urllib.parse import parse_qsl, urlsplit

from infra.clock import SystemClock
from infra.kafka.publisher import Headers, Publisher, Told
from infra.kafka.tally import Acknowledged, Age
from infra.order_book import OrderBook
from infra.resilience.call_guard import CallPolicy
from producers.exchange import Call, Channel, Exchange
from producers.feed import Feed, Patience
from producers.instruments import fetch_instruments
from producers.markets import exchange_class
from producers.outlet import Outlet, fed_topics
from producers.rest_desk import DeskFigures, RestDesk
from producers.rest_queue import Answer, Deliver
from producers.session import Session
from producers.simulator.faults import Fault, parse_fault
from producers.simulator.playback import Playback
from producers.simulator.playing import Playing
from producers.simulator.server import SimulatorServer
from schemas import rows
from schemas.records import BookUpdate, Record, SystemEvent
from schemas.topics import Topic

CHANNELS: Final[tuple[Channel, ...]] = ("trades", "quotes", "books")
TIMEOUT_S: Final = 60.0
DEAD_LETTERS: Final = ".dlq"
LEVELS: Final = 10
"""Levels of a side that are compared."""

DESK: Final = DeskFigures(calls=CallPolicy(attempts=4, delay_s=0.1, jitter_s=0.05))

R = TypeVar("R", bound=Record)


class CollectingPublisher(Publisher):
    """Keeps what would go to Kafka, in its order, and acknowledges it at once."""

    def __init__(self) -> None:
        self.written: list[tuple[str, Record]] = []
        self.dead_letters: list[bytes] = []

    @property
    def waiting(self) -> int:
        return 0

    async def publish(
        self,
        topic: str,
        record: Record | bytes | None,
        key: str | bytes | None = None,
        partition: int | None = None,
        headers: Headers | None = None,
        on_acknowledged: Acknowledged | None = None,
        kind: str | None = None,
        age: Age | None = None,
    ) -> None:
        if topic.endswith(DEAD_LETTERS):
            assert isinstance(record, bytes)
            self.dead_letters.append(record)
        elif record is not None:
            self.written.append((topic, record if isinstance(record, Record) else rows.decode(record)))
        if on_acknowledged is not None:
            on_acknowledged(partition or 0, len(self.written))

    async def publish_batch(
        self,
        topic: str,
        messages: Iterable[tuple[bytes | None, bytes | None]],
        kind: str = "bytes",
        partition: int | None = None,
        age: Age | None = None,
        told: Mapping[int, Told] | None = None,
    ) -> None:
        for _, value in messages:
            assert value is not None
            self.written.append((topic, rows.decode(value)))

    def poll(self) -> None:
        pass

    def raise_if_failed(self) -> None:
        pass

    async def flush(self, timeout_s: float = 30.0) -> None:
        pass

    async def close(self, timeout_s: float = 10.0) -> None:
        pass


class BookTop(NamedTuple):
    """Where a book stands: id of its newest update, and price and size of its best levels."""

    last_sequence: int | None
    bids: list[tuple[float, float]]
    asks: list[tuple[float, float]]


@dataclass
class Outcome:
    """What a session has published, and what was done to it.

    Attributes:
        written: Topics and records, in the order in which they were published.
        injected: Faults that have taken effect.
        connections: WebSocket connections that the simulator has accepted.
        dead_letters: Frames that were refused.
        book_tops: Best levels of each symbol's book as the simulated venue ends with them.
    """

    written: list[tuple[str, Record]]
    injected: list[Fault]
    connections: int
    dead_letters: list[bytes]
    book_tops: dict[str, BookTop]

    @property
    def records(self) -> list[Record]:
        """All records, in the order in which they were published."""
        return [record for _, record in self.written]

    def of(self, kind: type[R], topic: Topic | None = None) -> list[R]:
        """The records of one type, of one topic or of all."""
        return [
            record
            for name, record in self.written
            if isinstance(record, kind) and (topic is None or topic.name == name)
        ]

    def books(self) -> dict[str, BookTop]:
        """What the published updates make of each book."""
        updates: dict[str, list[BookUpdate]] = {}
        for update in self.of(BookUpdate):
            updates.setdefault(update.symbol, []).append(update)
        return {symbol: _top(found, found[0].venue, symbol) for symbol, found in updates.items()}

    def events(self) -> Counter[str]:
        """System events by type."""
        return Counter(event.type for event in self.of(SystemEvent))


def exchange_playing(path: Path, speed: float | Literal["max"] = 20.0) -> Playback:
    """A playback that is as an exchange is: what a client does not hear is lost to its connection."""
    return Playback(path, speed, rewind=False)


class LateBooks(RestDesk):
    """Hands over the snapshots of books a while after they came.

    Args:
        late_s: How long after, s.
        args: For the desk.
        kwargs: For the desk.
    """

    def __init__(self, late_s: float, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._late_s = late_s

    def submit(self, call: Call, deliver: Deliver | None = None) -> None:
        assert deliver is not None
        take, loop = deliver, asyncio.get_running_loop()

        def take_late(answer: Answer) -> None:
            loop.call_later(self._late_s, take, answer)

        super().submit(call, take_late if call.kind == "book" and self._late_s else deliver)


async def produce(
    playback: Playing[Any],
    faults: Sequence[str] = (),
    patience_s: float = 20.0,
    lossless: bool = True,
    late_s: float = 0.0,
) -> Outcome:
    """Feed a playback with faults, by the parts that the stage `produce` is made of.

    Args:
        playback: What is fed.
        faults: As in settings.
        patience_s: How long marks wait for what is missing, s.
        lossless: As in settings.
        late_s: How long snapshots of books are under way, s.
    """
    server = SimulatorServer(playback, 0, [parse_fault(text) for text in faults])
    await server.start()
    market = exchange_class(playback.venue.venue, playback.venue.market)
    desk = LateBooks(late_s, market, server.rest_url, lambda _: None, figures=DESK)
    stop = asyncio.Event()
    tasks = [asyncio.create_task(playback.play(server)), asyncio.create_task(desk.run(stop))]
    try:
        publisher = CollectingPublisher()
        async with asyncio.timeout(TIMEOUT_S):
            exchange = await _feed(market, playback, server, desk, publisher, patience_s, lossless)
        return Outcome(
            publisher.written,
            server.injection.injected,
            server.accepted,
            publisher.dead_letters,
            _book_tops(exchange, playback),
        )
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await desk.close()
        await server.stop()


async def _feed(
    market: type[Exchange],
    playback: Playing[Any],
    server: SimulatorServer,
    desk: RestDesk,
    publisher: CollectingPublisher,
    patience_s: float,
    lossless: bool,
) -> Exchange:
    listed = await fetch_instruments(market, desk, SystemClock().now_us())
    exchange = market([one for one in listed if one.symbol in playback.venue.symbols], CHANNELS)
    feed = Feed(exchange, "source", "run", idle_marks=False, patience=Patience(gap_s=patience_s))
    outlet = Outlet(publisher, market.venue, "source", 1, fed_topics(exchange.channels), SystemClock())
    session = Session(exchange, feed, outlet, server.websocket_url, desk=desk, lossless=lossless)
    assert await session.run(asyncio.Event()) == "ended"
    return exchange


def _book_tops(exchange: Exchange, playback: Playing[Any]) -> dict[str, BookTop]:
    """The books of the simulated venue as REST tells them now."""
    venue = playback.venue
    tops = {}
    for symbol in exchange.instruments:
        call = exchange.book_call(symbol)
        assert call is not None
        parts = urlsplit(call.path)
        body = venue.rest(parts.path, dict(parse_qsl(parts.query)), playback.now_ms()).body
        (record,) = exchange.read(call, body, 0)
        assert isinstance(record, BookUpdate)
        tops[symbol] = _top([record], exchange.venue, symbol)
    return tops


def _top(updates: Iterable[BookUpdate], venue: str, symbol: str) -> BookTop:
    book, last = OrderBook(venue, symbol), None
    for update in updates:
        book.apply(update)
        last = update.last_sequence
    return BookTop(last, *book.top(LEVELS))
