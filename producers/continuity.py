"""Whether a symbol's trades follow one another: repeats, holes, and ids that begin anew."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from infra.range_set import RangeSet
from schemas.records import Micros, Trade

RENUMBERED_AFTER_US: Final = 60_000_000
"""A lower id first after a restart, newer by more than this, is no repeat: the ids began anew."""

BETWEEN_RUNS: Final = "not running"
"""How the reason of a gap begins that arose while no producer ran: known to whoever stopped it."""

RANGES_MAX: Final = 256
"""Runs of ids remembered of a symbol; an id that came before them counts as a repeat."""

RECENT_US: Final = 600_000_000
"""Trades without numbers are known by their ids for so long in event time; what is older is a repeat."""

RECENT_MAX: Final = 100_000
"""Ids remembered of one symbol without numbers, at most."""


class Position(msgspec.Struct):
    """Where a symbol stands.

    Attributes:
        sequence: Highest sequence delivered; None where trades are not numbered.
        event_time: Event time of the record that has it, or the newest where none is numbered, µs.
    """

    sequence: int | None
    event_time: Micros


class Delivered(msgspec.Struct):
    """What the log holds of a symbol whose trades are not numbered.

    Attributes:
        until: Event time up to which all of it was delivered, µs.
        ids: Event times of the trades after that which the log holds, by their ids.
    """

    until: Micros
    ids: dict[str, Micros]


class Missing(msgspec.Struct, frozen=True):
    """Ids that a feed has skipped.

    Attributes:
        first: First missing sequence; None where the ids began anew and the range has no number.
        last: Last missing sequence, or None.
        from_time: Event time of the last trade before, µs.
        to_time: Event time of the first trade after, µs.
        reason: Why, for people.
    """

    first: int | None
    last: int | None
    from_time: Micros
    to_time: Micros
    reason: str


class Continuity:
    """Follows the trades of all symbols of a feed. Pure.

    An id that was skipped and comes after all is no repeat: trades may arrive in another order than they were
    counted in, and a hole is filled from elsewhere. What the log holds from before a restart is known by its
    highest id alone, so all below it counts as delivered, except the holes that stood open there.

    Args:
        positions: Where each symbol stood when the log was last written; symbols not named begin freely.
        holes: Ids below a position that the log announces as missing: symbol, first, last and, of these, the
            ids that the log holds after all.
        delivered: What the log holds of symbols without numbers.
    """

    def __init__(
        self,
        positions: Mapping[str, Position] | None = None,
        holes: Iterable[tuple[str, int, int, Iterable[int]]] = (),
        delivered: Mapping[str, Delivered] | None = None,
    ) -> None:
        self.positions = {
            symbol: Position(where.sequence, where.event_time) for symbol, where in (positions or {}).items()
        }
        self._unconfirmed = {name for name, where in self.positions.items() if where.sequence is not None}
        self._run_starts: dict[str, int] = {}
        """First sequence of the run of contiguous ones that ends at the symbol's position."""
        self._earlier: dict[str, RangeSet] = {}
        """Sequences delivered before that run, of symbols that skipped any or began late."""
        self._recent: dict[str, _RecentIds] = {
            name: _RecentIds(where.event_time, {})
            for name, where in self.positions.items()
            if where.sequence is None
        }
        for name, known in (delivered or {}).items():
            self._recent[name] = _RecentIds(known.until, known.ids)
        for symbol, first, last, found in sorted(holes, key=lambda hole: hole[1]):
            earlier = self._earlier.setdefault(symbol, RangeSet(floor=first))
            earlier.add_range(self._run_starts.get(symbol, first - 1), first)
            for sequence in found:
                earlier.add(sequence)
            self._run_starts[symbol] = last + 1
            position = self.positions.get(symbol)
            if position is not None and position.sequence is not None and position.sequence < last:
                # The trade that revealed the hole did not reach the log any more: it comes next.
                position.sequence = last

    def admit(self, trade: Trade) -> bool | Missing:
        """Judge a trade and move on: True: the next one, False: a repeat, else what is missing before it."""
        sequence = trade.sequence
        symbol, time = trade.symbol, trade.event_time
        position = self.positions.get(symbol)
        if sequence is None:
            return self._is_unseen(trade, position)
        if position is None or position.sequence is None:
            self.positions[symbol] = Position(sequence, time)
            self._run_starts[symbol] = sequence
            return True
        last, last_time = position.sequence, position.event_time
        is_first = is_renumbered = False
        if self._unconfirmed and symbol in self._unconfirmed and not trade.backfilled:
            self._unconfirmed.discard(symbol)
            is_first = True
            is_renumbered = sequence <= last and time > last_time + RENUMBERED_AFTER_US
        if sequence <= last and not is_renumbered:
            return self._fills(symbol, sequence)
        position.sequence, position.event_time = sequence, time
        if sequence == last + 1:
            return True
        if is_renumbered:
            self._earlier.pop(symbol, None)
        else:
            self._remember(symbol, last)
        self._run_starts[symbol] = sequence
        if is_renumbered:
            return Missing(None, None, last_time, time, f"{BETWEEN_RUNS}, and the venue counts anew")
        reason = f"{sequence - last - 1} missing ids"
        if is_first:
            reason = f"{BETWEEN_RUNS}: {reason}"
        return Missing(last + 1, sequence - 1, last_time, max(time, last_time), reason)

    def knows(self, trade: Trade) -> bool:
        """Whether an unnumbered trade is remembered as delivered, or as old as what is."""
        recent = self._recent.get(trade.symbol)
        return recent is not None and recent.has(trade.trade_id, trade.event_time)

    def _is_unseen(self, trade: Trade, position: Position | None) -> bool:
        recent = self._recent.get(trade.symbol)
        if recent is None:
            # What came before its first trade was not this feed's to deliver.
            recent = self._recent[trade.symbol] = _RecentIds(trade.event_time - 1, {})
        if not recent.add(trade.trade_id, trade.event_time):
            return False
        if position is None:
            self.positions[trade.symbol] = Position(None, trade.event_time)
        elif trade.event_time > position.event_time:
            position.event_time = trade.event_time
        return True

    def _remember(self, symbol: str, last: int) -> None:
        """Keep the run that ended at `last`; if it began before a restart, all below it was delivered."""
        start = self._run_starts.get(symbol)
        earlier = self._earlier.get(symbol)
        if earlier is None:
            earlier = self._earlier[symbol] = RangeSet() if start is not None else RangeSet(floor=last + 1)
        if start is not None:
            earlier.add_range(start, last + 1)
            earlier.trim(RANGES_MAX)

    def _fills(self, symbol: str, sequence: int) -> bool:
        """Whether a sequence below the position is one that was not delivered yet."""
        start = self._run_starts.get(symbol)
        if start is None or sequence >= start:
            return False
        earlier = self._earlier.setdefault(symbol, RangeSet())
        if sequence < earlier.floor or not earlier.add(sequence):
            return False
        earlier.trim(RANGES_MAX)
        return True


class _RecentIds:
    """Ids of trades that carry no number, for as long as a copy of one may still come.

    Args:
        floor: Event time up to which everything counts as delivered, µs.
        times: Event times of ids that are known already.
    """

    def __init__(self, floor: Micros, times: Mapping[str, Micros]) -> None:
        self._floor = floor
        self._times: OrderedDict[str, Micros] = OrderedDict(times)

    def has(self, trade_id: str, time: Micros) -> bool:
        return time <= self._floor or trade_id in self._times

    def add(self, trade_id: str, time: Micros) -> bool:
        if self.has(trade_id, time):
            return False
        self._times[trade_id] = time
        while len(self._times) > RECENT_MAX or next(iter(self._times.values())) < time - RECENT_US:
            _, forgotten = self._times.popitem(last=False)
            self._floor = max(self._floor, forgotten)
        return True
