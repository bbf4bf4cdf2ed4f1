"""An order book as a strategy sees it: it can be read, and not be changed."""

from __future__ import annotations

from infra.order_book import OrderBook
from schemas.records import Micros

Level = tuple[float, float]
"""Price, quote currency per unit, and size, base units."""


class BookView:
    """The book of one market as it stands now; the same view at each call of `on_book`.

    Attributes:
        market: `venue:symbol`.
        time: Event time of the newest change, µs.
    """

    __slots__ = ("_book", "market", "time")

    def __init__(self, market: str, book: OrderBook) -> None:
        self.market = market
        self.time: Micros = 0
        self._book = book

    @property
    def best_bid(self) -> Level | None:
        """Price and size of the highest bid; None if there is none."""
        return self._book.best_bid

    @property
    def best_ask(self) -> Level | None:
        """Price and size of the lowest ask; None if there is none."""
        return self._book.best_ask

    @property
    def middle(self) -> float | None:
        """Half way between the best prices; None while a side is empty."""
        bid, ask = self._book.best_bid, self._book.best_ask
        return None if bid is None or ask is None else (bid[0] + ask[0]) / 2

    def bids(self, count: int = 10) -> list[Level]:
        """The best `count` bids, highest first."""
        return self._book.top(count)[0]

    def asks(self, count: int = 10) -> list[Level]:
        """The best `count` asks, lowest first."""
        return self._book.top(count)[1]
