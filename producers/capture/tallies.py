"""What shows whether a capture is whole: trade ids without holes, books that agree with the quotes."""

from collections import deque
from typing import Final, NamedTuple

from infra.order_book import OrderBook
from infra.range_set import RangeSet
from schemas.records import BookUpdate, Quote

RANGES: Final = 100_000
"""Runs of ids that are remembered of a symbol."""

PENDING: Final = 5_000
"""Quotes, and states of a book, that wait for one another: some seconds of the busiest market."""


class TradeIds:
    """Ids of one symbol that should follow one another; what was skipped may come later."""

    def __init__(self) -> None:
        self._start = 0
        self._last: int | None = None
        self._earlier: RangeSet | None = None

    def add(self, sequence: int) -> bool:
        """Take an id; False for one that has been before."""
        last = self._last
        if last is None:
            self._start = self._last = sequence
        elif sequence == last + 1:
            self._last = sequence
        elif sequence > last:
            self._kept().add_range(self._start, last + 1)
            self._start = self._last = sequence
        elif sequence >= self._start:
            return False
        else:
            return self._kept().add(sequence)
        return True

    @property
    def holes(self) -> int:
        """Number of runs of ids that are missing between the lowest and the highest."""
        return len(self.missing)

    @property
    def missing(self) -> list[tuple[int, int]]:
        """The runs of ids that are missing, [start, stop), ascending."""
        if self._earlier is None or self._last is None:
            return []
        ranges = self._earlier.copy()
        ranges.add_range(self._start, self._last + 1)
        return ranges.holes()

    def _kept(self) -> RangeSet:
        if self._earlier is None:
            self._earlier = RangeSet()
        self._earlier.trim(RANGES)
        return self._earlier


class _State(NamedTuple):
    """The best prices of a book after an update."""

    first: int
    last: int
    bid: float | None
    ask: float | None
    has_moved: bool


class BookCheck:
    """Compares the book of one symbol with its quotes, where both count the same updates.

    After each update the best bid and ask are held against the newest quote up to the update's id, once a
    later quote shows which that is. A quote of the same id decides. An earlier one is asked where it still
    stands, as far as can be seen: there is none within the update, and no update since has moved the best
    prices. As a venue may send one quote for several changes while the update ends between them, an earlier
    quote that disagrees counts only if the next comparison disagrees too.

    Attributes:
        checks: Comparisons that decided.
        mismatches: Those of them that failed.
    """

    def __init__(self) -> None:
        self.checks = self.mismatches = 0
        self._quotes: deque[tuple[int, float | None, float | None]] = deque(maxlen=PENDING)
        self._states: deque[_State] = deque()
        self._best: tuple[float | None, float | None] = (None, None)
        self._is_steady = self._is_doubted = False

    def on_book(self, update: BookUpdate, book: OrderBook) -> None:
        """Take the book as it is after an update."""
        last = update.last_sequence
        if last is None:
            return
        bid, ask = book.best_bid, book.best_ask
        best = (bid and bid[0], ask and ask[0])
        is_first = update.kind == "snapshot"
        previous = update.previous_sequence
        first = last if is_first else update.first_sequence if previous is None else previous + 1
        if len(self._states) == PENDING:
            self._states.clear()
            self._is_steady = False
        self._states.append(_State(first or last, last, *best, is_first or best != self._best))
        self._best = best

    def on_quote(self, quote: Quote) -> None:
        """Take a quote; compare the states of the book that it closes."""
        sequence = quote.sequence
        if sequence is None or (self._quotes and sequence <= self._quotes[-1][0]):
            return
        while self._states and self._states[0].last < sequence:
            self._compare(self._states.popleft())
        self._quotes.append((sequence, quote.bid, quote.ask))

    def end(self) -> None:
        """No more will come: compare what is left."""
        while self._states:
            self._compare(self._states.popleft())

    def _compare(self, state: _State) -> None:
        quotes = self._quotes
        while len(quotes) > 1 and quotes[1][0] <= state.last:
            quotes.popleft()
        if not quotes or quotes[0][0] > state.last:
            return
        sequence, bid, ask = quotes[0]
        if sequence >= state.first:
            self._is_steady = True
        elif state.has_moved:
            self._is_steady = False
        agrees = (bid, ask) == (state.bid, state.ask)
        if sequence != state.last:
            if sequence >= state.first or not self._is_steady:
                return
            if not agrees and not self._is_doubted:
                self._is_doubted = True
                return
        if not agrees:
            self.mismatches += 1 + self._is_doubted
            self.checks += self._is_doubted
        self.checks += 1
        self._is_doubted = False
