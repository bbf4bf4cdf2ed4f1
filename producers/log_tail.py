"""What the end of a topic says about a source: positions, completed by the records after them. Pure."""

from collections.abc import Iterable
from typing import Final

from msgspec.structs import replace

from producers import continuity
from producers.continuity import Delivered
from producers.resumed import OpenHole
from schemas import rows
from schemas.errors import DecodeError
from schemas.records import Gap, Micros, Position, Quote, TimeMark, Trade


class LogTail:
    """Where each symbol stands in a topic, which gaps are open, and which unnumbered trades it holds.

    A position is written with a mark, and no mark passes a gap that is open: up to the position's event time
    all of a symbol was delivered, and whatever is missing was missed after it.

    Args:
        venue: Of the source.
        source: Whose marks and gaps count.
        topic: That is read.
        positions: Newest ones of all sources that fed one of the symbols.
    """

    def __init__(self, venue: str, source: str, topic: str, positions: Iterable[Position]) -> None:
        self._venue = venue
        self._source = source
        self.sequences: dict[str, continuity.Position] = {}
        """Highest sequence of each symbol; where there are none, the event time up to which all is there."""
        self.newest_mark: Micros | None = None
        self.holes: dict[tuple[str, int, int], OpenHole] = {}
        """Gaps announced as open and not closed since, by symbol and ids."""
        self.delivered: dict[str, Delivered] = {}
        """Trades without numbers, by symbol."""
        own = [position for position in positions if position.topic == topic]
        for position in own:
            for symbol, event_time in position.event_times.items():
                self._note(symbol, position.sequences.get(symbol), event_time)
            if position.source == source:
                self.newest_mark = position.time
        numbers = {number for position in own for number in position.offsets}
        self.starts: dict[int, int] = {
            int(number): min(position.offsets.get(number, 0) for position in own) for number in numbers
        }
        """Offset to read each partition from; those not named from their beginning."""

    def take(self, value: bytes | None) -> None:
        """Take the value of a message: all of a partition in their order."""
        try:
            record = rows.decode(value)
        except DecodeError:
            return
        if isinstance(record, Trade | Quote):
            if record.venue == self._venue:
                self._take_record(record)
        elif isinstance(record, Gap):
            if record.source == self._source:
                self._take_gap(record)
        elif isinstance(record, TimeMark) and record.source == self._source:
            self.newest_mark = max(record.time, self.newest_mark or record.time)

    def _take_record(self, record: Trade | Quote) -> None:
        if isinstance(record, Quote):
            if record.sequence is not None:
                self._note(record.symbol, record.sequence, record.event_time or 0)
        elif record.sequence is None:
            self._take_unnumbered(record)
        else:
            for (symbol, first, last), hole in self.holes.items():
                if symbol == record.symbol and first <= record.sequence <= last:
                    hole.found[record.sequence] = record.event_time
            self._note(record.symbol, record.sequence, record.event_time)

    def _take_unnumbered(self, trade: Trade) -> None:
        position = self.sequences.get(trade.symbol)
        if position is None:
            # Its feed began here: nothing before this trade was anybody's to deliver.
            position = self.sequences[trade.symbol] = continuity.Position(None, trade.event_time)
        found = self.delivered.get(trade.symbol)
        if found is None:
            found = self.delivered[trade.symbol] = Delivered(position.event_time, {})
        if trade.event_time < position.event_time:
            return
        if trade.event_time == position.event_time:
            # More of this moment may come; its trades are told apart by their ids.
            found.until = position.event_time - 1
        found.ids[trade.trade_id] = trade.event_time

    def _take_gap(self, gap: Gap) -> None:
        first, last = gap.first_sequence, gap.last_sequence
        if first is None or last is None:
            return
        if gap.status == "opened":
            self.holes[gap.symbol, first, last] = OpenHole(gap, {})
            return
        for symbol, opened, closed in list(self.holes):
            if symbol == gap.symbol and opened <= first and last <= closed:
                self._close(self.holes.pop((symbol, opened, closed)), last)

    def _close(self, hole: OpenHole, last: int) -> None:
        """A hole is given up range by range: what lies above the last one told may still be open."""
        closed = hole.gap.last_sequence
        assert closed is not None
        found = {sequence: time for sequence, time in hole.found.items() if sequence > last}
        if len(found) == closed - last:
            return
        gap = replace(hole.gap, first_sequence=last + 1)
        self.holes[gap.symbol, last + 1, closed] = OpenHole(gap, found)

    def _note(self, symbol: str, sequence: int | None, event_time: int) -> None:
        known = self.sequences.get(symbol)
        if known is None or _is_further(sequence, event_time, known):
            self.sequences[symbol] = continuity.Position(sequence, event_time)


_RENUMBERED: Final = continuity.RENUMBERED_AFTER_US


def _is_further(sequence: int | None, event_time: int, known: continuity.Position) -> bool:
    if sequence is None or known.sequence is None:
        return event_time > known.event_time
    return sequence > known.sequence or event_time > known.event_time + _RENUMBERED
