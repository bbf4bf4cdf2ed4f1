"""The past as a market: what happened, in order, at a chosen speed, to whoever is subscribed.

Rules of a playback:

- It begins once a trade stream of every symbol that it is to play is subscribed, or once subscriptions have
  not changed for `SETTLE_S` seconds (a client that wants only some of them).
- Only subscribed streams are sent. Nothing is shed: a client that reads slowly slows the playback.
- When a subscriber leaves streams that nobody else has, it stands still, and waits for subscriptions as at
  the beginning, those streams among them. Then it begins anew and runs, as fast as it is read, to where it
  stood: what was lost on the way is delivered again, and a producer skips what the log already holds. With
  `rewind=False` it goes on where it stood, as an exchange would, and what was in the socket is lost to the
  stream; REST has it.
- REST knows what has been played so far and nothing later, but for the first snapshot of each book.
- After the first change of a book that clients get, on a connection or behind a fault, it stands still until
  one has asked for that book (see `BookHold`): at every speed they can follow it from there on.
- Its end closes every connection with code 4000, and every one that subscribes later.
"""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing
from typing import Final, Generic, Literal, TypeVar

from infra.logging import get_logger
from producers.simulator.book_hold import BookHold
from producers.simulator.server import SimulatorServer
from producers.simulator.venue import SimulatedVenue

SETTLE_S: Final = 3.0
NS: Final = 1_000_000_000
TRADES: Final = frozenset({"trades", "aggregated_trades"})

M = TypeVar("M")

logger = get_logger(__name__)


class Playing(ABC, Generic[M]):
    """Plays moments of the past; a `Market` for `SimulatorServer`.

    Args:
        venue: Knows nothing yet but what is known from the beginning.
        traded: The venue's symbols whose trades have to be subscribed before it begins by itself.
        speed: Times the pace of the past, or `max`.
        rewind: Whether a feed that comes back gets everything from the beginning.
        start_ns: Time of the beginning, ns since the epoch.
    """

    def __init__(
        self,
        venue: SimulatedVenue,
        traded: Collection[str],
        speed: float | Literal["max"],
        rewind: bool,
        start_ns: int,
    ) -> None:
        self.venue = venue
        """The venue, with what has happened in it so far."""
        self._traded = frozenset(traded)
        self._speed = speed
        self._rewind = rewind
        self.books = BookHold(venue)
        """To be asked after each frame that was sent for the first time."""
        self._changed = asyncio.Event()
        self._now_ns = start_ns
        self._server: SimulatorServer | None = None
        self.played = 0
        """Moments that were passed in the furthest run so far."""
        self.ended = asyncio.Event()
        """Set once every subscriber has read everything and the close after it."""

    @property
    def has_ended(self) -> bool:
        """Whether every subscriber has read everything and the close after it."""
        return self.ended.is_set()

    @abstractmethod
    def moments(self, start: int) -> AsyncGenerator[M, None]:
        """The past after its first `start` moments; each call gives the same."""

    @abstractmethod
    def time_ns(self, moment: M) -> int:
        """When a moment was, ns since the epoch: what the pace is kept by."""

    @abstractmethod
    async def send(self, server: SimulatorServer, moment: M, is_new: bool) -> bool:
        """Let a moment happen, and send what is in it; returns whether it stood still for a book.

        Args:
            server: Sends it.
            moment: The moment.
            is_new: False while what was played already is played again: the venue knows it.
        """

    def now_ms(self) -> int:
        """The time of the past where it stands, ms since the epoch."""
        return self._now_ns // 1_000_000

    def changed(self) -> None:
        """Wake the playback: a subscription has come or gone."""
        if self._server is not None:
            self.books.changed(self._server.streams())
        self._changed.set()

    def asked(self) -> None:
        """Look whether that was what the playback waits for."""
        self.books.wake()

    async def play(self, server: SimulatorServer) -> None:
        """Play to the end, then close whoever subscribes; runs until it is cancelled.

        Raises:
            KandleError: The past cannot be read any more.
        """
        self._server = server
        furthest, is_over = 0, False
        while not is_over:
            await self._subscribed(server)
            logger.info("the playback begins" if not furthest else "the playback goes on", frames=furthest)
            departures = server.departures
            furthest = await self._run(server, 0 if self._rewind else furthest, furthest)
            if server.departures == departures:
                # A client that broke before it had read everything comes back for the rest.
                is_over = await server.end()
        self.ended.set()
        logger.info("the playback has ended", frames=self.played)
        while True:
            if server.streams():
                await server.end()
            self._changed.clear()
            await self._changed.wait()

    async def _run(self, server: SimulatorServer, start: int, furthest: int) -> int:
        """Play from one position on; returns the position reached when nobody is left, or at the end."""
        departures = server.departures
        base: tuple[float, int] | None = None
        position = start
        async with aclosing(self.moments(start)) as moments:
            async for moment in moments:
                position += 1
                is_new = position > furthest
                now_ns = self.time_ns(moment)
                if self._speed != "max" and is_new:
                    base = base or (time.monotonic(), now_ns)
                    await self._wait_for(base, now_ns, self._speed)
                if server.departures != departures and not server.injection.runs_on:
                    return max(furthest, position - 1)
                self._now_ns = max(self._now_ns, now_ns)
                if await self.send(server, moment, is_new):
                    base = None
                self.played = max(self.played, position)
        return position

    @staticmethod
    async def _wait_for(base: tuple[float, int], now_ns: int, speed: float) -> None:
        started_s, started_ns = base
        pause_s = started_s + (now_ns - started_ns) / NS / speed - time.monotonic()
        if pause_s > 0:
            await asyncio.sleep(pause_s)

    async def _subscribed(self, server: SimulatorServer) -> None:
        """Wait until the playback may begin; see the rules in the module's docstring."""
        while True:
            streams = server.streams()
            is_whole = self._has_every_symbol(streams) and streams >= server.abandoned
            if is_whole and not self.venue.settle_s:
                break
            self._changed.clear()
            try:
                async with asyncio.timeout(
                    self.venue.settle_s if is_whole else SETTLE_S if streams else None
                ):
                    await self._changed.wait()
            except TimeoutError:
                if server.streams() == streams:
                    break
        server.abandoned.clear()

    def _has_every_symbol(self, streams: set[str]) -> bool:
        found = {self.venue.channel_of(stream) for stream in streams}
        traded = {channel[1] for channel in found if channel is not None and channel[0] in TRADES}
        return bool(streams) and traded.issuperset(self._traded)
