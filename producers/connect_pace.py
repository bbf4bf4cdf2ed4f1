"""Attempts to connect, no faster than the venue allows from one address."""

import asyncio
import time


class ConnectPace:
    """Hands out turns at even distances; shared by all who connect to one venue.

    Args:
        per_minute: Attempts that the venue allows in a minute.
    """

    def __init__(self, per_minute: float) -> None:
        self._distance_s = 60.0 / per_minute
        self._next_s = 0.0

    async def turn(self) -> None:
        """Wait for the next turn."""
        now = time.monotonic()
        at_s = max(now, self._next_s)
        self._next_s = at_s + self._distance_s
        await asyncio.sleep(at_s - now)
