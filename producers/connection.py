"""The client's end of a WebSocket, read in portions and stamped at the socket."""

import asyncio
import contextlib
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.frames import CloseCode, Frame, Opcode

from infra.http import LOOPBACK

HIGH_WATER: Final = 4_096
LOW_WATER: Final = 1_024
"""Frames that may wait: above the first the socket is no longer read, below the second it is again."""

SHED_FRAMES: Final = 50_000
SHED_BYTES: Final = 64 * 1024 * 1024
"""What may wait of a live feed: beyond, frames are shed. Half of it is left to trades alone."""

OTHER: Final = "other"
TRADES: Final = "trades"

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

    @property
    def size(self) -> int:
        """Bytes of its frames."""
        return sum(map(len, self.frames))


class FeedConnection(ClientConnection):
    """A connection whose data frames are handed over in portions, one for each read of the socket.

    Frames bypass the library's queue of messages: `take` takes the place of `recv`. Memory is bounded in one
    of two ways. Without `is_trade`, reading stops while more than `HIGH_WATER` frames wait, so that a slow
    consumer is felt by the sender (TCP): right for a playback, while a venue would hang up on us. With it,
    the socket is always read, and frames are shed beyond a limit: first what are no trades, then the oldest.

    Args:
        args: For the library.
        wake: Set when something has come, or the connection has ended.
        is_trade: Whether a frame holds trades.
        kwargs: For the library.
    """

    def __init__(
        self,
        *args: Any,
        wake: asyncio.Event | None = None,
        is_trade: Callable[[bytes], bool] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._wake = wake or asyncio.Event()
        self._is_trade = is_trade
        self._portions: deque[Portion] = deque()
        self._open: Portion | None = None
        self._waiting = 0
        self._waiting_bytes = 0
        self._fragments: list[bytes] = []
        self._halted = False
        self._is_thinned = False
        """Whether all that waits are trades already."""
        self._dropping = False
        self.is_lost = False
        """Whether the connection has ended; frames may still wait."""
        self.shed: Counter[str] = Counter()
        """Frames shed since somebody cleared this, by `trades` and `other`."""
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

    @property
    def next_at_s(self) -> float | None:
        """When the portion came that `take` would return, by the monotonic clock, s; None without one."""
        return self._portions[0].at_s if self._portions else None

    def take(self) -> Portion:
        """The next frames; there must be some."""
        portion = self._portions.popleft()
        self._waiting -= len(portion.frames)
        if self._is_trade is not None:
            self._waiting_bytes -= portion.size
        if self._halted and self._waiting <= LOW_WATER:
            self._halted = False
            if not self.is_lost:
                self.transport.resume_reading()
        return portion

    async def next_portion(self, timeout_s: float) -> Portion | None:
        """The next frames; waits for some, None if none come within `timeout_s` seconds.

        Raises:
            websockets.exceptions.ConnectionClosed: The connection has ended and all frames were taken.
        """
        if not self._portions and not self.is_lost:
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self._wake.wait()
        if self._portions:
            return self.take()
        if self.is_lost:
            raise self.protocol.close_exc
        return None

    async def close(self, code: CloseCode | int = CloseCode.NORMAL_CLOSURE, reason: str = "") -> None:
        """Close the connection; frames that were not taken are dropped.

        What still comes is read and dropped too: else the answer to the close would never be seen.
        """
        self._dropping = True
        self._portions.clear()
        self._waiting = self._waiting_bytes = 0
        if self._halted and not self.is_lost:
            self._halted = False
            self.transport.resume_reading()
        await super().close(code, reason)

    def data_received(self, data: bytes) -> None:
        """Stamp what was read, then let the library take it apart; called by the event loop."""
        self.answered_s = time.monotonic()
        portion = self._open = Portion(time.time_ns() // 1_000, self.answered_s)
        super().data_received(data)
        self._open = None
        if not portion.frames or self._dropping:
            return
        if self._is_trade is not None:
            self._bound(portion, self._is_trade)
        elif self._waiting + len(portion.frames) > HIGH_WATER and not self._halted:
            self._halted = True
            self.transport.pause_reading()
        if portion.frames:
            self._portions.append(portion)
            self._waiting += len(portion.frames)
        self._wake.set()

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
        self.is_lost = True
        self._wake.set()

    def _bound(self, portion: Portion, is_trade: Callable[[bytes], bool]) -> None:
        """Shed what is beyond the limits; trades last."""
        self._waiting_bytes += portion.size
        if not self._is_beyond(2, portion):
            self._is_thinned = False
            return
        self._thin(portion, is_trade)
        if self._is_beyond(1, portion) and not self._is_thinned:
            self._is_thinned = True
            for waiting in self._portions:
                self._waiting -= self._thin(waiting, is_trade)
        while self._is_beyond(1, portion) and self._portions:
            oldest = self._portions.popleft()
            self._waiting -= len(oldest.frames)
            self._waiting_bytes -= oldest.size
            self.shed[TRADES] += len(oldest.frames)

    def _thin(self, portion: Portion, is_trade: Callable[[bytes], bool]) -> int:
        """Shed all but trades of a portion; returns how many frames."""
        size, count = portion.size, len(portion.frames)
        portion.frames = [frame for frame in portion.frames if is_trade(frame)]
        self._waiting_bytes -= size - portion.size
        shed = count - len(portion.frames)
        self.shed[OTHER] += shed
        return shed

    def _is_beyond(self, share: int, portion: Portion) -> bool:
        """Whether what waits, with a portion that is counted in bytes already, is beyond this share."""
        waiting = self._waiting + len(portion.frames)
        return waiting > SHED_FRAMES // share or self._waiting_bytes > SHED_BYTES // share


async def open_connection(
    url: str,
    *,
    open_timeout_s: float,
    close_timeout_s: float,
    frame_bytes: int,
    wake: asyncio.Event | None = None,
    is_trade: Callable[[bytes], bool] | None = None,
    headers: Mapping[str, str] | None = None,
) -> FeedConnection:
    """Connect to a venue.

    Compression stays off: it saves bytes that a data centre has, and costs the time that a feed has not.
    A server on this machine is never asked for through a proxy.

    Args:
        url: Of the endpoint.
        open_timeout_s: For the handshake.
        close_timeout_s: For the answer to our close.
        frame_bytes: Largest frame that is accepted.
        wake: See `FeedConnection`.
        is_trade: See `FeedConnection`.
        headers: Sent with the request.

    Raises:
        OSError: No connection.
        websockets.exceptions.InvalidHandshake: The server refused.
        TimeoutError: No answer within `open_timeout_s` seconds.
    """
    make: Any = partial(FeedConnection, wake=wake, is_trade=is_trade)
    connection = await connect(
        url,
        create_connection=make,
        additional_headers=dict(headers or {}),
        compression=None,
        proxy=None if urlsplit(url).hostname in LOOPBACK else True,
        open_timeout=open_timeout_s,
        close_timeout=close_timeout_s,
        ping_interval=None,
        max_size=frame_bytes,
    )
    assert isinstance(connection, FeedConnection)
    return connection
