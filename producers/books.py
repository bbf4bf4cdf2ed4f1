"""Order books from what a venue sends: its deltas in an unbroken chain upon a snapshot. Pure.

The rules, which hold for every venue:

- A delta covers the update ids `first_sequence` to `last_sequence`. Where a venue names the last id of the
  update before (`previous_sequence`), that one decides instead of `first_sequence`.
- Until there is a snapshot, deltas are kept. A snapshot up to id L makes those up to L needless; the first
  one after it must reach back to L + 1. Sizes are absolute, so a delta that reaches back farther is harmless.
- A snapshot that is older than the first delta kept is useless: another is wanted. One that is ahead of the
  deltas is good: those up to it are passed over as they come. There may be none left to add.
- A snapshot is passed over if the book is newer. One that came by the stream, which carries `first_sequence`,
  may have a lower number because the venue counts anew: it is passed over only if its time is not newer, as
  that of a connection that lags behind another.
"""

from collections import deque
from typing import Final, Literal, TypeAlias

import msgspec

from infra.order_book import LEVELS, OrderBook, reaches_back_to
from schemas.records import BookUpdate, Micros

BUFFER: Final = 10_000
"""Deltas kept while there is no snapshot: a quarter of an hour of ten a second, or much of a playback."""

REPEATS: Final = 10_000
"""Deltas in a row that all lie behind the book: no second connection lags so far, the venue counts anew."""

SNAPSHOT_EVERY_US: Final = 60_000_000

BreakReason: TypeAlias = Literal["gap", "crossed", "overflow", "renumbered"]


class BookBreak(msgspec.Struct, frozen=True):
    """A book cannot go on: a new snapshot is wanted.

    Attributes:
        symbol: Unified symbol.
        reason: `gap`: updates are missing; `crossed`: a bid is not below the asks; `overflow`: too many
            deltas came without a snapshot, the oldest are dropped; `renumbered`: the venue counts from a
            lower number.
        expected: The id that the update should have reached back to; None where ids are not the matter.
        got: The id that it reached back to.
    """

    symbol: str
    reason: BreakReason
    expected: int | None
    got: int | None


class BookChain:
    """The book of one symbol and the checks of what comes for it.

    Args:
        venue: Name of the venue.
        symbol: Unified symbol.
        levels: Most levels that are held of a side.
        buffer: Most deltas that are kept while there is no snapshot.
    """

    def __init__(self, venue: str, symbol: str, levels: int = LEVELS, buffer: int = BUFFER) -> None:
        self.symbol = symbol
        self.book = OrderBook(venue, symbol, levels)
        """What was applied so far; empty while a snapshot is wanted."""
        self.is_live = False
        """Whether the book is whole: false from a break until the next snapshot."""
        self.last_sequence: int | None = None
        """Id of the newest update in the book."""
        self.last_update_time: Micros | None = None
        """Event time of the newest update in the book, else its receive time, µs: how old the book is."""
        self._event_time: Micros | None = None
        self._receive_time: Micros = 0
        self._snapshot_time: Micros | None = None
        self._buffer: deque[BookUpdate] = deque()
        self._buffer_limit = buffer
        self._repeats = 0

    @property
    def wants_snapshot(self) -> bool:
        """Whether a snapshot is needed; stays true until a usable one has been taken."""
        return not self.is_live

    def take(self, update: BookUpdate, out: list[BookUpdate | BookBreak]) -> None:
        """Take a delta or a snapshot, and append what follows from it.

        Appended are the updates that consumers build the same book from, in order, and breaks. A delta that
        breaks the chain or crosses the book is kept for the next snapshot, not given out.
        """
        if update.kind == "snapshot":
            self._take_snapshot(update, out)
        elif self.is_live:
            self._take_delta(update, out)
        else:
            self._keep(update, out)

    def snapshot_due(self, time: Micros) -> bool:
        """Whether the last snapshot given out is 60 s old at this event time (or receive time), µs."""
        if not self.is_live:
            return False
        return self._snapshot_time is not None and time - self._snapshot_time >= SNAPSHOT_EVERY_US

    def snapshot(self) -> BookUpdate:
        """The book as it is held, as a snapshot to give out; the next is due 60 s later."""
        self._snapshot_time = self.last_update_time
        return self.book.snapshot(self.last_sequence, self._event_time, self._receive_time)

    def _take_snapshot(self, update: BookUpdate, out: list[BookUpdate | BookBreak]) -> None:
        last = update.last_sequence
        if last is None:
            self._buffer.clear()
        elif self._is_older(last):
            if update.first_sequence is None or self._is_ahead_of(update.event_time):
                return
            self._buffer.clear()
        self._apply(update)
        if self.book.is_crossed:
            self._break("crossed", None, None, out)
            return
        self.is_live = True
        # One from REST has no event time; its age counts from the first delta after it.
        self._snapshot_time = update.event_time
        out.append(update)
        kept, self._buffer = self._buffer, deque()
        for delta in kept:
            self.take(delta, out)

    def _is_older(self, last: int) -> bool:
        """Whether a snapshot from REST up to this id is of no use."""
        if self.is_live:
            return self.last_sequence is not None and last <= self.last_sequence
        for delta in self._buffer:
            if delta.last_sequence is not None and delta.last_sequence > last:
                return reaches_back_to(delta, last) > last
        return False

    def _is_ahead_of(self, event_time: Micros | None) -> bool:
        held = self._event_time
        return self.is_live and held is not None and event_time is not None and event_time <= held

    def _take_delta(self, delta: BookUpdate, out: list[BookUpdate | BookBreak]) -> None:
        held, last = self.last_sequence, delta.last_sequence
        if held is not None and last is not None:
            if last <= held:
                self._repeats += 1
                if self._repeats >= REPEATS:
                    self._break("renumbered", held + 1, last, out)
                return
            back_to = reaches_back_to(delta, held)
            if back_to > held:
                self._break("gap", held + 1, back_to + 1, out)
                self._keep(delta, out)
                return
        self._repeats = 0
        self._apply(delta)
        if self._snapshot_time is None:
            self._snapshot_time = self.last_update_time
        if self.book.is_crossed:
            self._break("crossed", None, None, out)
            self._keep(delta, out)
            return
        out.append(delta)

    def _apply(self, update: BookUpdate) -> None:
        self.book.apply(update)
        if update.last_sequence is not None or update.kind == "snapshot":
            self.last_sequence = update.last_sequence
        self._event_time = update.event_time
        self._receive_time = update.receive_time
        self.last_update_time = update.receive_time if update.event_time is None else update.event_time

    def _keep(self, delta: BookUpdate, out: list[BookUpdate | BookBreak]) -> None:
        """Keep a delta for the next snapshot.

        What was kept before a hole would only lead to another break: it is dropped, so are repeats.
        """
        kept, last = self._buffer, delta.last_sequence
        newest = kept[-1].last_sequence if kept else None
        if newest is not None and last is not None:
            if last <= newest:
                return
            if reaches_back_to(delta, newest) > newest:
                kept.clear()
        kept.append(delta)
        if len(kept) > self._buffer_limit:
            for _ in range(len(kept) - self._buffer_limit // 2):
                kept.popleft()
            out.append(BookBreak(self.symbol, "overflow", None, None))

    def _break(
        self, reason: BreakReason, expected: int | None, got: int | None, out: list[BookUpdate | BookBreak]
    ) -> None:
        self.is_live = False
        self.book.clear()
        self.last_sequence = None
        self._repeats = 0
        out.append(BookBreak(self.symbol, reason, expected, got))
