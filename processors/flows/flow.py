"""Values of a market's flow: what quotes and order books say at one moment. Pure.

A flow is named in the settings with its parameters, `book(10)`. Sizes are in base units, prices in quote
currency; imbalance is between -1 (only asks) and 1 (only bids).
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, TypeAlias

from processors.parameters import Parametrised, Period
from schemas.topics import BOOKS, QUOTES, Topic

Levels: TypeAlias = Sequence[tuple[float, float]]
"""Prices and sizes of one side, best first."""


class Flow(Parametrised, ABC, kind="flow", package="processors.flows.flow"):
    """What is computed from the best levels of a symbol.

    Attributes:
        topic: Where the levels come from.
        depth: Levels of a side that it looks at.
    """

    topic: ClassVar[Topic]
    depth: int

    @abstractmethod
    def outputs(self, bids: Levels, asks: Levels) -> Mapping[str, float]:
        """Values by name; without those that are not defined.

        Args:
            bids: At least one, at most `depth`.
            asks: As `bids`.
        """

    def values(self, bids: Levels, asks: Levels) -> list[tuple[str, float]]:
        """Values by full name, `book_10.imbalance`; none where a side is empty."""
        if not bids or not asks:
            return []
        found = self.outputs(bids[: self.depth], asks[: self.depth])
        return [(f"{self.label}.{name}", value) for name, value in found.items() if math.isfinite(value)]


class Quote(Flow):
    """Spread, mid, imbalance and microprice of the best bid and ask."""

    topic = QUOTES

    def start(self) -> None:
        """The top alone is looked at."""
        self.depth = 1

    def outputs(self, bids: Levels, asks: Levels) -> Mapping[str, float]:
        """See `Flow`."""
        return _of_top(bids, asks)


class BookTop(Quote):
    """The same four, of the best bid and ask of the book."""

    topic = BOOKS


class Book(Flow):
    """Imbalance of the best levels of the book: their sizes added up, bids against asks.

    Attributes:
        levels: Levels of a side; a book that has fewer gives what it has.
    """

    topic = BOOKS
    levels: Period = 10

    def start(self) -> None:
        """So many levels are looked at."""
        self.depth = self.levels

    def outputs(self, bids: Levels, asks: Levels) -> Mapping[str, float]:
        """See `Flow`."""
        bid, ask = (math.fsum(size for _, size in side) for side in (bids, asks))
        return _imbalance(bid, ask)


class BookSample(Flow):
    """No values: the best levels of the book themselves, as records of a topic of their own.

    Attributes:
        levels: Levels of a side; a book that has fewer gives what it has.
    """

    topic = BOOKS
    levels: Period = 10

    def start(self) -> None:
        """So many levels are written."""
        self.depth = self.levels

    def outputs(self, bids: Levels, asks: Levels) -> Mapping[str, float]:
        """See `Flow`; none."""
        return {}


def _imbalance(bid: float, ask: float) -> dict[str, float]:
    return {"imbalance": (bid - ask) / (bid + ask)} if bid + ask > 0 else {}


def _of_top(bids: Levels, asks: Levels) -> dict[str, float]:
    """The microprice leans to the side that is likely to be eaten up first: that with the smaller size."""
    (bid, bid_size), (ask, ask_size) = bids[0], asks[0]
    values = {"spread": ask - bid, "mid": (bid + ask) / 2} | _imbalance(bid_size, ask_size)
    total = bid_size + ask_size
    if total > 0:
        values["microprice"] = (bid * ask_size + ask * bid_size) / total
    return values
