"""Whose figures stand under a bare symbol, where several venues have it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from sinks.cache import names
from sinks.cache.changes import Change, SetText
from sinks.cache.store import Reading

Name = tuple[str, str]
"""Venue and symbol."""
HELD_S: Final = 60
"""A venue that falls silent for so long leaves the symbol to the next one."""
RENEW_S: Final = 15.0
SETTLED_S: Final = 2 * RENEW_S
"""So long after a symbol was taken, the process of the venue that had it may still write there."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Whose the symbols of some markets are.

    Attributes:
        owned: The markets that have theirs.
        unsettled: Those of them that took it lately: another venue's figures may stand there, or come.
        changes: What has to be written to keep them.
    """

    owned: set[Name]
    unsettled: set[Name]
    changes: list[Change]


class Owners:
    """Claims symbols for venues; of those alive the first one of the priority has a symbol.

    A venue that is not named comes after all that are, in alphabetical order.

    Args:
        priority: Names of venues, the first one counts most.
        now: Monotonic seconds.
    """

    def __init__(self, priority: Sequence[str], now: Callable[[], float] = time.monotonic) -> None:
        self._ranks = {venue: rank for rank, venue in enumerate(priority)}
        self._now = now
        self._due: dict[Name, float] = {}
        self._holders: dict[str, str] = {}
        self._unsettled: dict[Name, float] = {}

    def _rank(self, venue: str) -> tuple[int, str]:
        return self._ranks.get(venue, len(self._ranks)), venue

    def forget(self) -> None:
        """Ask the store again."""
        self._due.clear()
        self._holders.clear()

    async def claim(self, store: Reading, markets: Iterable[Name]) -> Claim:
        """Which of these markets have their symbols now."""
        now = self._now()
        asked = sorted(set(markets))
        due = [name for name in asked if self._due.get(name, 0.0) <= now]
        texts = await store.texts([names.venue(symbol) for _, symbol in due])
        before = dict(zip((symbol for _, symbol in due), texts, strict=True))
        best = before.copy()
        for venue, symbol in due:
            holder = best[symbol]
            if holder is None or self._rank(venue) < self._rank(holder):
                best[symbol] = self._holders[symbol] = venue
            else:
                self._holders[symbol] = holder
            self._due[venue, symbol] = now + RENEW_S
        owned = {name for name in asked if self._holders[name[1]] == name[0]}
        claimed = [name for name in due if name in owned]
        for venue, symbol in claimed:
            if before[symbol] != venue:
                self._unsettled[venue, symbol] = now + SETTLED_S
        unsettled = owned & self._unsettled.keys()
        for name in unsettled:
            if self._unsettled[name] <= now:
                del self._unsettled[name]
        renewed: list[Change] = [SetText(names.venue(symbol), venue, HELD_S) for venue, symbol in claimed]
        return Claim(owned, unsettled, renewed)
