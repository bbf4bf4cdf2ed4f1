"""A capture as a market: its frames, in order, at a chosen speed, to whoever is subscribed.

Rules of a playback:

- It begins once a trade stream of every symbol that it is to play is subscribed, or once subscriptions have
  not changed for `SETTLE_S` seconds (a client that wants only some of them).
- Only subscribed streams are sent. Nothing is shed: a client that reads slowly slows the playback.
- A text that is not JSON belongs to no stream: every client gets it, as it got it when it was recorded.
- When a subscriber leaves it stands still, and waits for subscriptions as at the beginning. Then it begins
  again and runs, as fast as it is read, to where it stood: what was lost on the way is delivered again, and
  a producer skips what the log already holds. With `rewind=False` it goes on where it stood, as an exchange
  would, and what was in the socket is lost.
- Its end closes every connection with code 4000, and every one that subscribes later.
"""

import asyncio
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final, Literal

import msgspec

from infra.logging import get_logger
from producers.capture import CaptureError, CaptureReader, Entry, summarize
from producers.simulator.server import SimulatorServer, instrument_list, rest_routes

SETTLE_S: Final = 3.0
NS: Final = 1_000_000_000

logger = get_logger(__name__)


class _Wrapped(msgspec.Struct):
    stream: str | None = None
    data: msgspec.Raw = msgspec.Raw()


_WRAPPED = msgspec.json.Decoder(_Wrapped)


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
        self._exchange = self._reader.exchange()
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
        self._instruments: bytes | None = None
        self._books: dict[str, bytes] = {}
        self._collect_rest()
        self._changed = asyncio.Event()
        self._now_ns = self._summary.first_receive_ns
        self._server: SimulatorServer | None = None
        self.played = 0
        """Entries of the capture that were passed in the furthest run so far."""
        self.has_ended = False
        """Whether every subscriber has read everything and the close after it."""

    def rest(self, path: str, query: Mapping[str, str]) -> bytes:
        """Recorded answers where there are some; the market's time is that of the recording."""
        return rest_routes(
            path,
            query,
            now_ms=lambda: self._now_ns // 1_000_000,
            symbols=lambda: self._instruments or instrument_list(self._symbols, self._now_ns // 1_000_000),
            depth=lambda symbol: self._books.get(symbol),
        )

    def changed(self) -> None:
        """Wake the playback: a subscription has come or gone."""
        self._changed.set()

    async def play(self, server: SimulatorServer) -> None:
        """Play to the end, then close whoever subscribes; runs until it is cancelled.

        Raises:
            CaptureError: The file was changed or damaged since it was opened.
        """
        self._server = server
        furthest, is_over = 0, False
        while not is_over:
            await self._subscribed()
            logger.info("the playback begins" if not furthest else "the playback goes on", frames=furthest)
            departures = server.departures
            furthest = await self._run(0 if self._rewind else furthest, furthest)
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

    async def _run(self, start: int, furthest: int) -> int:
        """Play from one position on; returns the position reached when nobody is left, or at the end."""
        server = self._server
        assert server is not None
        departures = server.departures
        base: tuple[float, int] | None = None
        position = 0
        for position, entry in enumerate(self._reader, 1):
            if position <= start:
                continue
            if self._speed != "max" and position > furthest:
                base = base or (time.monotonic(), entry.receive_ns)
                await self._wait_for(base, entry.receive_ns, self._speed)
            if server.departures != departures:
                return max(furthest, position - 1)
            self._now_ns = max(self._now_ns, entry.receive_ns)
            await self._send(server, entry)
            self.played = max(self.played, position)
        return position

    async def _send(self, server: SimulatorServer, entry: Entry) -> None:
        if entry.binary:
            return
        rest = entry.rest
        if rest is not None:
            self._learn(rest.url, bytes(rest.body))
            return
        stream = self._exchange.stream_of(entry.frame)
        if stream is None:
            if _is_damaged_text(entry.frame):
                await server.send_all(entry.frame)
            return
        wrapped = _WRAPPED.decode(entry.frame)
        await server.send(stream, bytes(wrapped.data) if wrapped.stream is not None else entry.frame)

    @staticmethod
    async def _wait_for(base: tuple[float, int], receive_ns: int, speed: float) -> None:
        started_s, started_ns = base
        pause_s = started_s + (receive_ns - started_ns) / NS / speed - time.monotonic()
        if pause_s > 0:
            await asyncio.sleep(pause_s)

    async def _subscribed(self) -> None:
        """Wait until the playback may begin; see the rules in the module's docstring."""
        server = self._server
        assert server is not None
        while True:
            streams = server.streams()
            if streams and self._has_every_symbol(streams):
                return
            self._changed.clear()
            try:
                async with asyncio.timeout(SETTLE_S if streams else None):
                    await self._changed.wait()
            except TimeoutError:
                if server.streams() == streams:
                    return

    def _has_every_symbol(self, streams: set[str]) -> bool:
        found = {self._exchange.channel_of(stream) for stream in streams}
        traded = {channel[1] for channel in found if channel is not None and channel[0] != "quotes"}
        return traded.issuperset(self._symbols.values())

    def _collect_rest(self) -> None:
        for entry in self._reader:
            rest = entry.rest
            if rest is not None:
                self._learn(rest.url, bytes(rest.body), first=True)

    def _learn(self, url: str, body: bytes, first: bool = False) -> None:
        """Keep a recorded answer: the instrument list, or the newest book of a symbol (before: the first)."""
        if self._exchange.instruments_path in url:
            self._instruments = body
        elif "/depth?" in url:
            symbol = url.partition("symbol=")[2].partition("&")[0]
            if not first or symbol not in self._books:
                self._books[symbol] = body


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
