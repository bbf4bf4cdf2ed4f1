"""Book updates for tests: short to write, and a market whose book is known at every id."""

import random
from dataclasses import dataclass, field

from schemas.records import BookUpdate

Levels = dict[float, float]


def update(
    kind: str,
    first: int | None,
    last: int | None,
    bids: Levels | None = None,
    asks: Levels | None = None,
    previous: int | None = None,
    time: int | None = None,
) -> BookUpdate:
    """A snapshot or a delta of one symbol."""
    bids, asks = bids or {}, asks or {}
    return BookUpdate(
        venue="test",
        symbol="BTC/USDT",
        kind="snapshot" if kind == "snapshot" else "delta",
        first_sequence=first,
        last_sequence=last,
        previous_sequence=previous,
        bid_prices=list(bids),
        bid_sizes=list(bids.values()),
        ask_prices=list(asks),
        ask_sizes=list(asks.values()),
        checksum=None,
        event_time=time,
        receive_time=time or 1,
    )


def snapshot(last: int | None, bids: Levels | None = None, asks: Levels | None = None) -> BookUpdate:
    """A snapshot as REST gives it."""
    return update(
        "snapshot", None, last, {10.0: 1.0} if bids is None else bids, {11.0: 1.0} if asks is None else asks
    )


def delta(first: int, last: int, bids: Levels | None = None, asks: Levels | None = None) -> BookUpdate:
    """A delta of a venue whose ids are contiguous."""
    return update("delta", first, last, bids, asks)


@dataclass
class MarketBook:
    """A made market: its deltas, and its book after each of them.

    Attributes:
        deltas: In order.
        states: Bids and asks after each last id, and before the first delta.
    """

    deltas: list[BookUpdate] = field(default_factory=list)
    states: dict[int, tuple[Levels, Levels]] = field(default_factory=dict)

    def snapshot(self, last: int) -> BookUpdate:
        """What REST answers when the book is at this id."""
        bids, asks = self.states[last]
        return snapshot(last, bids, asks)

    def at(self, last: int) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
        """The book at an id, sorted anew, best first."""
        bids, asks = self.states[last]
        return sorted(bids.items(), reverse=True), sorted(asks.items())


def make_market(seed: int, count: int, chained: bool, start: int = 100) -> MarketBook:
    """Make deltas around a price that moves.

    Args:
        seed: The same seed gives the same market.
        count: Number of deltas.
        chained: Whether deltas name the id before them, and ids have holes between them.
        start: Id before the first.
    """
    chance = random.Random(seed)
    middle, last = 50.5, start
    bids, asks = {40.0: 1.0}, {60.0: 1.0}
    market = MarketBook(states={start: (dict(bids), dict(asks))})
    for _ in range(count):
        middle = min(max(middle + chance.choice((-1, 0, 0, 1)), 20.5), 80.5)
        changes: tuple[Levels, Levels] = ({}, {})
        for side, change, outward in ((bids, changes[0], -1), (asks, changes[1], 1)):
            for price in [price for price in side if (price - middle) * outward < 0]:
                change[price] = 0.0
            for _ in range(chance.randrange(4)):
                price = middle + outward * (0.5 + chance.randrange(12))
                change[price] = chance.choice((0.0, 1.0, 2.5, 7.0))
            for price, size in change.items():
                side.pop(price, None)
                if size:
                    side[price] = size
        first = last + 1 + (chance.randrange(5) if chained else 0)
        previous = last if chained else None
        last = first + chance.randrange(4)
        market.deltas.append(update("delta", first, last, *changes, previous=previous))
        market.states[last] = (dict(bids), dict(asks))
    return market
