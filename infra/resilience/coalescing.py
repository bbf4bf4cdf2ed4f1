"""One call for all who ask the same at the same time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any


class Coalescer:
    """Calls that are under way, by key."""

    def __init__(self) -> None:
        self._shared: dict[str, _Shared] = {}

    async def share(self, key: str, make: Callable[[], Awaitable[Any]]) -> tuple[Any, bool]:
        """The result of the call under way with this key, or of a new one, and whether it was shared.

        A caller that is cancelled leaves the others theirs; the call is cancelled with the last of them.

        Raises:
            Exception: What the call raises, for every caller.
        """
        shared = self._shared.get(key)
        joined = shared is not None
        if shared is None:
            shared = self._shared[key] = _Shared(asyncio.ensure_future(make()))
            shared.task.add_done_callback(lambda task: self._ended(key, task))
        shared.callers += 1
        try:
            return await asyncio.shield(shared.task), joined
        finally:
            shared.callers -= 1
            if not shared.callers and not shared.task.done():
                if self._shared.get(key) is shared:
                    del self._shared[key]
                shared.task.cancel()

    def _ended(self, key: str, task: "asyncio.Future[Any]") -> None:
        if not task.cancelled():
            task.exception()  # taken note of, even if every caller has gone
        shared = self._shared.get(key)
        if shared is not None and shared.task is task:
            del self._shared[key]


class _Shared:
    __slots__ = ("callers", "task")

    def __init__(self, task: "asyncio.Future[Any]") -> None:
        self.task = task
        self.callers = 0
