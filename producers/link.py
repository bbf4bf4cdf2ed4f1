"""One set of streams, kept delivered: a connection at a time, two while the next takes over, without end."""

import asyncio
import random
import time
from collections.abc import Iterable, Sequence
from typing import Final, Literal, NamedTuple, TypeAlias

from websockets.exceptions import ConnectionClosed, InvalidHandshake

from infra import metrics
from infra.backoff import FullJitter
from infra.logging import get_logger
from producers.connect_pace import ConnectPace
from producers.connection import open_connection
from producers.exchange import Exchange, Stream
from producers.interruption import pause
from producers.line import Line
from producers.liveness import Liveness
from producers.transport import Opening
from schemas.errors import UnavailableError

END_OF_FEED: Final = 4000
"""Close code of a feed that has ended and will not go on; only a simulator sends it."""

OPEN_TIMEOUT_S: Final = 10.0
CLOSE_TIMEOUT_S: Final = 10.0
TEND_S: Final = 0.1
STABLE_AFTER_S: Final = 5.0
"""A connection that lived so long has succeeded, and delays begin at their lowest again. Were it less, a
server that accepts and hangs up would be called more often than venues allow."""

ROTATE_AT: Final = 0.95
"""Share of its allowed life after which a connection is replaced, at most; jitter takes some off."""

TAKE_OVER_S: Final = 5.0
"""The new connection has so long to say something, before the old one is dropped in any case."""

Change: TypeAlias = Literal["opened", "accepted", "closed", "refused", "ended"]

logger = get_logger(__name__)


class LinkEvent(NamedTuple):
    """Something that happened to a connection of a link.

    Attributes:
        change: `accepted`: these streams are delivered from now on; `closed`: they are not, any more, by this
            connection; `refused`: no connection came about; `ended`: the venue has ended the feed.
        streams: Which.
        reason: Why, for people.
        is_planned: Whether another connection has taken over.
    """

    change: Change
    streams: tuple[Stream, ...] = ()
    reason: str = ""
    is_planned: bool = False


class Link:
    """Keeps streams of one path delivered.

    What arrives waits in the connections of `lines`; the session takes it from there.

    Args:
        exchange: The venue's rules.
        url: Base of the WebSocket endpoint.
        path: Path that serves the streams.
        streams: Delivered from the start.
        pace: Turns to connect.
        lossless: Whether a slow consumer stops the reading, instead of losing the oldest frames.
        wake: Called when there is something for the session to look at.
        opening: Opens its connections.
    """

    def __init__(
        self,
        exchange: Exchange,
        url: str,
        path: str,
        streams: Iterable[Stream],
        pace: ConnectPace,
        lossless: bool,
        wake: asyncio.Event,
        opening: Opening = open_connection,
    ) -> None:
        self._exchange = exchange
        self._url = url.rstrip("/") + path
        self.path = path
        self.streams = {stream.name: stream for stream in streams}
        self.lines: list[Line] = []
        """Its connections, the oldest first; closed ones as long as frames of them wait."""
        self.liveness = Liveness()
        self.events: list[LinkEvent] = []
        """What has happened; the session takes it."""
        self.has_ended = False
        self._pace = pace
        self._lossless = lossless
        self._wake = wake
        self._opening = opening
        self._backoff = FullJitter()
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def room(self) -> int:
        """Streams that it can still take."""
        return self._exchange.limits.streams_per_connection - len(self.streams)

    @property
    def answered_s(self) -> float | None:
        """When the venue was last heard of, by the monotonic clock; None unless all streams are delivered."""
        settled = [line for line in self.lines if line.is_settled and not line.connection.is_lost]
        if not settled or settled[-1].connection.backlog or settled[-1].connection.is_halted:
            return None
        return settled[-1].connection.answered_s

    async def run(self, stop: asyncio.Event) -> None:
        """Keep the streams delivered until `stop` is set, or the venue has ended the feed."""
        try:
            while not stop.is_set() and not self.has_ended:
                line = await self._open()
                if line is not None:
                    await self._keep(line, stop)
                if not self.has_ended:
                    await pause(stop, self._backoff.next_delay_s())
        finally:
            closing = (line.close() for line in self.lines)
            await asyncio.gather(*closing, *self._closing, return_exceptions=True)

    def heard(self, line: Line, kinds: Iterable[str], at_s: float) -> None:
        """Frames of a connection were read; these kinds of records were in them."""
        line.has_delivered = True
        self.liveness.heard(kinds, at_s)

    def change(self, add: Sequence[Stream], remove: Sequence[Stream]) -> None:
        """Subscribe and unsubscribe streams; on a connection that is open at once, else on the next."""
        for stream in remove:
            self.streams.pop(stream.name, None)
        self.streams |= {stream.name: stream for stream in add}
        if remove:
            # Fewer symbols have another pace.
            self.liveness = Liveness()
        for line in self.lines:
            if not line.connection.is_lost:
                if remove:
                    line.subscribe(remove, subscribe=False)
                if add:
                    line.subscribe(add)

    async def _open(self) -> Line | None:
        """A new connection that asks for all streams; None if there is none to be had."""
        await self._pace.turn()
        try:
            connection = await self._opening(
                self._url,
                open_timeout_s=OPEN_TIMEOUT_S,
                close_timeout_s=CLOSE_TIMEOUT_S,
                frame_bytes=self._exchange.limits.frame_bytes,
                wake=self._wake,
                is_trade=None if self._lossless else self._exchange.is_trade_frame,
                headers=self._exchange.headers,
            )
        except (OSError, TimeoutError, InvalidHandshake) as error:
            why = str(error) or type(error).__name__
            logger.info(
                "no connection to the venue", url=self._url, why=why, attempt=self._backoff.attempts + 1
            )
            if not self._backoff.attempts:
                self._tell(LinkEvent("refused", (), f"no connection: {why}"))
            return None
        metrics.CONNECTIONS.labels(self._exchange.venue).inc()
        logger.info("connected", url=self._url, streams=len(self.streams))
        line = Line(self._exchange, connection, ())
        self.lines.append(line)
        self._tell(LinkEvent("opened", (), f"connected to {self._url}"))
        if self.streams:
            line.subscribe(list(self.streams.values()))
        return line

    async def _keep(self, line: Line, stop: asyncio.Event) -> None:
        """Tend a connection, and those that take over from it, until one ends unplanned."""
        life_s = self._life_s()
        while not stop.is_set():
            reason = await self._tend(line)
            if reason is not None:
                await self._drop(line, reason)
                return
            if line.is_settled and (line.is_leaving or line.age_s > life_s):
                follower = await self._take_over(line, stop)
                if follower is not None:
                    line, life_s = follower, self._life_s()
            await pause(stop, TEND_S)

    def _life_s(self) -> float:
        """How old a connection may become; not all at once, so that links do not change in step."""
        allowed_s = self._exchange.limits.connection_lifetime_s
        if allowed_s is None:
            return float("inf")
        return allowed_s * ROTATE_AT * random.uniform(0.9, 1.0)  # noqa: S311 - no secret

    async def _tend(self, line: Line) -> str | None:
        """Look after a connection; why it must be given up, or None."""
        now_s = time.monotonic()
        try:
            if line.connection.is_lost and not line.connection.backlog:
                raise line.connection.protocol.close_exc
            await line.tend(now_s)
        except ConnectionClosed:
            if line.connection.backlog:
                return None
            if line.is_settled:
                # It may have ended as soon as it began: what came before it is asked for all the same.
                self._accept(line, now_s)
            code, words = line.connection.close_code, line.connection.close_reason or ""
            self.has_ended |= code == END_OF_FEED
            return f"{code} {words}".strip()
        except UnavailableError as error:
            return str(error)
        if line.is_settled:
            self._accept(line, now_s)
            if line.age_s > STABLE_AFTER_S:
                self._backoff.reset()
            if not line.connection.backlog and (channel := self.liveness.mute(now_s)) is not None:
                return f"mute: {channel} is silent for far longer than usual"
        return None

    def _accept(self, line: Line, now_s: float) -> None:
        fresh = [stream for name, stream in line.streams.items() if name not in line.delivers]
        if fresh:
            line.delivers.update(stream.name for stream in fresh)
            self.liveness.begin(now_s)
            self._tell(LinkEvent("accepted", tuple(fresh)))

    async def _take_over(self, line: Line, stop: asyncio.Event) -> Line | None:
        """Open the next connection beside this one; it takes over once it delivers."""
        logger.info("the connection is replaced", url=self._url, age_s=round(line.age_s))
        line.is_leaving = False
        follower = await self._open()
        if follower is None:
            line.is_leaving = True
            await pause(stop, self._backoff.next_delay_s())
            return None
        while not stop.is_set():
            reason = await self._tend(follower)
            if reason is not None:
                await self._drop(follower, reason)
                return None
            heard = follower.has_delivered or follower.age_s > TAKE_OVER_S
            if follower.is_settled and follower.delivers and heard:
                break
            await pause(stop, TEND_S)
        await self._drop(line, "replaced", is_planned=True)
        return follower

    async def _drop(self, line: Line, reason: str, is_planned: bool = False) -> None:
        """Give a connection up, and say so."""
        metrics.CONNECTIONS.labels(self._exchange.venue).dec()
        logger.info("disconnected", url=self._url, reason=reason)
        if line.has_delivered and not is_planned:
            # Frames may have come of streams whose subscription was not answered yet.
            self._accept(line, time.monotonic())
        delivered = tuple(line.streams[name] for name in line.delivers if name in line.streams)
        # A dead peer does not answer the close; the next connection does not wait for that.
        closing = asyncio.create_task(line.close())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
        if line in self.lines:
            self.lines.remove(line)
        self._tell(LinkEvent("ended" if self.has_ended else "closed", delivered, reason, is_planned))

    def _tell(self, event: LinkEvent) -> None:
        self.events.append(event)
        self._wake.set()
