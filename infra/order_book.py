"""One order book: the price levels of both sides, and the best of each at any time."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence
from math import inf
from typing import Final, Literal

import msgspec

from schemas.records import BookUpdate, Micros

LEVELS: Final = 10_000
"""Levels that are held of a side; no venue gives more in a snapshot."""


class SavedBook(msgspec.Struct, array_like=True, frozen=True):
    """The state of a book, best first: prices and sizes of bids and asks, and what was forgotten of each."""

    bids: list[tuple[float, float]]
    asks: list[tuple[float, float]]
    floors: tuple[float, float]


class OrderBook:
    """The levels of one symbol.

    Of each side at most `levels` are held, those nearest to the other side. What lies farther is forgotten,
    and stays unknown until a snapshot brings it, as levels outside of a venue's snapshot do.

    Args:
        venue: Whose book, for the snapshots that it gives.
        symbol: Unified symbol.
        levels: Most levels of a side.
    """

    __slots__ = ("_asks", "_bids", "symbol", "venue")

    def __init__(self, venue: str, symbol: str, levels: int = LEVELS) -> None:
        self.venue = venue
        self.symbol = symbol
        self._bids = _Side(1.0, levels)
        self._asks = _Side(-1.0, levels)

    def apply(self, update: BookUpdate) -> None:
        """Take a snapshot in place of all levels, or set the levels of a delta; size 0 removes one."""
        if update.kind == "snapshot":
            self._bids.replace(update.bid_prices, update.bid_sizes)
            self._asks.replace(update.ask_prices, update.ask_sizes)
        else:
            self._bids.set(update.bid_prices, update.bid_sizes)
            self._asks.set(update.ask_prices, update.ask_sizes)

    def clear(self) -> None:
        """Forget all levels."""
        self._bids.replace((), ())
        self._asks.replace((), ())

    @property
    def best_bid(self) -> tuple[float, float] | None:
        """Price and size of the highest bid; None if there is none."""
        return self._bids.best()

    @property
    def best_ask(self) -> tuple[float, float] | None:
        """Price and size of the lowest ask; None if there is none."""
        return self._asks.best()

    @property
    def is_crossed(self) -> bool:
        """Whether a bid is not below the asks: the market would have traded, so the book is wrong."""
        bids, asks = self._bids.keys, self._asks.keys
        return bool(bids and asks) and bids[-1] >= -asks[-1]

    @property
    def depth(self) -> tuple[int, int]:
        """Number of levels held: bids, asks."""
        return len(self._bids.keys), len(self._asks.keys)

    def is_certain(self, count: int) -> bool:
        """Whether no level was forgotten that would be among the best `count` of its side."""
        return self._bids.is_certain(count) and self._asks.is_certain(count)

    def top(self, count: int) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
        """Price and size of the best `count` bids and asks, best first."""
        return self._bids.top(count), self._asks.top(count)

    def size_at(self, side: Literal["bid", "ask"], price: float) -> float:
        """Size of the level at a price; 0 if there is none."""
        levels = self._bids if side == "bid" else self._asks
        return levels.sizes.get(price * levels.sign, 0.0)

    def save(self) -> SavedBook:
        """The whole state; equal books give equal states."""
        bids, asks = self.top(max(self.depth))
        return SavedBook(bids, asks, (self._bids.floor, self._asks.floor))

    def restore(self, saved: SavedBook) -> None:
        """Take over a state in place of one's own; it is of a book with the same `levels`."""
        for side, held, floor in zip(
            (self._bids, self._asks), (saved.bids, saved.asks), saved.floors, strict=True
        ):
            side.replace([price for price, _ in held], [size for _, size in held])
            side.floor = floor

    def snapshot(
        self, last_sequence: int | None, event_time: Micros | None, receive_time: Micros
    ) -> BookUpdate:
        """The book as a record, best first.

        Args:
            last_sequence: Id of the newest update in it.
            event_time: Time of that update, µs; None where the venue gives none.
            receive_time: When that update was received, µs.
        """
        bids, asks = self.top(max(self.depth))
        return BookUpdate(
            venue=self.venue,
            symbol=self.symbol,
            kind="snapshot",
            first_sequence=None,
            last_sequence=last_sequence,
            previous_sequence=None,
            bid_prices=[price for price, _ in bids],
            bid_sizes=[size for _, size in bids],
            ask_prices=[price for price, _ in asks],
            ask_sizes=[size for _, size in asks],
            checksum=None,
            event_time=event_time,
            receive_time=receive_time,
        )


class _Side:
    """Levels of a side: a dict of sizes, and the prices in a sorted list whose end is the best.

    Most changes are near the best price, so near the end, where inserting and removing move little memory.

    Args:
        sign: 1 for bids, -1 for asks: with it a greater key is a better price.
        limit: Most levels.
    """

    __slots__ = ("floor", "keys", "limit", "sign", "sizes")

    def __init__(self, sign: float, limit: int) -> None:
        self.sign = sign
        self.limit = limit
        self.sizes: dict[float, float] = {}
        """By key: the price times the sign."""
        self.keys: list[float] = []
        self.floor = -inf
        """Best key that was forgotten since all levels were replaced: beyond it levels may be missing."""

    def set(self, prices: Sequence[float], sizes: Sequence[float]) -> None:
        """Set levels; those of size 0 are removed, if they were there."""
        held, keys, sign = self.sizes, self.keys, self.sign
        for price, size in zip(prices, sizes, strict=True):
            key = price * sign
            if size:
                if key not in held:
                    insort(keys, key)
                held[key] = size
            elif held.pop(key, None) is not None:
                del keys[bisect_left(keys, key)]
        if len(keys) > self.limit:
            self._prune()

    def replace(self, prices: Sequence[float], sizes: Sequence[float]) -> None:
        """Hold these levels and no others."""
        sign = self.sign
        self.sizes = {price * sign: size for price, size in zip(prices, sizes, strict=True) if size}
        self.keys = sorted(self.sizes)
        self.floor = -inf
        if len(self.keys) > self.limit:
            self._prune()

    def is_certain(self, count: int) -> bool:
        """Whether nothing was forgotten, or `count` levels are better than anything that was."""
        return self.floor == -inf or len(self.keys) - bisect_right(self.keys, self.floor) >= count

    def best(self) -> tuple[float, float] | None:
        """Price and size of the best level."""
        if not self.keys:
            return None
        key = self.keys[-1]
        return key * self.sign, self.sizes[key]

    def top(self, count: int) -> list[tuple[float, float]]:
        """Price and size of the best levels, best first."""
        sign, sizes = self.sign, self.sizes
        nearest = self.keys[: -count - 1 : -1] if count > 0 else []
        return [(key * sign, sizes[key]) for key in nearest]

    def _prune(self) -> None:
        excess = len(self.keys) - self.limit
        self.floor = max(self.floor, self.keys[excess - 1])
        for key in self.keys[:excess]:
            del self.sizes[key]
        del self.keys[:excess]


def reaches_back_to(delta: BookUpdate, otherwise: int) -> int:
    """Id of the last update before a delta, as far as its numbers tell; `otherwise` where they do not."""
    if delta.previous_sequence is not None:
        # A first id that reaches back farther is as good: the first delta upon a snapshot may.
        first = delta.first_sequence
        return delta.previous_sequence if first is None else min(delta.previous_sequence, first - 1)
    return otherwise if delta.first_sequence is None else delta.first_sequence - 1
