"""Attempts to connect, no more than the venue allows from one address."""

import asyncio
import time
from typing import Final

AT_ONCE: Final = 1 / 6
"""Share of a minute's attempts that may be made at once, after a pause; the others follow evenly."""


class ConnectPace:
    """Hands out turns; to be shared by all who connect to one venue.

    Never more than `per_minute` turns lie within any minute, and a few that come after a pause do not wait: a
    feed that has lost all its connections at once gets them back at once.

    Args:
        per_minute: Attempts that the venue allows in a minute.
    """

    def __init__(self, per_minute: float) -> None:
        self._most = max(1.0, per_minute * AT_ONCE)
        self._distance_s = 60.0 / max(per_minute - self._most, per_minute / 2)
        self._free_s = 0.0
        """When all turns that may be had at once are there again."""

    async def turn(self) -> None:
        """Wait for the next turn."""
        await asyncio.sleep(self.reserve(time.monotonic()))

    def reserve(self, now_s: float) -> float:
        """Take the next turn; returns how long to wait for it, s."""
        self._free_s = max(self._free_s, now_s) + self._distance_s
        return max(0.0, self._free_s - self._most * self._distance_s - now_s)
