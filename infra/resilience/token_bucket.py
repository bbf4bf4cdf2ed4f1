"""A token bucket: the weight that all users of one address or account may spend together."""

import asyncio
import time
from collections.abc import Callable
from typing import Final, TypeAlias

from schemas.errors import RateLimitedError

Clock: TypeAlias = Callable[[], float]

MINUTE_S: Final = 60.0
HEADROOM: Final = 0.1
"""Share of a venue's limit that is never planned for: other programs of the same address spend too."""
BURST: Final = 1 / 2
"""Share of what may be spent in a minute that may be spent at once. A bucket that was full lets capacity
plus refill through in its first minute; both together are what the venue allows, less the headroom."""


class TokenBucket:
    """Weight that refills with time and is lowered by what the venue tells.

    A call heavier than the bucket is let through when it is full, and leaves it in debt.

    Args:
        name: Of whose budget it is, for messages.
        capacity: Weight that may be spent at once.
        per_s: Weight that comes back in a second.
        clock: Monotonic time, s.
        wall: Wall clock, s since the epoch, for people who are told when it goes on.
    """

    def __init__(
        self,
        name: str,
        capacity: float,
        per_s: float,
        clock: Clock = time.monotonic,
        wall: Clock = time.time,
    ) -> None:
        self._name = name
        self.capacity = capacity
        self.per_s = per_s
        self._clock = clock
        self._wall = wall
        self._tokens = capacity
        self._filled_s = clock()
        self._paused_until_s = 0.0

    @classmethod
    def of_minute(
        cls, name: str, weight: float, clock: Clock = time.monotonic, wall: Clock = time.time
    ) -> "TokenBucket":
        """A bucket that never spends more than nine tenths of `weight` in any minute."""
        usable = weight * (1 - HEADROOM)
        return cls(name, usable * BURST, usable * (1 - BURST) / MINUTE_S, clock, wall)

    @property
    def remaining(self) -> float:
        """Weight that may be spent at once, if no pause is on; below 0 in debt."""
        self._refill()
        return self._tokens

    @property
    def reset_at(self) -> int:
        """When it is full again or a pause is over, whichever is later, µs since the epoch."""
        full_s = (self.capacity - self.remaining) / self.per_s
        return int((self._wall() + max(full_s, self.paused_s)) * 1_000_000)

    @property
    def paused_s(self) -> float:
        """Seconds of pause that are left; 0 if there is none."""
        return max(0.0, self._paused_until_s - self._clock())

    def delay_s(self, weight: float) -> float:
        """Seconds until `weight` could be taken; 0 if it can be now."""
        lacking = min(weight, self.capacity) - self.remaining
        return max(self.paused_s, lacking / self.per_s if lacking > 0 else 0.0)

    def try_take(self, weight: float) -> bool:
        """Take `weight` if it is there now."""
        if self.delay_s(weight) > 0:
            return False
        self._tokens -= weight
        return True

    async def take(self, weight: float, within_s: float) -> float:
        """Take `weight` and wait until it is there, in the order of the calls; returns the seconds waited.

        Raises:
            RateLimitedError: It would take longer than `within_s` seconds; nothing is taken.
        """
        begun_s = self._clock()
        delay_s = self.delay_s(weight)
        self._tokens -= weight
        try:
            # A pause may begin while we wait.
            while delay_s > 0:
                self._check(begun_s + within_s - self._clock(), delay_s)
                await asyncio.sleep(delay_s)
                delay_s = self.paused_s
        except BaseException:
            self._tokens += weight
            raise
        return self._clock() - begun_s

    def pause(self, wait_s: float) -> None:
        """Let nothing through for so long, and go on from an empty bucket: no storm when it is over."""
        self._refill()
        now = self._clock()
        until_s = max(self._paused_until_s, now + wait_s)
        added_s = until_s - max(self._paused_until_s, now)
        self._tokens = min(self._tokens, 0.0) - added_s * self.per_s
        self._paused_until_s = until_s

    def told_remaining(self, weight: float, reset_in_s: float) -> None:
        """The venue says what may be spent until its window ends; more than we know of is not believed.

        Args:
            weight: What is left; none begins a pause.
            reset_in_s: Seconds until the window ends.
        """
        self._refill()
        self._tokens = min(self._tokens, max(weight, 0.0))
        if weight <= 0:
            self.pause(reset_in_s)

    def _check(self, patience_s: float, delay_s: float) -> None:
        if delay_s > patience_s:
            raise RateLimitedError(
                f"the budget of {self._name} is spent for {delay_s:.1f} s",
                delay_s,
                int((self._wall() + delay_s) * 1_000_000),
            )

    def _refill(self) -> None:
        now = self._clock()
        self._tokens = min(self.capacity, self._tokens + (now - self._filled_s) * self.per_s)
        self._filled_s = now
