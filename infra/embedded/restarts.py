"""When a process that died is started again: the one rule of supervisors and worker pools."""

from collections.abc import Callable
from dataclasses import dataclass
from random import random

from infra.backoff import FullJitter


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """How long to wait, and when to give up.

    Attributes:
        base_delay_s: Pauses are drawn from 0 to this, which doubles with each quick death ...
        max_delay_s: ... up to this.
        max_failures: More quick deaths in a row than this: give up.
        healthy_after_s: Who was ready for so long did not die quickly; the count begins anew.
    """

    base_delay_s: float = 0.5
    max_delay_s: float = 10.0
    max_failures: int = 5
    healthy_after_s: float = 20.0


class Restarts:
    """The deaths of one process.

    Args:
        policy: What counts as quick, and how many are too many.
        draw: Source of evenly distributed numbers in [0, 1).
    """

    def __init__(self, policy: RestartPolicy, draw: Callable[[], float] = random) -> None:
        self._policy = policy
        self._pauses = FullJitter(policy.base_delay_s, policy.max_delay_s, draw)
        self.failures = 0
        """Quick deaths in a row, the last one counted."""

    def pause_s(self, healthy_s: float) -> float | None:
        """Count a death; the pause before the next start in seconds, None to give up.

        Args:
            healthy_s: For how long the process had been ready; 0 if it never was.
        """
        if healthy_s > self._policy.healthy_after_s:
            self.failures = 0
            self._pauses.reset()
        self.failures += 1
        return None if self.failures > self._policy.max_failures else self._pauses.next_delay_s()
