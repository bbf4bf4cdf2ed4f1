"""The client's end of a WebSocket, read in portions and stamped at the socket."""

import asyncio
import time
from collections import deque
from typing import Any, Final
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.frames import CloseCode, Frame, Opcode

HIGH_WATER: Final = 4_096
LOW_WATER: Final = 1_024
"""Frames that may wait: above the first the socket is no longer read, below the second it is again."""

LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_DATA: Final = frozenset({Opcode.TEXT, Opcode.BINARY, Opcode.CONT})


class Portion:
    """The frames that came with one read of the socket.

    Attributes:
        receive_time: When they were read, µs since the epoch: a backlog behind it does not hide latency.
        at_s: The same by the monotonic clock, s.
        frames: The frames in order.
    """

    __slots__ = ("at_s", "frames", "receive_time")

    def __init__(self, receive_time: int, at_s: float) -> None:
        self.receive_time = receive_time
        self.at_s = at_s
        self.frames: list[bytes] = []


class FeedConnection(ClientConnection):
    """A connection whose data frames are handed over in portions, one for each read of the socket.

    Frames bypass the library's queue of messages: `next_portion` takes the place of `recv`. Reading stops
    while more than `HIGH_WATER` frames wait, so that a slow consumer is felt by the sender (TCP) and memory
    stays bounded.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._portions: deque[Portion] = deque()
        self._open: Portion | None = None
        self._waiting = 0
        self._fragments: list[bytes] = []
        self._halted = False
        self._lost = False
        self._dropping = False
        self._arrival: asyncio.Future[None] | None = None
        self.answered_s = time.monotonic()
        """When anything was last read from the socket, by the monotonic clock, s."""

    @property
    def backlog(self) -> int:
        """Frames that wait to be taken."""
        return self._waiting

    @property
    def is_halted(self) -> bool:
        """Whether reading has stopped because the consumer is slow."""
        return self._halted

    async def next_portion(self, timeout_s: float) -> Portion | None:
        """The next frames; waits for some, None if none come within `timeout_s` seconds.

        Raises:
            websockets.exceptions.ConnectionClosed: The connection has ended and all frames were taken.
        """
        if not self._portions:
            if self._lost:
                raise self.protocol.close_exc
            self._arrival = self.loop.create_future()
            timer = self.loop.call_later(timeout_s, self._wake)
            try:
                await self._arrival
            finally:
                timer.cancel()
                self._arrival = None
            if not self._portions:
                return None
        portion = self._portions.popleft()
        self._waiting -= len(portion.frames)
        if self._halted and self._waiting <= LOW_WATER:
            self._halted = False
            if not self._lost:
                self.transport.resume_reading()
        return portion

    async def close(self, code: CloseCode | int = CloseCode.NORMAL_CLOSURE, reason: str = "") -> None:
        """Close the connection; frames that were not taken are dropped.

        What still comes is read and dropped too: else the answer to the close would never be seen.
        """
        self._dropping = True
        self._portions.clear()
        self._waiting = 0
        if self._halted and not self._lost:
            self._halted = False
            self.transport.resume_reading()
        await super().close(code, reason)

    def data_received(self, data: bytes) -> None:
        """Stamp what was read, then let the library take it apart; called by the event loop."""
        self.answered_s = time.monotonic()
        portion = self._open = Portion(time.time_ns() // 1_000, self.answered_s)
        super().data_received(data)
        self._open = None
        if portion.frames and not self._dropping:
            self._portions.append(portion)
            self._waiting += len(portion.frames)
            if self._waiting > HIGH_WATER and not self._halted:
                self._halted = True
                self.transport.pause_reading()
            self._wake()

    def process_event(self, event: Any) -> None:
        """Keep a data frame; everything else is the library's; called for each frame in `data_received`."""
        if type(event) is not Frame or event.opcode not in _DATA or self._open is None:
            super().process_event(event)
            return
        if event.fin and not self._fragments:
            self._open.frames.append(bytes(event.data))
            return
        self._fragments.append(bytes(event.data))
        if event.fin:
            self._open.frames.append(b"".join(self._fragments))
            self._fragments.clear()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let the consumer see the end after the last frame; called by the event loop."""
        super().connection_lost(exc)
        self._lost = True
        self._wake()

    def _wake(self) -> None:
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)


async def open_connection(
    url: str, *, open_timeout_s: float, close_timeout_s: float, frame_bytes: int
) -> FeedConnection:
    """Connect to a venue.

    Compression stays off: it saves bytes that a data centre has, and costs the time that a feed has not.
    A server on this machine is never asked for through a proxy.

    Raises:
        OSError: No connection.
        websockets.exceptions.InvalidHandshake: The server refused.
        TimeoutError: No answer within `open_timeout_s` seconds.
    """
    connection = await connect(
        url,
        create_connection=FeedConnection,
        compression=None,
        proxy=None if urlsplit(url).hostname in LOOPBACK else True,
        open_timeout=open_timeout_s,
        close_timeout=close_timeout_s,
        ping_interval=None,
        max_size=frame_bytes,
    )
    assert isinstance(connection, FeedConnection)
    return connection
