"""Moments at which a strategy wants to be called: event time, and nothing but event time."""

from __future__ import annotations

import heapq
import re
from typing import Final

from schemas.errors import ValidationError
from schemas.records import Micros

_UNITS_US: Final = {
    "ms": 1_000,
    "s": 1_000_000,
    "m": 60_000_000,
    "h": 3_600_000_000,
    "d": 86_400_000_000,
}
_LENGTH: Final = re.compile(r"([1-9][0-9]*)(ms|s|m|h|d)")
MOST_AT_ONCE: Final = 10_000
"""Calls at one time that timers may ask for; more of them have no end."""
FAR: Final = 1 << 62
"""Later than all that happens, µs."""


class Timer:
    """A call that was asked for; `on_timer` is handed it.

    Attributes:
        due: When it is called next, or is being called for, µs; None: never again.
        every: Time between two calls, µs; 0: there is one call.
    """

    __slots__ = ("due", "every")

    def __init__(self, due: Micros, every: Micros = 0) -> None:
        self.due: Micros | None = due
        self.every = every

    def stop(self) -> None:
        """Have no more calls."""
        self.due = None


class Timers:
    """All timers of a run, the next one first; those of one time in the order of their asking."""

    def __init__(self) -> None:
        self.heap: list[tuple[Micros, int, Timer]] = []
        """Empty while there are none: quickly asked before each event."""
        self._count = 0
        self._called = False
        self._over: tuple[Micros, int] = (0, 0)
        """The time, and how many timers were asked for at it, by timers, that were over."""

    def add(self, timer: Timer) -> Timer:
        """Take a timer that has a time."""
        if timer.due is not None:
            self._count += 1
            heapq.heappush(self.heap, (timer.due, self._count, timer))
        return timer

    def once(self, due: Micros, now: Micros) -> Timer:
        """A timer for one call; at once if that is over.

        Raises:
            ValidationError: Timers ask for times that are over again and again: that would never end.
        """
        if self._called and due <= now:
            since, count = self._over
            self._over = (now, count + 1 if since == now else 1)
            if count >= MOST_AT_ONCE and since == now:
                raise ValidationError(
                    f"on_timer asks at {now} for {due}, which is over, again and again: it would never end"
                )
        return self.add(Timer(due))

    @property
    def next(self) -> Micros:
        """When the next one is due, µs; `FAR` if none is."""
        heap = self.heap
        while heap and heap[0][2].due != heap[0][0]:
            heapq.heappop(heap)
        return heap[0][0] if heap else FAR

    def take(self) -> Timer:
        """The one that is due at `next`; it has no other place until it is put back."""
        self._called = True
        return heapq.heappop(self.heap)[2]

    def put_back(self, timer: Timer) -> None:
        """After its call: have it called again, unless it was stopped or there was one call to make."""
        self._called = False
        if timer.due is not None:
            timer.due = timer.due + timer.every if timer.every else None
            self.add(timer)


def length_of(text: str) -> Micros:
    """A length of time that is written as `250ms`, `30s`, `5m`, `4h` or `1d`, in µs.

    Raises:
        ValidationError: It is written otherwise.
    """
    match = _LENGTH.fullmatch(text)
    if match is None:
        raise ValidationError(f"a time is written as 250ms, 30s, 5m, 4h or 1d, got {text!r}")
    return int(match[1]) * _UNITS_US[match[2]]


def text_of(length: Micros) -> str:
    """A length of time as `length_of` reads it, in the largest unit that divides it; µs where none does."""
    for unit, size in reversed(_UNITS_US.items()):
        if length % size == 0:
            return f"{length // size}{unit}"
    return f"{length}us"
