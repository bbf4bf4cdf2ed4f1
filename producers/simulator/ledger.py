"""What has happened in a simulated market, as REST tells it: trades by id, the book as it stands. Pure."""

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from typing import Final, Generic, TypeVar

KEPT: Final = 100_000
"""Trades of a symbol that are remembered at least; venues forget older ones too, at other numbers."""

T = TypeVar("T")
Level = tuple[str, str]
"""Price and size as texts, just as the venue wrote them."""


class Tape(Generic[T]):
    """The newest trades of a symbol by ascending id.

    Args:
        kept: How many are remembered at least.
    """

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._ids: list[int] = []
        self._items: dict[int, T] = {}

    def add(self, number: int, item: T) -> None:
        """Remember a trade; one that is known already, as when a playback begins again, changes nothing."""
        if number in self._items:
            return
        if self._ids and number < self._ids[-1]:
            insort(self._ids, number)
        else:
            self._ids.append(number)
        self._items[number] = item
        if len(self._ids) > self._kept * 5 // 4:
            forgotten = len(self._ids) - self._kept
            for old in self._ids[:forgotten]:
                del self._items[old]
            del self._ids[:forgotten]

    def since(self, number: int, limit: int) -> list[T]:
        """At most `limit` trades from this id on, oldest first."""
        start = bisect_left(self._ids, number)
        return [self._items[found] for found in self._ids[start : start + limit]]

    def before(self, number: int, limit: int) -> list[T]:
        """At most `limit` trades with lower ids, the newest of them, oldest first."""
        end = bisect_left(self._ids, number)
        return [self._items[found] for found in self._ids[max(0, end - limit) : end]]

    def newest(self, limit: int) -> list[T]:
        """The last `limit` trades, oldest first."""
        return [self._items[found] for found in self._ids[-limit:]]

    def all(self) -> list[T]:
        """Everything that is remembered, oldest first."""
        return [self._items[number] for number in self._ids]


class SimulatedBook:
    """The levels of a symbol's book, kept from a snapshot and the changes after it.

    Before any snapshot it holds the levels that changes have named; the id tells how far it is.
    """

    def __init__(self) -> None:
        self.last: int = 0
        """Id of the newest change that is in it."""
        self.time_ms = 0
        """When that was, ms since the epoch; 0 where the venue does not say."""
        self._bids: dict[float, Level] = {}
        self._asks: dict[float, Level] = {}

    def restart(
        self, last: int, bids: Iterable[Sequence[str]], asks: Iterable[Sequence[str]], time_ms: int = 0
    ) -> None:
        """Replace all levels by a snapshot, unless the book is further than that already."""
        if last <= self.last and (self._bids or self._asks):
            return
        self._bids.clear()
        self._asks.clear()
        self.last = last - 1
        self.change(last, bids, asks, time_ms)

    def change(
        self, last: int, bids: Iterable[Sequence[str]], asks: Iterable[Sequence[str]], time_ms: int = 0
    ) -> None:
        """Set levels; a size of zero removes one. Changes that are in the book already are passed over."""
        if last <= self.last:
            return
        for levels, changes in ((self._bids, bids), (self._asks, asks)):
            for price, size, *_ in changes:
                if float(size):
                    levels[float(price)] = (price, size)
                else:
                    levels.pop(float(price), None)
        self.last, self.time_ms = last, time_ms

    def bids(self, limit: int) -> list[Level]:
        """The best `limit` bids, best first."""
        return [self._bids[price] for price in sorted(self._bids, reverse=True)[:limit]]

    def asks(self, limit: int) -> list[Level]:
        """The best `limit` asks, best first."""
        return [self._asks[price] for price in sorted(self._asks)[:limit]]
