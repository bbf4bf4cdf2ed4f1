"""Which rows of a live run and of a replay of a part of it can be held against each other.

A replay knows what happened from its first record to its last. By the marks in its topic of candles one can
tell from which time on it has seen everything, and what it has closed; by those in the live topic the same of
the live run. Rows are compared where both have seen all that they are made of.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from backtest.replay.plan import REPLAY_VENUE
from infra.keyed_rows import Mask, Rows
from kandle.verification.known_instruments import KnownInstruments
from kandle.verification.stored import AnyColumns, Range
from kandle.verification.topic_rows import TopicRows
from processors.intervals import INTERVALS
from schemas.records import Micros, TimeMark
from sinks.portion import Slice

ALWAYS: Final = -(2**62)


class Source(NamedTuple):
    """A source of time marks."""

    venue: str
    name: str


class MarkedRows(TopicRows):
    """Rows of one partition of the candles, and how far its marks go.

    Attributes:
        first: By venue the time of the first mark.
        last: By source the newest mark: its time, and whether it is final.
    """

    def __init__(self, columns: AnyColumns, known: KnownInstruments, range_: Range) -> None:
        super().__init__(columns, known, range_)
        self.first: dict[str, Micros] = {}
        self.last: dict[Source, tuple[Micros, bool]] = {}

    def take(self, slice_: Slice) -> None:
        """Take in consecutive records, as `TopicRows` does, and their marks."""
        kept = slice_.kept(TimeMark)
        times, venues = slice_.columns.column(TimeMark, "time")[kept], slice_.codes(TimeMark, "venue")[kept]
        names = slice_.columns.reader.dictionaries["venue"].keys
        for code, place in zip(*np.unique(venues, return_index=True), strict=True):
            self.first.setdefault(names[int(code)], int(times[place]))
        for mark in slice_.marks():
            self.last[Source(mark.venue, mark.source)] = (mark.time, mark.final)
        super().take(slice_)


class Reached(NamedTuple):
    """How far a venue's marks go: its time, and whether its feed has ended with it."""

    time: Micros
    is_final: bool


@dataclass(frozen=True, slots=True)
class Bounds:
    """What of a venue can be compared; a venue without an entry has nothing to compare.

    Attributes:
        since: From here on a replay has seen everything.
        reached: So far both have come.
        grace: Candles close so long after their end.
    """

    since: dict[str, Micros]
    reached: dict[str, Reached]
    grace: Micros

    @classmethod
    def of(
        cls, live: Sequence[MarkedRows], replay: Sequence[MarkedRows], grace: Micros, *, from_the_start: bool
    ) -> Bounds:
        """The bounds of what was read.

        Args:
            live: Of every partition.
            replay: Of every partition.
            grace: See the attribute.
            from_the_start: Whether the replay begins where the live run did.
        """
        since: dict[str, Micros] = {}
        for each in replay:
            for venue, time in each.first.items():
                since[venue] = ALWAYS if from_the_start else max(time, since.get(venue, time))
        theirs, ours = _reached(live), _reached(replay)
        reached = {venue: min(theirs[venue], end) for venue, end in ours.items() if venue in theirs}
        return cls(since, reached, grace)

    def covered(self, rows: Rows, venue_of: Callable[[int], str]) -> Mask:
        """Which rows are comparable: of derived records and trades alike."""
        venues = rows.columns["instrument_id"].values
        begins, ends = _span(rows)
        mask = np.zeros(len(rows), np.bool_)
        for number in np.unique(venues).tolist():
            venue = venue_of(number)
            reached = self.reached.get(venue)
            if reached is None:
                continue
            of = venues == number
            of &= begins >= self.since[venue]
            if reached.is_final:
                of &= begins <= reached.time
            else:
                of &= ends + self.grace <= reached.time
            mask |= of
        return mask


def _reached(partitions: Sequence[MarkedRows]) -> dict[str, Reached]:
    """Of each venue the least that its marks in any partition have come to: a source that lives holds it."""
    found: dict[str, Reached] = {}
    for each in partitions:
        own: defaultdict[str, list[tuple[Micros, bool]]] = defaultdict(list)
        for source, mark in each.last.items():
            if source.venue != REPLAY_VENUE:
                own[source.venue].append(mark)
        for venue, marks in own.items():
            alive = [time for time, final in marks if not final]
            end = Reached(min(alive), False) if alive else Reached(max(time for time, _ in marks), True)
            found[venue] = min(end, found.get(venue, end))
    return found


def _span(rows: Rows) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """From when to when the trades were that a row is made of."""
    columns = rows.columns
    begins = columns["time"].values
    if "session" in columns:
        # A bar is counted from its session's begin.
        return np.minimum(begins, columns["session"].values), columns["close_time"].values
    if "close_time" in columns:
        return begins, columns["close_time"].values
    if "interval" not in columns or columns["interval"].words is None:
        return begins, begins
    words = columns["interval"].words
    codes = columns["interval"].values
    lengths = np.zeros(int(codes.max(initial=-1)) + 1, np.int64)
    for code in np.unique(codes).tolist():
        interval = INTERVALS.get(words[code])
        lengths[code] = 0 if interval is None else interval.length
    return begins, begins + lengths[codes]
