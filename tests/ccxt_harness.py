"""A simulated venue, and a producer that reads it by real classes of ccxt: what it would have published."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from infra.clock import SystemClock
from producers.ccxt_feed.exchange import ccxt_exchange
from producers.ccxt_feed.opening import CcxtOpening
from producers.exchange import Channel, Exchange
from producers.feed import Feed, Patience
from producers.instruments import fetch_instruments
from producers.outlet import Outlet, fed_topics
from producers.session import Session
from producers.simulator.faults import parse_fault
from producers.simulator.playback import Playback
from producers.simulator.server import SimulatorServer
from producers.simulator.venue import Reply
from producers.transport import Addresses, Transport, transport_of
from schemas.records import Gap, Record, SystemEvent, Trade
from tests.fault_harness import CollectingPublisher

TIMEOUT_S = 45.0


@dataclass
class Told:
    """What a session has published."""

    publisher: CollectingPublisher
    server: SimulatorServer
    exchange: Exchange
    reasons: list[str] = field(default_factory=list)

    @property
    def records(self) -> list[Record]:
        return [record for _, record in self.publisher.written]

    @property
    def trades(self) -> list[Trade]:
        return [record for record in self.records if isinstance(record, Trade)]

    @property
    def gaps(self) -> list[Gap]:
        return [record for record in self.records if isinstance(record, Gap)]

    @property
    def disconnections(self) -> list[str]:
        return [
            record.message
            for record in self.records
            if isinstance(record, SystemEvent) and record.type == "provider.disconnected"
        ]


@asynccontextmanager
async def reached(market: type[Exchange], addresses: Addresses) -> AsyncIterator[Transport]:
    """The transport of a market, its desk at work."""
    transport = transport_of(market, addresses)
    stop = asyncio.Event()
    calls = asyncio.create_task(transport.desk.run(stop))
    try:
        yield transport
    finally:
        stop.set()
        await asyncio.gather(calls, return_exceptions=True)
        await transport.desk.close()


async def produced(
    playback: Playback,
    venue: str,
    market: str = "spot",
    channels: Sequence[Channel] = ("trades",),
    faults: Sequence[str] = (),
    look_every_s: float | None = None,
    also: Mapping[str, bytes] | None = None,
) -> Told:
    """Feed a playback to its end through the class of ccxt for a venue; `also`: answers of other paths."""
    rest = playback.venue.rest

    def answer(path: str, query: Mapping[str, str], now_ms: int) -> Reply:
        return Reply(200, also[path]) if also and path in also else rest(path, query, now_ms)

    setattr(playback.venue, "rest", answer)  # noqa: B010 - a method
    server = SimulatorServer(playback, 0, [parse_fault(text) for text in faults])
    await server.start()
    work = asyncio.create_task(playback.play(server))
    kind = ccxt_exchange(venue, market)
    try:
        async with (
            asyncio.timeout(TIMEOUT_S),
            reached(kind, Addresses(server.websocket_url, server.rest_url)) as transport,
        ):
            listed = await fetch_instruments(kind, transport.desk, SystemClock().now_us())
            exchange = kind([one for one in listed if one.symbol in playback.venue.symbols], channels)
            publisher = CollectingPublisher()
            feed = Feed(exchange, "source", "run", idle_marks=False, patience=Patience(gap_s=20.0))
            outlet = Outlet(publisher, kind.venue, "source", 1, fed_topics(exchange.channels), SystemClock())
            opening = transport.opening(exchange)
            if look_every_s is not None:
                assert isinstance(opening, CcxtOpening)
                opening.watchdog.look_every_s = look_every_s
            session = Session(
                exchange, feed, outlet, kind.websocket_url, desk=transport.desk, opening=opening
            )
            assert await session.run(asyncio.Event()) == "ended"
        return Told(publisher, server, exchange)
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        await server.stop()
