"""When the next records may go: speed, pause, steps, and the way forward to a time.

A replay at speed N has a clock of its own, in event time, that runs N times as fast as the wall clock; a
record goes once that clock has come to its due time. What is published in which order never depends on it.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from schemas.errors import ConfigurationError, ConflictError
from schemas.records import Micros

MAX: Final = math.inf
"""The speed that waits for nothing but Kafka."""
TURN_S: Final = 0.02
"""Least time between two turns of a paced replay: so that batches stay batches."""
SECOND_US: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Turn:
    """What may go now: what is due up to a time (that time included; None: all), at most `count` records."""

    through: Micros | None = None
    count: int | None = None


class Pace:
    """The clock and the controls of a replay; use from one event loop.

    Args:
        speed: Seconds of event time a second, `MAX` for no pacing.
        clock: Monotonic time, s.

    Raises:
        ConfigurationError: The speed is not positive.
    """

    def __init__(self, speed: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._speed = _checked(speed)
        self._paused = False
        self._event_us: Micros | None = None
        self._at_s = clock()
        self._turned_s = -math.inf
        self._newest_us: Micros | None = None
        self._steps = 0
        self._one_time = False
        self._goal_us: Micros | None = None
        self._changed = asyncio.Event()

    @property
    def speed(self) -> float:
        """Seconds of event time a second; `MAX` for no pacing."""
        return self._speed

    @property
    def is_paused(self) -> bool:
        """Whether it stands, apart from steps."""
        return self._paused

    @property
    def newest_us(self) -> Micros | None:
        """Due time of the newest record that went, µs; None: none has."""
        return self._newest_us

    def pause(self) -> None:
        """Let nothing more go."""
        self._anchor()
        self._paused = True
        self._tell()

    def resume(self) -> None:
        """Go on, at the speed as before."""
        self._anchor()
        self._paused = False
        self._steps, self._one_time = 0, False
        self._tell()

    def set_speed(self, speed: float) -> None:
        """Go on at another speed; one that is paused stays so.

        Raises:
            ConfigurationError: The speed is not positive.
        """
        checked = _checked(speed)
        self._anchor()
        self._speed = checked
        self._tell()

    def step(self, count: int | None = None) -> None:
        """Let some records go and pause.

        Args:
            count: How many; None: those of the next time at which there are any.

        Raises:
            ConfigurationError: The count is not positive.
        """
        if count is not None and count < 1:
            raise ConfigurationError(f"a step is of one record or more, got {count}")
        self.pause()
        if count is None:
            self._one_time = True
        else:
            self._steps += count
        self._tell()

    def seek(self, goal: Micros) -> None:
        """Go to a time as fast as possible, then on as before.

        Everything before it is published, so what is computed from it is right.

        Raises:
            ConflictError: The time is past: what was published cannot be taken back.
        """
        if self._newest_us is not None and goal <= self._newest_us:
            raise ConflictError(
                "a replay does not go back: what it has published stays, and with it what was computed. "
                "Stop it, remove it (kandle replay --drop PREFIX) and replay again up to that time"
            )
        self._goal_us = goal
        self._tell()

    async def turn(self, due: Micros) -> Turn:
        """Wait until something may go.

        Args:
            due: When the next record is due.
        """
        while True:
            self._changed.clear()
            if self._goal_us is not None:
                if due < self._goal_us:
                    return Turn(through=self._goal_us - 1)
                # Before the first record there is nothing to wait for: the clock begins with that one.
                self._event_us = None if self._newest_us is None else self._goal_us
                self._at_s, self._goal_us = self._clock(), None
            if self._paused:
                if self._steps:
                    return Turn(count=self._steps)
                if self._one_time:
                    self._one_time = False
                    return Turn(through=due)
                await self._changed.wait()
                continue
            if self._speed == MAX:
                return Turn()
            if self._event_us is None:
                self._event_us, self._at_s = due, self._clock()
            now = self._clock()
            wait_s = max(
                self._at_s + (due - self._event_us) / SECOND_US / self._speed - now,
                self._turned_s + TURN_S - now,
            )
            if wait_s <= 0:
                self._turned_s = now
                return Turn(through=self._now_us())
            await self._sleep(wait_s)

    def went(self, records: int, newest: Micros) -> None:
        """Take note of what was published.

        Args:
            records: How many.
            newest: The newest due time among them, µs.
        """
        self._steps = max(self._steps - records, 0)
        self._newest_us = newest if self._newest_us is None else max(newest, self._newest_us)

    async def _sleep(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            pass

    def _tell(self) -> None:
        self._changed.set()

    def _now_us(self) -> Micros:
        assert self._event_us is not None
        return self._event_us + int((self._clock() - self._at_s) * self._speed * SECOND_US)

    def _anchor(self) -> None:
        """Let the clock go on from where it is."""
        if self._paused or self._speed == MAX or self._event_us is None:
            # It stood, or there was none: it goes on from what went last.
            reached = [time for time in (self._event_us, self._newest_us) if time is not None]
            self._event_us = max(reached, default=None)
        else:
            self._event_us = self._now_us()
        self._at_s = self._clock()


def _checked(speed: float) -> float:
    if not speed > 0:
        raise ConfigurationError(f"the speed is a positive number or max, got {speed:g}")
    return speed
