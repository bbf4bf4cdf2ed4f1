"""One set of streams, kept delivered: a connection at a time, two while the next takes over, without end."""

import asyncio
import random
import time
from collections.abc import Iterable, Mapping, Sequence
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
            connection; `refused`: no connection came about, or a stream is not given; `ended`: the feed ends.
        streams: Which.
        reason: Why, for people.
        is_planned: Whether it was replaced, or another connection of the link delivers all that it did.
        at_s: When, by the monotonic clock, s.
    """

    change: Change
    streams: tuple[Stream, ...] = ()
    reason: str = ""
    is_planned: bool = False
    at_s: float = 0.0


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
        wake: Set when there is something for the session to look at.
        opening: Opens its connections.
        copy: Which of a session's hot feeds it belongs to, from 0.
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
        copy: int = 0,
    ) -> None:
        self._exchange = exchange
        self._url = url.rstrip("/") + path
        self.path = path
        self.copy = copy
        self.streams = {stream.name: stream for stream in streams}
        self.lines: list[Line] = []
        """Its connections, the oldest first; closed ones as long as frames of them wait."""
        self.liveness = Liveness()
        self.events: list[LinkEvent] = []
        """What has happened; the session takes it."""
        self.has_ended = False
        """Whether the venue has ended the feed."""
        self._pace = pace
        self._lossless = lossless
        self._wake = wake
        self._open_connection = opening
        self._backoff = FullJitter()
        self._retry_s = 0.0
        self._opening: asyncio.Task[Line | None] | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._life_s = 0.0
        self._ended_s: float | None = None
        self._heard_s = time.monotonic()
        self._has_told_refusal = False
        self._doubtful: set[str] = set()
        """Streams that a connection was refused."""

    @property
    def room(self) -> int:
        """Streams that it can still take."""
        return self._exchange.limits.streams_per_connection - len(self.streams)

    @property
    def is_retired(self) -> bool:
        """Whether it has nothing to deliver any more: venues hang up on those who ask for nothing."""
        return not self.streams

    @property
    def heard_s(self) -> float:
        """When anything was last received, by the monotonic clock, s; at first, when the link began."""
        for line in self.lines:
            self._heard_s = max(self._heard_s, line.connection.answered_s)
        return self._heard_s

    @property
    def answered_s(self) -> float | None:
        """Until when all that the venue had sent has come and was looked at, by the monotonic clock, s.

        None unless all streams are delivered. While a connection takes over, the older one counts as well.
        """
        found: float | None = None
        for line in self.lines:
            connection = line.connection
            if connection.is_lost or not line.delivers:
                continue
            if connection.backlog or connection.is_halted or not line.is_settled:
                return None
            if len(line.delivers) + len(line.refused) >= len(self.streams):
                at_s: float = connection.answered_s
                found = at_s if found is None else min(found, at_s)
        return found

    async def run(self, stop: asyncio.Event) -> None:
        """Keep the streams delivered until `stop` is set, nothing is left, or the venue ends the feed."""
        try:
            while not stop.is_set() and not self.is_retired:
                await self._step(time.monotonic())
                if self.has_ended and not self.lines:
                    return
                await pause(stop, TEND_S)
        finally:
            await self._finish("stopped" if stop.is_set() else "nothing is left to deliver")

    def heard(self, line: Line, kinds: Mapping[str, int], at_s: float) -> None:
        """Frames of a connection were read; so many records of each kind were in them."""
        line.has_delivered = True
        self.liveness.heard(kinds, at_s)

    def change(self, add: Sequence[Stream], remove: Sequence[Stream]) -> None:
        """Subscribe and unsubscribe streams; on a connection that is open at once, else on the next."""
        for stream in remove:
            self.streams.pop(stream.name, None)
            self._doubtful.discard(stream.name)
        self.streams |= {stream.name: stream for stream in add}
        if remove:
            # Fewer symbols have another pace.
            self.liveness = Liveness()
            gone = set(remove)
            self.events = [
                event._replace(streams=tuple(stream for stream in event.streams if stream not in gone))
                for event in self.events
            ]
        for line in self.lines:
            if not line.connection.is_lost:
                if remove:
                    line.subscribe(remove, subscribe=False)
                if add:
                    line.subscribe(add)

    async def _step(self, now_s: float) -> None:
        """Look after its connections, and see to it that there is one."""
        for line in list(self.lines):
            reason = await self._tend(line, now_s)
            if reason is not None:
                self._drop(line, reason)
        if self.has_ended:
            self._end_others(now_s)
        if self._opening is not None and self._opening.done():
            opening, self._opening = self._opening, None
            if opening.result() is None:
                self._retry_s = now_s + self._backoff.next_delay_s()
            else:
                self._life_s = self._new_life_s()
        if len(self.lines) > 1:
            await self._take_over(self.lines[0], self.lines[-1], now_s)
        elif self._opening is None and now_s >= self._retry_s and self._is_wanting():
            if self.lines and not self.lines[0].is_told:
                logger.info("the connection is replaced", url=self._url, age_s=round(self.lines[0].age_s))
                self._retry_s = now_s + self._backoff.next_delay_s()
            self._opening = asyncio.create_task(self._open())

    def _end_others(self, now_s: float) -> None:
        """The feed has ended on one connection: another has a moment to say so itself."""
        if self._ended_s is None:
            self._ended_s = now_s
        for line in list(self.lines):
            if now_s - self._ended_s > STABLE_AFTER_S and not line.connection.backlog:
                self._drop(line, "the feed has ended")

    def _is_wanting(self) -> bool:
        """Whether another connection is needed."""
        if self.has_ended or self.is_retired:
            return False
        if not self.lines:
            return True
        line = self.lines[0]
        if line.is_told:
            return True
        return line.is_settled and (line.is_leaving or line.age_s > self._life_s)

    def _new_life_s(self) -> float:
        """How old a connection may become; not all at once, so that links do not change in step."""
        allowed_s = self._exchange.limits.connection_lifetime_s
        if allowed_s is None:
            return float("inf")
        return allowed_s * ROTATE_AT * random.uniform(0.9, 1.0)  # noqa: S311 - no secret

    async def _open(self) -> Line | None:
        """A new connection that asks for all streams; None if there is none to be had."""
        await self._pace.turn()
        try:
            connection = await self._open_connection(
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
            logger.info("no connection to the venue", url=self._url, why=why, attempt=self._backoff.attempts)
            if not self._has_told_refusal:
                self._has_told_refusal = True
                self._tell(LinkEvent("refused", (), f"no connection: {why}"))
            return None
        self._has_told_refusal = False
        metrics.feeds.CONNECTIONS.labels(self._exchange.venue).inc()
        logger.info("connected", url=self._url, streams=len(self.streams))
        line = Line(self._exchange, connection, self._doubtful)
        self.lines.append(line)
        self._tell(LinkEvent("opened", (), f"connected to {self._url}"))
        if self.streams:
            line.subscribe(list(self.streams.values()))
        return line

    async def _tend(self, line: Line, now_s: float) -> str | None:
        """Look after a connection; why it must be given up, or None."""
        try:
            if line.connection.is_lost:
                raise line.connection.protocol.close_exc
            await line.tend(now_s)
        except ConnectionClosed:
            connection = line.connection
            reason = f"{connection.close_code} {connection.close_reason or ''}".strip()
            if connection.backlog:
                # Frames wait, but none come any more. Another connection must not hide that.
                if connection.is_lost and connection.close_code != END_OF_FEED:
                    self._lose(line, reason)
                return None
            self.has_ended |= connection.close_code == END_OF_FEED
            return reason
        except UnavailableError as error:
            return str(error)
        if line.is_settled:
            self._accept(line, now_s)
            if not line.is_proven and line.age_s > STABLE_AFTER_S:
                line.is_proven = True
                self._backoff.reset()
            is_judged = line is self.lines[-1] and not line.connection.shed
            channel = self.liveness.mute(line.looked_s(now_s)) if is_judged else None
            if channel is not None:
                return f"mute: {channel} is silent for far longer than usual"
        return None

    def _accept(self, line: Line, now_s: float) -> None:
        names = [name for name in line.streams if name not in line.delivers and name not in line.refused]
        for name in line.refused.keys() - self._doubtful:
            self._doubtful.add(name)
            self._tell(LinkEvent("refused", (), f"{name} is refused: {line.refused[name]}"))
        if names:
            line.delivers.update(names)
            self.liveness.begin(now_s)
            self._tell(LinkEvent("accepted", tuple(line.streams[name] for name in names)))

    async def _take_over(self, old: Line, new: Line, now_s: float) -> None:
        """Drop the older of two connections once the newer delivers, and all that the older had was read."""
        heard = new.has_delivered or new.age_s > TAKE_OVER_S
        if not new.delivers or not new.is_settled or not heard or old.connection.is_lost:
            return
        if old.replaced_s is None:
            old.replaced_s = now_s
            try:
                await old.drain()
            except ConnectionClosed:
                return
        if old.is_drained(now_s) or now_s - old.replaced_s > TAKE_OVER_S:
            self._drop(old, "replaced", is_planned=True)

    def _lose(self, line: Line, reason: str, is_planned: bool = False) -> None:
        """Say, once, that a connection brings nothing any more."""
        if line.is_told:
            return
        line.is_told = True
        logger.info("disconnected", url=self._url, reason=reason)
        if line.is_settled or line.has_delivered:
            # Frames may have come of streams whose subscription was not seen as accepted yet.
            self._accept(line, time.monotonic())
        self._doubtful |= line.refused.keys()
        delivered = tuple(line.streams[name] for name in line.delivers if name in line.streams)
        others = [other for other in self.lines if other is not line and not other.is_told]
        is_covered = any(line.delivers <= other.delivers for other in others)
        line.delivers.clear()
        change: Change = "ended" if self.has_ended else "closed"
        self._tell(LinkEvent(change, delivered, reason, is_planned or is_covered))
        if not others:
            self._retry_s = time.monotonic() + self._backoff.next_delay_s()

    def _drop(self, line: Line, reason: str, is_planned: bool = False) -> None:
        """Give a connection up."""
        metrics.feeds.CONNECTIONS.labels(self._exchange.venue).dec()
        self._lose(line, reason, is_planned)
        self.lines.remove(line)
        # A dead peer does not answer the close; the next connection does not wait for that.
        closing = asyncio.create_task(line.close())
        self._closing.add(closing)
        closing.add_done_callback(self._closed)

    def _closed(self, closing: asyncio.Task[None]) -> None:
        self._closing.discard(closing)
        if not closing.cancelled() and (error := closing.exception()) is not None:
            logger.info("a connection was not closed in order", url=self._url, why=str(error))

    async def _finish(self, reason: str) -> None:
        """Close all connections."""
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)
        metrics.feeds.CONNECTIONS.labels(self._exchange.venue).dec(len(self.lines))
        for _ in self.lines:
            self._tell(LinkEvent("ended", (), reason))
        closing = [line.close() for line in self.lines]
        self.lines = []
        await asyncio.gather(*closing, *self._closing, return_exceptions=True)

    def _tell(self, event: LinkEvent) -> None:
        self.events.append(event._replace(at_s=time.monotonic()))
        self._wake.set()
