"""A small venue over real WebSockets, and a session that feeds from it; no broker."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from infra import metrics
from infra.clock import SystemClock
from producers.exchange import Call, Channel, Exchange
from producers.feed import Feed, Patience
from producers.markets import exchange_class
from producers.outlet import Outlet, fed_topics
from producers.rest_queue import Answer, Deliver
from producers.session import Session
from schemas.records import Gap, Record, SystemEvent, TimeMark, Trade
from tests.fault_harness import CollectingPublisher

T0_MS = 1_700_000_000_000
SPOT = exchange_class("binance", "spot")
WAIT_S = 15.0


BTC = "btcusdt@trade"


def trade(number: int, symbol: str = "btcusdt") -> str:
    """A trade as Binance sends it, one millisecond after the one before."""
    data = {"e": "trade", "s": symbol.upper(), "t": number, "p": "1.5", "q": "2.0", "m": True}
    data["T"] = T0_MS + number
    return json.dumps({"stream": f"{symbol}@trade", "data": data}, separators=(",", ":"))


def quote(number: int, symbol: str = "btcusdt") -> str:
    """A quote as Binance sends it."""
    data = {"u": number, "s": symbol.upper(), "b": "1.0", "B": "2.0", "a": "1.1", "A": "3.0"}
    return json.dumps({"stream": f"{symbol}@bookTicker", "data": data}, separators=(",", ":"))


@dataclass(eq=False)
class Client:
    """One connection as the venue sees it."""

    socket: ServerConnection
    path: str
    streams: set[str] = field(default_factory=set)
    requests: list[dict[str, Any]] = field(default_factory=list)

    async def say(self, *frames: str | bytes) -> None:
        for frame in frames:
            await self.socket.send(frame, text=True)


Reply = Callable[["Venue", Client, dict[str, Any]], Awaitable[None]]


async def accept(venue: "Venue", client: Client, request: dict[str, Any]) -> None:
    """Do what a request asks for, and say so."""
    if request["method"] == "SUBSCRIBE":
        client.streams |= set(request["params"])
    else:
        client.streams -= set(request["params"])
    await client.say(json.dumps({"result": None, "id": request["id"]}))


class Venue:
    """Speaks Binance's protocol; a test decides how it answers, and when it says what."""

    def __init__(self, reply: Reply = accept) -> None:
        self.reply = reply
        self.clients: list[Client] = []
        """All that ever connected, in their order."""
        self.traded: Counter[str] = Counter()
        """Newest trade of each symbol."""
        self.url = ""
        self._server: Server | None = None

    @property
    def open(self) -> list[Client]:
        return [client for client in self.clients if client.socket.state.name == "OPEN"]

    def holders(self, stream: str) -> list[Client]:
        return [client for client in self.open if stream in client.streams]

    async def trade(self, count: int = 1, symbol: str = "btcusdt") -> None:
        """Make trades, and tell them to all who are subscribed."""
        for _ in range(count):
            self.traded[symbol] += 1
            for client in self.holders(f"{symbol}@trade"):
                await client.say(trade(self.traded[symbol], symbol))

    async def keep_trading(self, every_s: float = 0.02, symbol: str = "btcusdt") -> None:
        while True:
            await self.trade(1, symbol)
            await asyncio.sleep(every_s)

    async def _serve(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        client = Client(socket, socket.request.path)
        self.clients.append(client)
        try:
            async for message in socket:
                request = json.loads(message)
                client.requests.append(request)
                await self.reply(self, client, request)
        except ConnectionClosed:
            pass

    @asynccontextmanager
    async def serving(self, **options: Any) -> AsyncIterator["Venue"]:
        async with serve(self._serve, "127.0.0.1", 0, close_timeout=0.2, **options) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            self.url = f"ws://127.0.0.1:{port}"
            yield self


class TradeDesk:
    """Answers from the trades that a venue has made; books cannot be had."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self.calls: list[Call] = []

    def submit(self, call: Call, deliver: Deliver) -> None:
        self.calls.append(call)
        body: bytes | None = None
        if call.kind == "trades":
            first, newest = call.first or 1, self._venue.traded[call.symbol.replace("/", "").lower()]
            last = min(newest, first + 999, *([call.last] if call.last else []))
            page = [
                {"id": n, "price": "1.5", "qty": "2.0", "time": T0_MS + n, "isBuyerMaker": True}
                for n in range(first, last + 1)
            ]
            body = json.dumps(page).encode()
        asyncio.get_running_loop().call_soon(deliver, Answer(call, body, None if body else "not here"))

    def retry_now(self) -> None:
        pass


class SlowPublisher(CollectingPublisher):
    """Takes nothing while it is held."""

    def __init__(self) -> None:
        super().__init__()
        self.free = asyncio.Event()
        self.free.set()

    async def publish_batch(self, *args: Any, **kwargs: Any) -> None:
        await self.free.wait()
        await super().publish_batch(*args, **kwargs)


@dataclass
class Fed:
    """A session at work, and what it has published."""

    session: Session
    exchange: Exchange
    feed: Feed
    publisher: SlowPublisher
    desk: TradeDesk
    stop: asyncio.Event
    running: "asyncio.Task[str]"

    @property
    def records(self) -> list[Record]:
        return [record for _, record in self.publisher.written]

    def trades(self, symbol: str = "BTC/USDT") -> list[int]:
        found = [record for record in self.records if isinstance(record, Trade) and record.symbol == symbol]
        return [record.sequence for record in found if record.sequence is not None]

    @property
    def backfilled(self) -> list[int]:
        found = [record for record in self.records if isinstance(record, Trade) and record.backfilled]
        return [record.sequence for record in found if record.sequence is not None]

    @property
    def gaps(self) -> list[Gap]:
        return [record for record in self.records if isinstance(record, Gap)]

    @property
    def finals(self) -> list[TimeMark]:
        return [record for record in self.records if isinstance(record, TimeMark) and record.final]

    def events(self, kind: str, severity: str | None = None) -> list[str]:
        """What was told to people."""
        found = [record for record in self.records if isinstance(record, SystemEvent) and record.type == kind]
        return [event.message for event in found if severity in (None, event.severity)]

    async def until(self, holds: Callable[[], object], within_s: float = WAIT_S) -> None:
        """Wait for something to become true; what the session fails with is raised."""
        async with asyncio.timeout(within_s):
            while not holds():
                if self.running.done():
                    self.running.result()
                    assert holds(), "the session has ended"
                await asyncio.sleep(0.01)

    async def has(self, count: int, symbol: str = "BTC/USDT") -> None:
        """Wait until trades 1 to `count` are there."""
        await self.until(lambda: len(self.trades(symbol)) >= count)
        assert sorted(self.trades(symbol)) == list(range(1, count + 1)), "each once"


@asynccontextmanager
async def fed(
    venue: Venue,
    symbols: Sequence[str] = ("BTCUSDT",),
    channels: Sequence[Channel] = ("trades",),
    market: type[Exchange] = SPOT,
    limits: dict[str, Any] | None = None,
    hands_over: bool = False,
    **options: Any,
) -> AsyncIterator[Fed]:
    """Feed from a venue until the test is over."""

    class Limited(market):  # type: ignore[misc, valid-type]
        pass

    Limited.limits = replace(market.limits, **({"messages_per_s": 100} | (limits or {})))
    instruments = [found for name in symbols if (found := market.guess(name)) is not None]
    exchange: Exchange = Limited(instruments, channels)
    publisher = SlowPublisher()
    feed = Feed(exchange, "source", "run", idle_marks=False, patience=Patience(gap_s=10.0))
    outlet = Outlet(publisher, market.venue, "source", 1, fed_topics(exchange.channels), SystemClock())
    desk, stop = TradeDesk(venue), asyncio.Event()
    session = Session(exchange, feed, outlet, venue.url, desk=desk, **options)
    running: asyncio.Task[str] = asyncio.create_task(session.run(stop, lambda: hands_over))
    await asyncio.sleep(0)
    try:
        yield Fed(session, exchange, feed, publisher, desk, stop, running)
    finally:
        publisher.free.set()
        stop.set()
        await asyncio.gather(running, return_exceptions=True)


def change(on: Fed, add: Sequence[str] = (), remove: Sequence[str] = ()) -> None:
    """Feed other symbols from now on, as a shard does."""
    exchange = on.exchange
    gone = [symbol for symbol in exchange.instruments if symbol.replace("/", "") in remove]
    ending = exchange.streams(gone)
    for symbol in gone:
        exchange.drop(symbol)
        on.feed.drop(symbol)
    fresh = [found for name in add if (found := exchange.guess(name)) is not None]
    for instrument in fresh:
        exchange.admit(instrument)
    on.session.change(exchange.streams([one.symbol for one in fresh]), ending)


def reconnects() -> float:
    return float(metrics.feeds.RECONNECTS.labels("binance")._value.get())


async def subscribed(venue: Venue, on: Fed, stream: str = BTC, times: int = 1) -> None:
    await on.until(lambda: len(venue.holders(stream)) >= times)
