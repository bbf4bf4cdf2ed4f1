"""Frames that wait for a session, in portions of those that came at one time; bounded."""

from collections import Counter, deque
from collections.abc import Callable

from producers.connection import OTHER, SHED_BYTES, SHED_FRAMES, TRADES, Portion


class Portions:
    """Frames in the order in which they came; the oldest are shed when there are too many.

    Args:
        is_trade: Whether a frame holds trades, for the count of what was shed.
        frames: That may wait.
    """

    def __init__(self, is_trade: Callable[[bytes], bool], frames: int = SHED_FRAMES) -> None:
        self._is_trade = is_trade
        self._limit = frames
        self._waiting: deque[Portion] = deque()
        self._bytes = 0
        self.frames = 0
        """Frames that wait."""
        self.shed: Counter[str] = Counter()
        """Frames shed since somebody cleared this, by `trades` and `other`."""

    @property
    def next_at_s(self) -> float | None:
        """When the first portion came, by the monotonic clock, s; None without one."""
        return self._waiting[0].at_s if self._waiting else None

    def put(self, frame: bytes, receive_time: int, at_s: float) -> None:
        """Let a frame wait that came at this time (µs, and s by the monotonic clock)."""
        portion = self._waiting[-1] if self._waiting else None
        if portion is None or portion.at_s != at_s:
            portion = Portion(receive_time, at_s)
            self._waiting.append(portion)
        portion.frames.append(frame)
        self.frames += 1
        self._bytes += len(frame)
        while (self.frames > self._limit or self._bytes > SHED_BYTES) and len(self._waiting) > 1:
            oldest = self.take()
            trades = sum(map(self._is_trade, oldest.frames))
            self.shed[TRADES] += trades
            self.shed[OTHER] += len(oldest.frames) - trades

    def take(self) -> Portion:
        """Remove the first portion; there must be one."""
        portion = self._waiting.popleft()
        self.frames -= len(portion.frames)
        self._bytes -= portion.size
        return portion

    def clear(self) -> None:
        """Drop all."""
        self._waiting.clear()
        self.frames = self._bytes = 0
