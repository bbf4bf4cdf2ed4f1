"""A circuit breaker: after too many failures no call is made for a while, then a few on trial."""

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from schemas.errors import BreakerOpenError

State: TypeAlias = Literal["closed", "half_open", "open"]
Clock: TypeAlias = Callable[[], float]

OUTCOMES_KEPT: Final = 1_000
"""Bound of memory: a window of the newest thousand tells as much as a longer one."""


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """When it opens, and how it closes again.

    Attributes:
        in_a_row: Failures without a success in between that open it.
        failures: Failures within the window that open it, if at least `calls` ended in it.
        calls: See `failures`.
        window_s: Length of the window, s.
        open_s: How long it stays open, s.
        trials: Calls under way at most while half-open, and successes that close it.
    """

    in_a_row: int = 5
    failures: int = 5
    calls: int = 10
    window_s: float = 60.0
    open_s: float = 30.0
    trials: int = 3


class CircuitBreaker:
    """Counts how calls end and refuses them while the other side seems down.

    Closed, it counts. Open, it refuses. Half-open, it lets `trials` calls through at a time: as many
    successes close it, one failure opens it again. A call that began before the state changed says nothing
    about the present and is not counted.

    Args:
        name: Of what is called, for messages.
        policy: Its figures.
        clock: Monotonic time, s.
        on_change: Told every new state; must not block or raise.
    """

    def __init__(
        self,
        name: str,
        policy: BreakerPolicy | None = None,
        clock: Clock = time.monotonic,
        on_change: Callable[[State], None] | None = None,
    ) -> None:
        self._name = name
        self._policy = policy or BreakerPolicy()
        self._clock = clock
        self.on_change = on_change
        self._state: State = "closed"
        self._period = 0
        self._opened_s = 0.0
        self._outcomes: deque[tuple[float, bool]] = deque(maxlen=OUTCOMES_KEPT)
        self._in_a_row = 0
        self._under_way = 0
        self._successes = 0

    @property
    def state(self) -> State:
        """The state now; an open breaker becomes half-open once its time is over."""
        if self._state == "open" and self.retry_in_s <= 0:
            self._enter("half_open")
        return self._state

    @property
    def retry_in_s(self) -> float:
        """Seconds until calls are let through again; 0 unless it is open."""
        if self._state != "open":
            return 0.0
        return max(0.0, self._opened_s + self._policy.open_s - self._clock())

    @property
    def limit(self) -> int | None:
        """How many calls may be under way now; None for any number."""
        match self.state:
            case "closed":
                return None
            case "half_open":
                return self._policy.trials
            case _:
                return 0

    def check(self) -> None:
        """Say at once that a call would be refused.

        Raises:
            BreakerOpenError: It would.
        """
        limit = self.limit
        if limit is not None and self._under_way >= limit:
            raise BreakerOpenError(
                f"calls to {self._name} are suspended for {self.retry_in_s:.0f} s, since too many have failed"
                if self._state == "open"
                else f"{self._name} is on trial after failures; enough calls are under way",
                self.retry_in_s,
            )

    @contextlib.contextmanager
    def trial(self, is_failure: Callable[[BaseException], bool | None]) -> Iterator[None]:
        """Let one call through and take note of its end.

        Args:
            is_failure: What an error says of the other side: True it is down, False it works and has refused
                this call, None nothing (our caller has cancelled it).

        Raises:
            BreakerOpenError: No call is let through now.
        """
        self.check()
        period = self._period
        self._under_way += 1
        failed: bool | None = False
        try:
            yield
        except BaseException as error:
            failed = is_failure(error)
            raise
        finally:
            if period == self._period:
                self._under_way -= 1
                if failed is not None:
                    self._note(failed)

    def reset(self) -> None:
        """Close it and forget what has been: an operator knows better."""
        self._enter("closed")

    def _note(self, failed: bool) -> None:
        now = self._clock()
        policy = self._policy
        if self._state == "half_open":
            if failed:
                self._open(now)
                return
            self._successes += 1
            if self._successes >= policy.trials:
                self._enter("closed")
            return
        self._outcomes.append((now, failed))
        while self._outcomes[0][0] <= now - policy.window_s:
            self._outcomes.popleft()
        self._in_a_row = self._in_a_row + 1 if failed else 0
        failures = sum(1 for _, bad in self._outcomes if bad) if failed else 0
        many = failures >= policy.failures and len(self._outcomes) >= policy.calls
        if self._in_a_row >= policy.in_a_row or many:
            self._open(now)

    def _open(self, now: float) -> None:
        self._opened_s = now
        self._enter("open")

    def _enter(self, state: State) -> None:
        changed = state != self._state
        self._state = state
        self._period += 1
        self._under_way = self._successes = self._in_a_row = 0
        self._outcomes.clear()
        if changed and self.on_change is not None:
            self.on_change(state)
