"""A bulkhead: so many calls at once and no more, so that one slow side cannot take all of us."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

from schemas.errors import CallTimeoutError

EXCHANGE_CALLS: Final = 10
EXCHANGE_TIMEOUT_S: Final = 30.0


class Bulkhead:
    """Places that calls take in the order in which they ask.

    Args:
        name: Of what is called, for messages.
        size: Calls at once.
        timeout_s: Longest stay of one call, its wait for a place included, s.
    """

    def __init__(self, name: str, size: int = EXCHANGE_CALLS, timeout_s: float = EXCHANGE_TIMEOUT_S) -> None:
        self.size = size
        self.timeout_s = timeout_s
        self._name = name
        self._places = asyncio.Semaphore(size)

    @contextlib.asynccontextmanager
    async def place(self) -> AsyncIterator["Place"]:
        """Wait for a place and hold it; what is done in it is cancelled once the time is over.

        Raises:
            CallTimeoutError: The time was over; `context["queued"]` tells whether it was so in the queue.
        """
        deadline_s = asyncio.get_running_loop().time() + self.timeout_s
        queued = True
        try:
            async with asyncio.timeout_at(deadline_s) as limit:
                await self._places.acquire()
                queued = False
                try:
                    yield Place(deadline_s)
                finally:
                    self._places.release()
        except TimeoutError:
            if not limit.expired():
                raise
            where = f"no place among {self.size} calls" if queued else "no answer"
            raise CallTimeoutError(
                f"{where} from {self._name} within {self.timeout_s:g} s", queued=queued
            ) from None


class Place:
    """A place in a bulkhead, taken until a deadline."""

    __slots__ = ("_deadline_s",)

    def __init__(self, deadline_s: float) -> None:
        self._deadline_s = deadline_s

    @property
    def remaining_s(self) -> float:
        """Seconds until what is done in it is cancelled."""
        return self._deadline_s - asyncio.get_running_loop().time()
