"""The server in this process, on a real socket, over a market that is stored; questions over HTTP."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import websockets

from infra.settings import ServeSettings, Settings
from schemas.records import (
    BookUpdate,
    Instrument,
    LiveCandle,
    Notification,
    Quote,
    Record,
    SystemEvent,
    Ticker,
)
from schemas.topics import (
    BOOK_SAMPLES,
    INSTRUMENTS,
    LIVE_CANDLES,
    NOTIFICATIONS,
    QUOTES,
    SYSTEM_EVENTS,
    TICKERS,
    TRADES,
    Topic,
)
from serve.server import address_of, bind, run
from tests.processor_harness import market
from tests.sink_harness import Log, query, running, until, until_passed
from tests.sink_samples import sample
from tests.stored_market import DERIVED, put

FEED = market(seconds=75, rate=40)
OTHERS: tuple[tuple[Topic, type[Record], str], ...] = (
    (QUOTES, Quote, "quotes"),
    (BOOK_SAMPLES, BookUpdate, "book_samples"),
    (TICKERS, Ticker, "tickers"),
    (LIVE_CANDLES, LiveCandle, "live_candles"),
    (INSTRUMENTS, Instrument, "listings"),
    (NOTIFICATIONS, Notification, "notifications_sent"),
    (SYSTEM_EVENTS, SystemEvent, "system_events"),
)


async def store(settings: Settings, servers: str, url: str) -> None:
    """Store a minute and a quarter of a market, and samples of what else there is."""
    log = Log(servers)
    for topic, kind, _ in OTHERS:
        log.put(topic, 0, [sample(kind)])
    put(log, FEED)
    async with running(settings, ["timescale"]) as task:
        for topic in (TRADES, *DERIVED):
            await until_passed(url, "timescale", topic, task=task)
        for _, _, view in OTHERS:
            await until(lambda view=view: bool(query(url, f"SELECT FROM public.{view}")), task=task)  # type: ignore[misc]


@contextmanager
def serving(settings: Settings, port: int = 0) -> Iterator[Server]:
    """The server in a thread of its own, on a free port or this one, until the end."""
    listening = bind(settings.serve.model_copy(update={"port": port}))
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    def work() -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(run(settings, listening, stop))
        loop.close()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield Server(address_of(listening), listening)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(30)
        assert not thread.is_alive()


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Server:
    """A server that runs."""

    url: str
    listening: socket.socket

    def get(self, path: str, body: object = None, method: str | None = None, **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        data = None if body is None else json.dumps(body).encode()
        asked = urllib.request.Request(self.url + path, data, named, method=method)
        try:
            with urllib.request.urlopen(asked, timeout=30) as answer:
                return Answer(answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, {k.lower(): v for k, v in error.headers.items()}, error.read())

    @asynccontextmanager
    async def connected(self, query: str = "", **options: Any) -> AsyncIterator[Client]:
        """A WebSocket client."""
        url = f"{self.url.replace('http', 'ws', 1)}/ws{query}"
        async with websockets.connect(url, proxy=None, **options) as connection:
            yield Client(connection)


@dataclass(frozen=True)
class Client:
    """One WebSocket connection."""

    connection: websockets.ClientConnection

    async def ask(self, **asked: str) -> None:
        await self.connection.send(json.dumps(asked))

    async def until(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first message that is wanted; others are passed over."""
        async with asyncio.timeout(20):
            while True:
                message: dict[str, Any] = json.loads(await self.connection.recv())
                if wanted(message):
                    return message

    async def next(self, type_: str) -> dict[str, Any]:
        """The next message of a type."""
        return await self.until(lambda message: message["type"] == type_)


def with_serve(settings: Settings, **values: Any) -> Settings:
    """The settings with others for the server."""
    return settings.model_copy(update={"serve": ServeSettings(**values)})
