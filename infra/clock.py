"""The clock of the machine, as a thing that can be handed in: tests bring their own, nothing is patched.

Only receive times, timeouts and displays may ask it. Results depend on event time alone.
"""

import time
from typing import Protocol


class Clock(Protocol):
    """What time it is."""

    def now_us(self) -> int:
        """Wall clock, microseconds since the epoch, UTC."""
        ...


class SystemClock:
    """The clock of the operating system."""

    def now_us(self) -> int:
        """Wall clock, microseconds since the epoch, UTC."""
        return time.time_ns() // 1_000
