"""One connection of a link: its subscriptions, whether they were accepted, and its signs of life."""

import asyncio
import contextlib
import time
from collections.abc import Iterable, Sequence
from typing import Final

from websockets.exceptions import ConnectionClosed

from producers.connection import FeedConnection
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
        connection: Open, nothing sent yet.
        streams: To be subscribed.
    """

    def __init__(self, exchange: Exchange, connection: FeedConnection, streams: Iterable[Stream]) -> None:
        self._exchange = exchange
        self.connection = connection
        self.streams = {stream.name: stream for stream in streams}
        self.opened_s = time.monotonic()
        self.delivers: set[str] = set()
        """Streams that the venue has accepted, as far as the session was told."""
        self.refusal: str | None = None
        self.has_delivered = False
        """Whether any frame of it was read."""
        self.is_leaving = False
        """Whether the venue has announced its end."""
        self._unanswered: dict[int, Request] = {}
        self._asked_s = self.opened_s
        self._pinged_s = connection.answered_s
        self._beat_s = self.opened_s
        self._number = 0
        self._sending: asyncio.Task[None] | None = None

    @property
    def is_settled(self) -> bool:
        """Whether every subscription was answered."""
        return not self._unanswered and (self._sending is None or self._sending.done())

    @property
    def age_s(self) -> float:
        """Seconds since it was opened."""
        return time.monotonic() - self.opened_s

    def subscribe(self, streams: Sequence[Stream], subscribe: bool = True) -> None:
        """Have streams subscribed, or unsubscribed, at the venue's pace."""
        for stream in streams:
            if subscribe:
                self.streams[stream.name] = stream
            else:
                self.streams.pop(stream.name, None)
                self.delivers.discard(stream.name)
        requests = self._exchange.requests(streams, self._number + 1, time.time(), subscribe)
        self._number = max((request.number for request in requests), default=self._number)
        self._unanswered |= {request.number: request for request in requests}
        self._asked_s = time.monotonic()
        self._sending = asyncio.create_task(self._send(requests, self._sending))

    def heed(self, control: Control) -> None:
        """Take what the venue says about this connection."""
        if control.kind == "shutdown":
            self.is_leaving = True
        elif control.kind == "refused":
            self.refusal = f"the venue refused a request: {control.message}"
        elif control.kind == "accepted" and control.request is not None:
            self._unanswered.pop(control.request, None)

    async def tend(self, now_s: float) -> None:
        """Send what is due, and look for signs of life; call about ten times a second.

        Raises:
            ConnectionClosed: The connection has ended.
            UnavailableError: The venue refused a subscription, did not answer one, or gives no sign of life.
        """
        connection = self.connection
        if self.refusal is not None:
            raise UnavailableError(self.refusal)
        if connection.backlog or connection.is_halted:
            # What has arrived was not looked at yet: the answer may be in it.
            self._asked_s = now_s
            return
        if self._sending is not None and self._sending.done():
            self._sending.result()
            self._sending = None
        if self._unanswered and now_s - self._asked_s > ANSWER_WITHIN_S:
            raise UnavailableError(f"no answer to a subscription within {ANSWER_WITHIN_S:g} s")
        answered_s = connection.answered_s
        if answered_s < self._pinged_s and now_s - self._pinged_s > PONG_WITHIN_S:
            raise UnavailableError(f"no sign of life for {now_s - answered_s:.0f} s")
        beat_s = self._exchange.heartbeat_s
        if beat_s is not None and now_s - self._beat_s >= beat_s:
            self._beat_s = now_s
            await connection.send(self._exchange.heartbeat(time.time()))
        if now_s - answered_s >= self._exchange.ping_after_s and answered_s >= self._pinged_s:
            self._pinged_s = now_s
            await connection.ping()

    async def close(self) -> None:
        """Stop sending and close."""
        if self._sending is not None:
            self._sending.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionClosed):
                await self._sending
        await self.connection.close()

    async def _send(self, requests: Iterable[Request], before: asyncio.Task[None] | None) -> None:
        """Send requests after those that were begun before, and leave one message a second for pings."""
        if before is not None:
            await before
        pause_s = 1.0 / max(self._exchange.limits.messages_per_s - 1.0, 0.5)
        for request in requests:
            self._asked_s = time.monotonic()
            await self.connection.send(request.text)
            await asyncio.sleep(pause_s)
