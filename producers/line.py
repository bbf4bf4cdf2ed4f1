"""One connection of a link: its subscriptions, whether they were accepted, and its signs of life."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Collection, Iterable, Sequence
from typing import Any, Final

from websockets.exceptions import ConnectionClosed

from infra.backoff import FullJitter
from producers.exchange import Control, Exchange, Request, Stream
from schemas.errors import UnavailableError

PONG_WITHIN_S: Final = 10.0
"""A connection that sends nothing for so long after a ping is dead, whatever TCP thinks."""

ANSWER_WITHIN_S: Final = 15.0
"""A subscription that is not answered within this time has failed."""


class Line:
    """Subscribes on a connection and watches it.

    Args:
        exchange: The venue's rules.
        connection: Open, nothing sent yet; a `FeedConnection`, or what has its face.
        doubtful: Names of streams that an earlier connection was refused: they are asked for again and
            again, while a refusal of any other ends the connection. One bad symbol costs no other its data.
    """

    def __init__(self, exchange: Exchange, connection: Any, doubtful: Collection[str] = ()) -> None:
        self._exchange = exchange
        self.connection = connection
        self.talk = exchange.new_talk()
        """What the exchange has to know of this connection to read its answers."""
        self.streams: dict[str, Stream] = {}
        self.opened_s = time.monotonic()
        self.delivers: set[str] = set()
        """Streams that the venue has accepted, as far as the session was told."""
        self.refused: dict[str, str] = {}
        """Streams that the venue has refused, and its words."""
        self.refusal: str | None = None
        """Why the connection is worth nothing."""
        self.has_delivered = False
        """Whether any frame of it was read."""
        self.is_leaving = False
        """Whether the venue has announced its end."""
        self.is_told = False
        """Whether its link has said that it brings nothing any more; frames may still wait."""
        self.is_proven = False
        """Whether it has lived long enough to count as a success; for its link."""
        self.replaced_s: float | None = None
        """Since when another connection delivers all that this one does; for its link."""
        self._doubtful = frozenset(doubtful)
        self._unanswered: dict[int, Request] = {}
        self._asked_s = self.opened_s
        self._pinged_s = connection.answered_s
        self._beat_s = self.opened_s
        self._halted_s = 0.0
        self._number = 0
        self._sending: asyncio.Task[None] | None = None
        self._free_s = 0.0
        self._retries = FullJitter()
        self._retry_s = 0.0
        self._drained: Awaitable[Any] | None = None
        self._drain_s: float | None = None

    @property
    def is_settled(self) -> bool:
        """Whether every subscription was answered."""
        return not self._unanswered and (self._sending is None or self._sending.done())

    @property
    def age_s(self) -> float:
        """Seconds since it was opened."""
        return time.monotonic() - self.opened_s

    def looked_s(self, now_s: float) -> float:
        """Until when all that has come was looked at: what is missing until then has not come."""
        next_at_s: float | None = self.connection.next_at_s
        return now_s if next_at_s is None else next_at_s

    def subscribe(self, streams: Sequence[Stream], subscribe: bool = True) -> None:
        """Have streams subscribed, or unsubscribed, at the venue's pace."""
        for stream in streams:
            self.refused.pop(stream.name, None)
            if subscribe:
                self.streams[stream.name] = stream
            else:
                self.streams.pop(stream.name, None)
                self.delivers.discard(stream.name)
        self._exchange.talk = self.talk
        requests = self._exchange.requests(streams, self._number + 1, time.time(), subscribe)
        self._number = max((request.number for request in requests), default=self._number)
        self._unanswered |= {request.number: request for request in requests}
        self._asked_s = time.monotonic()
        self._sending = asyncio.create_task(self._send(requests, self._sending))

    def heed(self, control: Control) -> None:
        """Take what the venue says about this connection."""
        if control.kind == "shutdown":
            self.is_leaving = True
        elif control.kind == "accepted" and control.request is not None:
            self._unanswered.pop(control.request, None)
        elif control.kind == "refused":
            request = None if control.request is None else self._unanswered.pop(control.request, None)
            names = [] if request is None else [name for name in request.streams if name in self.streams]
            self.refused |= dict.fromkeys(names, control.message)
            if not names or not self._doubtful.issuperset(names):
                self.refusal = f"the venue refused a request: {control.message}"

    async def tend(self, now_s: float) -> None:
        """Send what is due, and look for signs of life; call about ten times a second.

        Raises:
            ConnectionClosed: The connection has ended.
            UnavailableError: The venue refused a subscription, did not answer one, or gives no sign of life.
        """
        connection = self.connection
        if self.refusal is not None:
            raise UnavailableError(self.refusal)
        if connection.is_halted:
            # Nothing is read, so nothing can be missed.
            self._halted_s = self._asked_s = now_s
        if self._sending is not None and self._sending.done():
            self._sending.result()
            self._sending = None
        if self._unanswered and self.looked_s(now_s) - self._asked_s > ANSWER_WITHIN_S:
            raise UnavailableError(f"no answer to a subscription within {ANSWER_WITHIN_S:g} s")
        await self._look_for_life(now_s)
        if self.refused and self.is_settled and now_s >= self._retry_s:
            if self._retry_s:
                self.subscribe([self.streams[name] for name in self.refused])
            self._retry_s = now_s + 1.0 + self._retries.next_delay_s()

    def is_drained(self, now_s: float) -> bool:
        """Whether all was read that the venue had sent before `drain` was called."""
        if self.connection.is_lost:
            return self.connection.next_at_s is None
        if isinstance(self._drained, asyncio.Future) and not self._drained.done():
            return False
        if self._drain_s is None:
            self._drain_s = now_s
        return self.looked_s(now_s) >= self._drain_s

    async def drain(self) -> None:
        """Begin to find out whether what the venue has sent until now was read: its pong comes after that.

        Raises:
            ConnectionClosed: The connection has ended.
        """
        self._drained = await self.connection.ping()

    async def close(self) -> None:
        """Stop sending and close."""
        if self._sending is not None:
            self._sending.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionClosed):
                await self._sending
        await self.connection.close()

    async def _look_for_life(self, now_s: float) -> None:
        """Heartbeats go out however busy the connection is; pings when nothing has come for a while."""
        connection = self.connection
        came_s = max(connection.answered_s, self._halted_s)
        if came_s < self._pinged_s and now_s - self._pinged_s > PONG_WITHIN_S:
            raise UnavailableError(f"no sign of life for {now_s - came_s:.0f} s")
        beat_s = self._exchange.heartbeat_s
        is_beat_due = beat_s is not None and now_s - self._beat_s >= beat_s
        if is_beat_due:
            self._beat_s = now_s
            await connection.send(self._exchange.heartbeat(time.time()))
        if came_s >= self._pinged_s and (is_beat_due or now_s - came_s >= self._exchange.ping_after_s):
            self._pinged_s = now_s
            await connection.ping()

    async def _send(self, requests: Iterable[Request], before: asyncio.Task[None] | None) -> None:
        """Send requests after those that were begun before, and leave one message a second for pings."""
        if before is not None:
            await before
        distance_s = 1.0 / max(self._exchange.limits.messages_per_s - 1.0, 0.5)
        for request in requests:
            await asyncio.sleep(max(0.0, self._free_s - time.monotonic()))
            self._asked_s = time.monotonic()
            self._free_s = self._asked_s + distance_s
            await self.connection.send(request.text)
