"""What a store of hot data can do: Redis, Valkey, or this process's memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from sinks.cache.changes import Change, Level


class Reading(Protocol):
    """Looking up what a store holds. What is not there, or has expired, is empty."""

    async def fields(self, key: str) -> dict[str, str]:
        """A hash."""

    async def items(self, key: str) -> list[str]:
        """A list."""

    async def levels(self, key: str) -> list[Level]:
        """One side of a book, by ascending price."""

    async def texts(self, keys: Sequence[str]) -> list[str | None]:
        """Several texts at once."""

    async def members(self, key: str) -> set[str]:
        """A set."""


class Store(Reading, Protocol):
    """Changing it, with positions, at once or not at all."""

    async def move(
        self, changes: Sequence[Change], expected: Mapping[str, str | None], positions: Mapping[str, str]
    ) -> bool:
        """Make changes and set positions, if the positions have the expected values.

        Returns:
            False if one has not; nothing was changed.
        """
