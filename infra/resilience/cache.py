"""A cache of three layers: memory, a local store, and whoever is asked if neither knows."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, Literal, TypeAlias

from infra.resilience.cache_key import context_of
from infra.resilience.events import OnEvent, ResilienceEvent, ignore
from infra.resilience.local_store import LocalStore

Layer: TypeAlias = Literal["memory", "store"]

TTL_S: Final[dict[str, float]] = {"ticker": 60.0, "instruments": 3_600.0, "exchange-rate": 30.0}
"""How long a value is fresh, by its context, s. A context that is not named is not cached."""

ENTRIES: Final = 1_024
WARMING_CALLS: Final = 2
"""Calls at once that warm a cache: few, since somebody may ask for something in earnest."""


class Cache:
    """Fresh values by canonical key (`infra.resilience.cache_key`).

    Args:
        store: Second layer; None for memory alone.
        clock: Monotonic time, s.
        on_event: Told when values are dropped before their time.
        entries: Values in memory at most; the ones that were not used for longest go.
    """

    def __init__(
        self,
        store: LocalStore | None = None,
        clock: Callable[[], float] = time.monotonic,
        on_event: OnEvent = ignore,
        entries: int = ENTRIES,
    ) -> None:
        self._store = store
        self._clock = clock
        self._on_event = on_event
        self._entries = entries
        self._memory: OrderedDict[str, tuple[Any, float]] = OrderedDict()

    async def get(self, key: str) -> tuple[Any, Layer] | None:
        """A fresh value and the layer that had it; what the store knows is then in memory too."""
        held = self._memory.get(key)
        if held is not None:
            value, until_s = held
            if self._clock() < until_s:
                self._memory.move_to_end(key)
                return value, "memory"
            del self._memory[key]
        stored = await self._store.get(key) if self._store is not None else None
        if stored is None:
            return None
        value, fresh_s = stored
        self._remember(key, value, fresh_s)
        return value, "store"

    async def put(self, key: str, value: Any) -> None:
        """Keep a value in all layers, as long as values of its context are fresh.

        Args:
            key: Its key.
            value: Something that JSON can say, since the local store keeps it as such.
        """
        ttl_s = TTL_S.get(context_of(key))
        if ttl_s is None:
            return
        self._remember(key, value, ttl_s)
        if self._store is not None:
            await self._store.put(key, value, ttl_s)

    async def invalidate(self, context: str, why: str) -> None:
        """Drop all values of a context before their time, and say so."""
        keys = [key for key in self._memory if context_of(key) == context]
        for key in keys:
            del self._memory[key]
        stored = await self._store.drop(context) if self._store is not None else 0
        self._on_event(
            ResilienceEvent(
                "cache.invalidated",
                "info",
                f"cached values of {context} were dropped: {why}",
                {"context": context, "memory": len(keys), "store": stored},
            )
        )

    def _remember(self, key: str, value: Any, fresh_s: float) -> None:
        self._memory[key] = value, self._clock() + fresh_s
        self._memory.move_to_end(key)
        while len(self._memory) > self._entries:
            self._memory.popitem(last=False)


async def warm(calls: Iterable[Callable[[], Awaitable[object]]]) -> int:
    """Make cached calls before somebody needs them, few at once; returns how many succeeded.

    One that fails is left to the call in earnest, which tells its caller why.
    """
    places = asyncio.Semaphore(WARMING_CALLS)

    async def make(call: Callable[[], Awaitable[object]]) -> None:
        async with places:
            await call()

    results = await asyncio.gather(*(make(call) for call in calls), return_exceptions=True)
    return sum(not isinstance(result, BaseException) for result in results)
