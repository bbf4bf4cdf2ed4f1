"""Whose figures stand under a bare symbol, where several venues have it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from sinks.cache import names
from sinks.cache.changes import Change, SetText
from sinks.cache.store import Reading

HELD_S: Final = 60
"""A venue that falls silent for so long leaves the symbol to the next one."""
RENEW_S: Final = 15.0


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
        self._checked: dict[tuple[str, str], tuple[float, bool]] = {}

    def _rank(self, venue: str) -> tuple[int, str]:
        return self._ranks.get(venue, len(self._ranks)), venue

    def forget(self) -> None:
        """Ask the store again."""
        self._checked.clear()

    async def claim(
        self, store: Reading, markets: Iterable[tuple[str, str]]
    ) -> tuple[list[tuple[str, str]], list[Change]]:
        """Which of these markets have their symbols now, and what has to be written to keep them."""
        now = self._now()
        asked = sorted(set(markets))
        due = [name for name in asked if self._checked.get(name, (0.0, False))[0] <= now]
        holders = await store.texts([names.venue(symbol) for _, symbol in due])
        best = dict(zip((symbol for _, symbol in due), holders, strict=True))
        for venue, symbol in due:
            holder = best[symbol]
            if holder is None or self._rank(venue) < self._rank(holder):
                best[symbol] = venue
        for venue, symbol in due:
            self._checked[venue, symbol] = (now + RENEW_S, best[symbol] == venue)
        owned = [name for name in asked if self._checked[name][1]]
        renewed: list[Change] = [
            SetText(names.venue(symbol), venue, HELD_S)
            for venue, symbol in due
            if self._checked[venue, symbol][1]
        ]
        return owned, renewed
