"""The books of a feed: each symbol's chain of updates, what it needs from REST, and when not to trust it."""

from dataclasses import dataclass
from typing import Final

from producers.books import BookBreak, BookChain
from producers.exchange import Exchange
from producers.outputs import Ask, BookGap, Output, Repeat
from schemas.records import BookUpdate, Gap, GapStatus, Micros

ASK_AGAIN_S: Final = 1.0
"""A snapshot that could not be had, or was too old, is asked for again after so long."""

ASK_AGAIN_MAX_S: Final = 30.0
"""The longest pause between two snapshots of one symbol that did not help."""


@dataclass(slots=True)
class _Wanted:
    """A snapshot that is needed.

    Attributes:
        ask_at_s: When to ask, None while an answer is waited for.
        pause_s: How long to wait if the next one does not help either.
    """

    ask_at_s: float | None
    pause_s: float = ASK_AGAIN_S


class FeedBooks:
    """Follows the books of all symbols of a feed. Pure.

    A symbol's book that breaks is built anew alone; the others are not touched.

    Args:
        exchange: Makes the calls.
        source: Shard that reports, in gaps.
    """

    def __init__(self, exchange: Exchange, source: str) -> None:
        self._exchange = exchange
        self._source = source
        self._chains: dict[str, BookChain] = {}
        self._wanted: dict[str, _Wanted] = {}
        self._stale: dict[str, Gap] = {}

    def take(self, update: BookUpdate, at_s: float, out: list[Output]) -> None:
        """Append what is to be published of a delta or a snapshot."""
        symbol = update.symbol
        chain = self._chains.get(symbol)
        if chain is None:
            chain = self._chains[symbol] = BookChain(self._exchange.venue, symbol)
        produced: list[BookUpdate | BookBreak] = []
        was_live = chain.is_live
        chain.take(update, produced)
        for item in produced:
            if isinstance(item, BookBreak):
                self._break(symbol, item, update, out)
                continue
            stale = self._stale.pop(symbol, None)
            out.append(item)
            if stale is not None:
                is_resync = item.kind == "snapshot"
                out.append(BookGap(self._gap(symbol, "filled", stale, item), is_resync))
        if not produced and was_live and update.kind == "delta":
            out.append(Repeat(update))
        self._want(symbol, chain, update.kind == "snapshot", at_s, out)
        time = update.event_time or update.receive_time
        if chain.snapshot_due(time):
            out.append(chain.snapshot())

    def interrupted(self, symbol: str, reason: str, out: list[Output]) -> None:
        """Nobody delivers the updates of a symbol any more."""
        chain = self._chains.get(symbol)
        if chain is None or not chain.is_live or symbol in self._stale:
            return
        time = chain.last_update_time
        if time is None:
            return
        self._open(symbol, Gap(*self._names(symbol), "opened", None, None, time, time, reason), False, out)

    def failed(self, symbol: str, at_s: float) -> None:
        """A snapshot could not be had."""
        wanted = self._wanted.get(symbol)
        if wanted is not None:
            wanted.ask_at_s = at_s + wanted.pause_s
            wanted.pause_s = min(2 * wanted.pause_s, ASK_AGAIN_MAX_S)

    def drop(self, symbol: str) -> None:
        """A symbol is fed no longer."""
        for held in (self._chains, self._wanted, self._stale):
            held.pop(symbol, None)

    def tick(self, at_s: float, out: list[Output]) -> None:
        """Ask for the snapshots that are due."""
        for symbol, wanted in self._wanted.items():
            if wanted.ask_at_s is not None and at_s >= wanted.ask_at_s:
                self._ask(symbol, wanted, out)

    def _want(
        self, symbol: str, chain: BookChain, was_snapshot: bool, at_s: float, out: list[Output]
    ) -> None:
        """Ask for a snapshot when the chain needs one; the one that has just come may have been too old."""
        wanted = self._wanted.get(symbol)
        if not chain.wants_snapshot:
            if wanted is not None:
                del self._wanted[symbol]
        elif wanted is None:
            wanted = self._wanted[symbol] = _Wanted(at_s)
            self._ask(symbol, wanted, out)
        elif was_snapshot and wanted.ask_at_s is None:
            self.failed(symbol, at_s)

    def _ask(self, symbol: str, wanted: _Wanted, out: list[Output]) -> None:
        call = self._exchange.book_call(symbol)
        wanted.ask_at_s = None
        if call is not None:
            out.append(Ask(call))

    def _break(self, symbol: str, found: BookBreak, update: BookUpdate, out: list[Output]) -> None:
        time = update.event_time or update.receive_time
        last = None if update.first_sequence is None else update.first_sequence - 1
        first = None if found.expected is None or last is None or found.expected > last else found.expected
        gap = Gap(
            *self._names(symbol), "opened", first, None if first is None else last, time, time, found.reason
        )
        self._open(symbol, gap, True, out)

    def _open(self, symbol: str, gap: Gap, is_resync: bool, out: list[Output]) -> None:
        self._stale[symbol] = gap
        out.append(BookGap(gap, is_resync))

    def _gap(self, symbol: str, status: GapStatus, opened: Gap, update: BookUpdate) -> Gap:
        time: Micros = update.event_time or opened.to_time
        return Gap(
            *self._names(symbol),
            status,
            opened.first_sequence,
            opened.last_sequence,
            opened.from_time,
            max(time, opened.from_time),
            opened.reason,
        )

    def _names(self, symbol: str) -> tuple[str, str, str]:
        return self._exchange.venue, symbol, self._source
