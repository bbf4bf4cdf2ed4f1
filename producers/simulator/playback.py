"""A capture as a market: its frames, in order, at a chosen speed, to whoever is subscribed.

Rules of a playback:

- It begins once a trade stream of every symbol that it is to play is subscribed, or once subscriptions have
  not changed for `SETTLE_S` seconds (a client that wants only some of them).
- Only subscribed streams are sent. Nothing is shed: a client that reads slowly slows the playback.
- A text that is not JSON belongs to no stream: every client gets it, as it got it when it was recorded.
- When a subscriber leaves streams that nobody else has, it stands still, and waits for subscriptions as at
  the beginning, those streams among them. Then it begins anew and runs, as fast as it is read, to where it
  stood: what was lost on the way is delivered again, and a producer skips what the log already holds. With
  `rewind=False` it goes on where it stood, as an exchange would, and what was in the socket is lost to the
  stream; REST has it.
- REST knows what has been played so far and nothing later. One exception: until the first recorded snapshot
  of a book is reached, it is what a request for that book is answered with, since before it the book is not
  known; a client waits for the updates that follow it.
- After the first change of a book that clients get, on a connection or behind a fault, it stands still until
  one has asked for that book (see `BookHold`): at every speed they can follow it from there on.
- Its end closes every connection with code 4000, and every one that subscribes later.
"""

import asyncio
import time
from collections.abc import Collection
from pathlib import Path
from typing import Final, Literal

import msgspec

from infra.logging import get_logger
from producers.capture import CaptureError, CaptureReader, Entry, summarize
from producers.simulator.book_hold import BookHold
from producers.simulator.server import SimulatorServer
from producers.simulator.venue import SimulatedVenue, venue_class
from schemas.errors import ConfigurationError

SETTLE_S: Final = 3.0
NS: Final = 1_000_000_000
TRADES: Final = frozenset({"trades", "aggregated_trades"})

logger = get_logger(__name__)


class Playback:
    """Plays one capture; a `Market` for `SimulatorServer`.

    Args:
        path: The capture.
        speed: Times the pace of the recording, or `max`.
        symbols: Unified symbols to play; all of the capture by default.
        rewind: Whether a feed that comes back gets the playback from its beginning.

    Raises:
        CaptureError: The capture cannot be read to its end, or has none of the symbols.
    """

    def __init__(
        self,
        path: Path,
        speed: float | Literal["max"],
        symbols: Collection[str] | None = None,
        rewind: bool = True,
    ) -> None:
        self._reader = CaptureReader(path)
        self._speed = speed
        self._rewind = rewind
        self._summary = summarize(path)
        unknown = sorted(set(symbols or ()) - set(self._summary.symbols))
        if unknown:
            has = ", ".join(self._summary.symbols)
            raise CaptureError(f"{path} has no {', '.join(unknown)}; it has {has}")
        self._symbols = {
            name: summary.venue_symbol
            for name, summary in self._summary.symbols.items()
            if symbols is None or name in symbols
        }
        self.venue = self._foresee(self._simulated(path))
        """The venue, with what has happened in it so far."""
        self._books = BookHold(self.venue)
        self._changed = asyncio.Event()
        self._now_ns = self._summary.first_receive_ns
        self._server: SimulatorServer | None = None
        self.played = 0
        """Entries of the capture that were passed in the furthest run so far."""
        self.has_ended = False
        """Whether every subscriber has read everything and the close after it."""

    def now_ms(self) -> int:
        """The time of the recording where it stands, ms since the epoch."""
        return self._now_ns // 1_000_000

    def changed(self) -> None:
        """Wake the playback: a subscription has come or gone."""
        if self._server is not None:
            self._books.changed(self._server.streams())
        self._changed.set()

    def asked(self) -> None:
        """Look whether that was what the playback waits for."""
        self._books.wake()

    async def play(self, server: SimulatorServer) -> None:
        """Play to the end, then close whoever subscribes; runs until it is cancelled.

        Raises:
            CaptureError: The file was changed or damaged since it was opened.
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
        self.has_ended = True
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
        position = 0
        for position, entry in enumerate(self._reader, 1):
            if position <= start:
                continue
            is_new = position > furthest
            if self._speed != "max" and is_new:
                base = base or (time.monotonic(), entry.receive_ns)
                await self._wait_for(base, entry.receive_ns, self._speed)
            if server.departures != departures and not server.injection.runs_on:
                return max(furthest, position - 1)
            self._now_ns = max(self._now_ns, entry.receive_ns)
            if await self._send(server, entry, is_new):
                base = None
            self.played = max(self.played, position)
        return position

    async def _send(self, server: SimulatorServer, entry: Entry, is_new: bool) -> bool:
        """Send what is in an entry; returns whether it stood still for a book."""
        rest = entry.rest
        if rest is not None:
            if is_new:
                self.venue.learn(rest.url, bytes(rest.body))
            return False
        found = self.venue.split(entry.frame, entry.binary)
        if found is None:
            if not entry.binary and _is_damaged_text(entry.frame):
                await server.send_all(entry.frame)
            return False
        stream, data = found
        if is_new:
            self.venue.observe(stream, data)
        is_whole = await server.send(stream, data)
        return is_new and await self._books.wait(server, stream, is_whole)

    @staticmethod
    async def _wait_for(base: tuple[float, int], receive_ns: int, speed: float) -> None:
        started_s, started_ns = base
        pause_s = started_s + (receive_ns - started_ns) / NS / speed - time.monotonic()
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
        return bool(streams) and traded.issuperset(self._symbols.values())

    def _simulated(self, path: Path) -> SimulatedVenue:
        try:
            return venue_class(self._reader.venue, self._reader.market)(self._symbols)
        except ConfigurationError as error:
            raise CaptureError(f"{path}: {error}") from None

    def _foresee(self, venue: SimulatedVenue) -> SimulatedVenue:
        """Let a venue know the instrument list and the first book of each symbol from the beginning."""
        known: set[str] = set()
        for entry in self._reader:
            rest = entry.rest
            if rest is not None and rest.url not in known:
                known.add(rest.url)
                venue.learn(rest.url, bytes(rest.body))
        return venue


def _is_damaged_text(frame: bytes) -> bool:
    """Whether a frame is text, which alone a text frame can carry, but not JSON."""
    try:
        frame.decode()
        msgspec.json.decode(frame)
    except UnicodeDecodeError:
        return False
    except msgspec.DecodeError:
        return True
    return False
