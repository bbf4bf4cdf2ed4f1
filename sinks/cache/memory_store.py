"""The store in this process's memory: the same answers without Redis."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sinks.cache.changes import (
    Append,
    Change,
    Emit,
    Level,
    SetFields,
    SetLevels,
    SetList,
    SetText,
)


class MemoryStore:
    """Hashes, lists, books and texts that expire.

    Args:
        now: Monotonic seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._held: dict[str, tuple[float, Any]] = {}
        self._positions: dict[str, str] = {}

    async def fields(self, key: str) -> dict[str, str]:
        """A hash."""
        return dict(self._get(key) or {})

    async def items(self, key: str) -> list[str]:
        """A list."""
        return list(self._get(key) or [])

    async def levels(self, key: str) -> list[Level]:
        """One side of a book, by ascending price."""
        return sorted(self._get(key) or [])

    async def texts(self, keys: Sequence[str]) -> list[str | None]:
        """Several texts at once."""
        return [self._get(key) for key in keys]

    async def members(self, key: str) -> set[str]:
        """A set; nobody subscribes to a process's memory."""
        return set()

    async def move(
        self, changes: Sequence[Change], expected: Mapping[str, str | None], positions: Mapping[str, str]
    ) -> bool:
        """Make changes and set positions, if the positions have the expected values."""
        if any(self._positions.get(key) != value for key, value in expected.items()):
            return False
        for change in changes:
            self._make(change)
        self._positions.update(positions)
        return True

    def _make(self, change: Change) -> None:
        match change:
            case SetFields(key, fields, ttl_s):
                self._set(key, {**(self._get(key) or {}), **fields}, ttl_s)
            case SetList(key, items, ttl_s):
                self._set(key, list(items), ttl_s)
            case Append(key, item, most, ttl_s):
                self._set(key, [*(self._get(key) or []), item][-most:], ttl_s)
            case SetLevels(key, levels, ttl_s):
                self._set(key, list(levels), ttl_s)
            case SetText(key, value, ttl_s):
                self._set(key, value, ttl_s)
            case Emit():
                """Nobody listens to a process's memory."""

    def _set(self, key: str, value: Any, ttl_s: float) -> None:
        self._held[key] = (self._now() + ttl_s, value)

    def _get(self, key: str) -> Any:
        ends, value = self._held.get(key, (0.0, None))
        if value is not None and ends <= self._now():
            del self._held[key]
            return None
        return value
