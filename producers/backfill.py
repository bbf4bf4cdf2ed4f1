"""Holes in a symbol's trades: asked for by REST, filled, or given up; no mark passes an open one.

A hole is opened by ids that a feed has skipped, or, where a feed was interrupted, for whatever may have come
meanwhile ("catching up": nothing is announced before something is known to be missing). It ends when all
of its ids were delivered, from wherever they came, when the venue turns out not to have them, or when its
time is over.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from infra.range_set import RangeSet
from producers.continuity import Missing, Position
from producers.exchange import Call, Exchange
from producers.outputs import Ask, Output
from schemas.records import Gap, GapStatus, Micros, Trade

ASK_AGAIN_S: Final = 1.0
"""A venue that does not know its newest trades yet is asked again after so long."""

UNDER_WAY_MAX: Final = 16
"""Symbols caught up with at the same time; the others wait, and may show by a trade that all is well."""

REORDER_S: Final = 2.0
"""Ids that nobody can be asked for may only be late: so long they are waited for."""

GAPS_MAX: Final = 64
"""Ranges that one hole may leave as gaps of their own; more of them are announced as one."""


@dataclass(slots=True)
class _Hole:
    """Trades of a symbol that are missing, or may be.

    Attributes:
        first: First id that is missing; None where trades have no numbers.
        last: Last one; None while it is not known.
        found: Event times of those that came, by id.
        next: First id that was not asked for yet.
        ask_at_s: When to ask; None while an answer is waited for.
    """

    symbol: str
    first: int | None
    last: int | None
    from_time: Micros
    to_time: Micros
    reason: str
    deadline_s: float
    ask_at_s: float | None
    announced: bool = False
    next: int | None = None
    found: dict[int, Micros] = field(default_factory=dict)

    def holds(self, sequence: int | None) -> bool:
        return (
            sequence is not None
            and self.first is not None
            and self.first <= sequence
            and (self.last is None or sequence <= self.last)
        )

    @property
    def is_filled(self) -> bool:
        return self.first is not None and self.last is not None and len(self.found) > self.last - self.first


class Backfill:
    """All holes of a feed. Pure: it says what to ask, and is told the answers and the time.

    Args:
        exchange: Makes the calls.
        source: Shard that reports, in gaps.
        hold_s: How long a hole may hold up the marks, s.
    """

    def __init__(self, exchange: Exchange, source: str, hold_s: float) -> None:
        self._exchange = exchange
        self._source = source
        self._hold_s = hold_s
        self._holes: dict[str, list[_Hole]] = {}

    @property
    def is_open(self) -> bool:
        """Whether any hole is open, so that no mark may pass."""
        return bool(self._holes)

    @property
    def announced(self) -> int:
        """Open holes that were announced: trades are known to be missing, and may still come."""
        return sum(hole.announced for hole in self._all())

    def miss(self, symbol: str, missing: Missing, at_s: float, out: list[Output]) -> None:
        """Open a hole that a trade has revealed; announces it and asks for it."""
        if missing.first is None or missing.last is None:
            self.forget(symbol)
            out.append(self._gap(symbol, "given_up", None, None, missing))
            return
        hole = next((hole for hole in self._holes.get(symbol, ()) if hole.last is None), None)
        if hole is None or hole.first is None:
            hole = self._open(symbol, missing.first, missing.last, missing, self._hold_s, at_s)
        else:
            # It was being caught up with; now it is known how far.
            hole.first, hole.last = missing.first, missing.last
            hole.from_time, hole.to_time, hole.reason = missing.from_time, missing.to_time, missing.reason
            hole.next, hole.found = missing.first, {}
        self._announce(hole, out)
        self._ask(hole, at_s, out)

    def suspect(self, symbol: str, position: Position, hold_s: float, reason: str, at_s: float) -> None:
        """Hold the marks, since trades may be made that nobody delivers; `catch_up` asks for them later."""
        if any(hole.last is None for hole in self._holes.get(symbol, ())):
            return
        first = None if position.sequence is None else position.sequence + 1
        time = position.event_time
        hole = self._open(symbol, first, None, Missing(first, None, time, time, reason), hold_s, at_s)
        hole.ask_at_s = math.inf

    def catch_up(self, symbol: str, position: Position, hold_s: float, reason: str, at_s: float) -> None:
        """Find out whether trades were made since a position; `tick` asks."""
        self.suspect(symbol, position, hold_s, reason, at_s)
        for hole in self._holes[symbol]:
            if hole.ask_at_s == math.inf:
                hole.ask_at_s, hole.deadline_s = at_s, at_s + hold_s

    def reopen(self, gap: Gap, found: Mapping[int, Micros], hold_s: float, at_s: float) -> None:
        """Go on with a hole that the log announces as open, and of which it holds the trades `found`."""
        missing = Missing(gap.first_sequence, gap.last_sequence, gap.from_time, gap.to_time, gap.reason)
        hole = self._open(gap.symbol, gap.first_sequence, gap.last_sequence, missing, hold_s, at_s)
        hole.announced = True
        hole.found.update(found)

    def delivered(self, trade: Trade, contiguous: bool, out: list[Output]) -> None:
        """Take note of a trade that was handed over.

        Args:
            trade: The trade.
            contiguous: Whether it followed the one before: then a symbol that streams has missed nothing.
            out: Takes what is to be said.
        """
        holes = self._holes.get(trade.symbol)
        if holes is None:
            return
        for hole in list(holes):
            if hole.last is None:
                if contiguous and not trade.backfilled and hole.first is not None and not hole.announced:
                    self._close(hole)
            elif hole.holds(trade.sequence):
                assert trade.sequence is not None
                hole.found[trade.sequence] = trade.event_time
                if hole.is_filled:
                    self._end(hole, out)

    def expects(self, call: Call) -> bool:
        """Whether the answer to a call is still waited for."""
        return self._asked(call) is not None

    def since(self, call: Call) -> Micros:
        """Event time of the last trade that was delivered before what a call asks for, µs."""
        hole = self._asked(call)
        return 0 if hole is None else hole.from_time

    def answered(
        self, call: Call, trades: list[Trade], overlaps: bool, at_s: float, out: list[Output]
    ) -> None:
        """Go on after the trades of an answer were handed over.

        Args:
            call: What was asked.
            trades: All trades of the answer, by ascending sequence.
            overlaps: Where trades are not numbered: whether it reaches back to what was delivered before.
            at_s: Monotonic time, s.
            out: Takes what is to be said and asked.
        """
        hole = self._asked(call)
        if hole is None:
            return
        if hole.first is None:
            hole.to_time = trades[0].event_time if trades else hole.to_time
            self._end(hole, out, is_lost=not overlaps and bool(trades))
            return
        newest = trades[-1].sequence if trades else None
        if hole.last is None:
            if newest is None or newest < (call.first or 0):
                self._close(hole)
                return
            hole.next = newest + 1
            self._ask(hole, at_s, out)
        elif newest is not None and newest >= hole.last:
            # The venue has later ones, but not these.
            self._end(hole, out)
        elif newest is not None and hole.next is not None and newest >= hole.next:
            hole.next = newest + 1
            self._ask(hole, at_s, out)
        else:
            hole.ask_at_s = at_s + ASK_AGAIN_S

    def failed(self, call: Call, out: list[Output]) -> None:
        """Give up what cannot be had: the call got no answer, however often it was made."""
        hole = self._asked(call)
        if hole is not None:
            self._end(hole, out, is_lost=True)

    def tick(self, at_s: float, out: list[Output]) -> None:
        """Ask what is due, and give up holes whose time is over; call a few times a second."""
        for hole in list(self._all()):
            if at_s >= hole.deadline_s:
                self._end(hole, out, is_lost=True)
        under_way = sum(hole.ask_at_s is None for hole in self._all())
        for hole in list(self._all()):
            if (
                hole.ask_at_s is not None
                and at_s >= hole.ask_at_s
                and (hole.announced or under_way < UNDER_WAY_MAX)
            ):
                under_way += 1
                self._ask(hole, at_s, out)

    def give_up(self, out: list[Output]) -> None:
        """End all holes: the feed ends."""
        for hole in list(self._all()):
            self._end(hole, out, is_lost=True)

    def forget(self, symbol: str) -> None:
        """A symbol is fed no longer: what was announced as missing is given up at the next tick."""
        for hole in list(self._holes.get(symbol, ())):
            if hole.last is None:
                self._close(hole)
            else:
                hole.deadline_s = -math.inf

    def _open(
        self, symbol: str, first: int | None, last: int | None, missing: Missing, hold_s: float, at_s: float
    ) -> _Hole:
        hole = _Hole(
            symbol=symbol,
            first=first,
            last=last,
            from_time=missing.from_time,
            to_time=missing.to_time,
            reason=missing.reason,
            deadline_s=at_s + hold_s,
            ask_at_s=at_s,
            next=first,
        )
        self._holes.setdefault(symbol, []).append(hole)
        return hole

    def _ask(self, hole: _Hole, at_s: float, out: list[Output]) -> None:
        call = self._exchange.trades_call(hole.symbol, hole.next, hole.last)
        if call is not None:
            hole.ask_at_s = None
            out.append(Ask(call))
        elif hole.last is None:
            self._end(hole, out, is_lost=True)
        else:
            hole.ask_at_s = hole.deadline_s
            hole.deadline_s = min(hole.deadline_s, at_s + REORDER_S)

    def _asked(self, call: Call) -> _Hole | None:
        """The hole that waits for the answer to a call."""
        for hole in self._holes.get(call.symbol, ()):
            if hole.ask_at_s is None and hole.next == call.first:
                return hole
        return None

    def _announce(self, hole: _Hole, out: list[Output]) -> None:
        if not hole.announced:
            hole.announced = True
            out.append(self._gap(hole.symbol, "opened", hole.first, hole.last, hole))

    def _end(self, hole: _Hole, out: list[Output], is_lost: bool = False) -> None:
        """Close a hole and say what became of it.

        What was only caught up with, and is numbered, needs no word: the next id tells what is missing.
        """
        self._close(hole)
        if hole.is_filled:
            out.append(self._gap(hole.symbol, "filled", hole.first, hole.last, hole))
        elif hole.last is not None:
            out.extend(self._lost(hole))
        elif hole.first is None and is_lost:
            out.append(self._gap(hole.symbol, "given_up", None, None, hole))

    def _lost(self, hole: _Hole) -> Iterator[Gap]:
        """The ranges of a hole that were not found, each between the times of its neighbours."""
        assert hole.first is not None
        assert hole.last is not None
        before, after = hole.first - 1, hole.last + 1
        times = hole.found | {before: hole.from_time, after: hole.to_time}
        ranges = RangeSet((sequence, sequence + 1) for sequence in times).holes()
        if len(ranges) > GAPS_MAX:
            ranges = [(ranges[0][0], ranges[-1][1])]
        for start, stop in ranges:
            span = Missing(start, stop - 1, times[start - 1], times[stop], hole.reason)
            yield self._gap(hole.symbol, "given_up", start, stop - 1, span)

    def _close(self, hole: _Hole) -> None:
        holes = self._holes[hole.symbol]
        holes.remove(hole)
        if not holes:
            del self._holes[hole.symbol]

    def _all(self) -> Iterable[_Hole]:
        return (hole for holes in self._holes.values() for hole in holes)

    def _gap(
        self, symbol: str, status: GapStatus, first: int | None, last: int | None, span: Missing | _Hole
    ) -> Gap:
        return Gap(
            venue=self._exchange.venue,
            symbol=symbol,
            source=self._source,
            status=status,
            first_sequence=first,
            last_sequence=last,
            from_time=span.from_time,
            to_time=span.to_time,
            reason=span.reason,
        )
