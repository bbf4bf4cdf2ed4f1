"""What stands between messages and a channel: its rate, its pauses, its breaker, its places.

Each channel has all of them for itself, so that a slow or failing one takes nothing from another.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Final

from infra import metrics
from infra.backoff import FullJitter
from infra.resilience.bulkhead import Bulkhead
from infra.resilience.circuit_breaker import BreakerPolicy, CircuitBreaker, Clock, State
from infra.resilience.token_bucket import TokenBucket
from infra.settings import ChannelLimits
from schemas.errors import RefusedError, UnavailableError
from sinks.notifications.channel import ChannelBusyError

POLICY: Final = BreakerPolicy(trials=1)
"""One message tells whether a channel is back: it may be a fold of all that has waited."""
LONGEST_PAUSE_S: Final = 3_600.0
"""A channel that asks for more is asked again then."""
SHARE_OF_CHANNEL: Final = 0.95
"""Of the time of an attempt: the rest is for the channel to say what has hung."""
_STATES: Final[dict[State, int]] = {"closed": 0, "half_open": 1, "open": 2}


class Gate:
    """Lets messages through to one channel.

    Args:
        name: Of the channel.
        limits: Its figures.
        on_suspended: Told when the channel, having worked, is suspended; must not block or raise.
        clock: Monotonic time, s.
    """

    def __init__(
        self,
        name: str,
        limits: ChannelLimits,
        on_suspended: Callable[[], None],
        clock: Clock = time.monotonic,
    ) -> None:
        self._name = name
        self._at_once = limits.at_once
        self._on_suspended = on_suspended
        self._clock = clock
        self._bucket = (
            TokenBucket(name, limits.burst, limits.per_minute / 60.0, clock) if limits.per_minute else None
        )
        self._breaker = CircuitBreaker(name, POLICY, clock, self._note_state)
        self._worked = True
        self._places = Bulkhead(name, limits.at_once, limits.timeout_s)
        self._backoff = FullJitter()
        self._not_before_s = 0.0
        metrics.notifications.NOTIFICATION_BREAKER.labels(name).set(_STATES["closed"])

    @property
    def delay_s(self) -> float:
        """Seconds until a message may be sent; 0 if one may now."""
        waits = [self._not_before_s - self._clock(), self._breaker.retry_in_s]
        if self._bucket is not None:
            waits.append(self._bucket.delay_s(1.0))
        return max(0.0, *waits)

    @property
    def room(self) -> int:
        """How many messages may be sent now, side by side."""
        if self.delay_s > 0:
            return 0
        places = [self._at_once]
        if self._breaker.limit is not None:
            places.append(self._breaker.limit)
        if self._bucket is not None:
            places.append(max(1, int(self._bucket.remaining)))
        return min(places)

    @property
    def is_on_trial(self) -> bool:
        """Whether the channel has failed, and the next message tells whether it still does."""
        return self._breaker.state == "half_open"

    async def send(self, deliver: Callable[[float], Awaitable[None]]) -> None:
        """Let one message through.

        Args:
            deliver: Sends it; given the seconds that are left for it.

        Raises:
            BreakerOpenError: The channel is suspended.
            UnavailableError: It has failed, or not answered in time; what comes next waits.
            RefusedError: It will not take the message.
        """
        if self._bucket is not None:
            self._bucket.try_take(1.0)
        with self._breaker.trial(_is_failure):
            try:
                async with self._places.place() as place:
                    await deliver(place.remaining_s * SHARE_OF_CHANNEL)
            except ChannelBusyError as error:
                self._pause(min(error.retry_after_s, LONGEST_PAUSE_S))
                raise
            except UnavailableError:
                self._pause(self._backoff.next_delay_s())
                raise
        self._backoff.reset()

    def _pause(self, wait_s: float) -> None:
        self._not_before_s = max(self._not_before_s, self._clock() + wait_s)

    def _note_state(self, state: State) -> None:
        metrics.notifications.NOTIFICATION_BREAKER.labels(self._name).set(_STATES[state])
        if state == "closed":
            self._worked = True
        elif state == "open" and self._worked:
            self._worked = False
            self._on_suspended()


def _is_failure(error: BaseException) -> bool | None:
    """A channel that asks us to wait works; one that refuses may be revoked."""
    if isinstance(error, ChannelBusyError):
        return None
    return True if isinstance(error, UnavailableError | RefusedError) else None
