"""How far each venue's feed has come, and where it was not there.

The watermark of a venue is the lowest time of its joined sources and never goes back. A source joins with its
first mark and leaves with a final one; when the last has left, the feed has ended. Where a feed was away,
candles are incomplete: that is kept as breaks. The kernel itself takes the usual mark, of a source that has
joined and stays; this module takes the others.
"""

from collections.abc import Sequence

import numpy as np

from processors.candles.rules import CandleRules
from processors.candles.words import (
    AHEAD,
    BREAKS,
    ENDED,
    ENDED_AT,
    LAST_TIME,
    NEWEST,
    NONE,
    SOURCE_JOINED,
    SOURCE_TIME,
    SOURCE_VENUE,
    SOURCES,
    SWEPT,
    VENUE_WORDS,
    WATERMARK,
    Ints,
)
from processors.engine.tables import grown
from schemas.records import TimeMark


class Watermarks:
    """Venues, their sources and the breaks of their feeds, in arrays that the kernel shares.

    Attributes:
        venues: int64[:, VENUE_WORDS].
        sources: int64[:, 3]: venue, newest time, whether it has joined.
        breaks: int64[:, 4]: venue, from, to, and 1 where no source at all was there. A candle [open, end)
            with open < to and end > from is incomplete.

    Args:
        rules: The rules of the candles.
        counters: The builder's counters; the number of sources and of breaks stand in them.
    """

    def __init__(self, rules: CandleRules, counters: Ints) -> None:
        self._reach = rules.grace + rules.hold + rules.intervals[-1].length
        self._counters = counters
        self._venue_ids: dict[str, int] = {}
        self._source_ids: dict[tuple[str, str], int] = {}
        self.venues: Ints = np.zeros((4, VENUE_WORDS), np.int64)
        self.sources: Ints = np.zeros((4, 3), np.int64)
        self.breaks: Ints = np.zeros((8, 4), np.int64)

    @property
    def names(self) -> tuple[list[str], list[tuple[str, str]]]:
        """Venues and sources by index, for snapshots."""
        return list(self._venue_ids), list(self._source_ids)

    def load(
        self,
        names: tuple[Sequence[str], Sequence[tuple[str, str]]],
        venues: Ints,
        sources: Ints,
        breaks: Ints,
    ) -> None:
        """Take over what a snapshot holds."""
        self._venue_ids = {name: index for index, name in enumerate(names[0])}
        self._source_ids = {(venue, source): index for index, (venue, source) in enumerate(names[1])}
        self.venues, self.sources, self.breaks = venues, sources, breaks

    def watermark(self, venue: str) -> int | None:
        """The watermark, microseconds; None before the first mark."""
        index = self._venue_ids.get(venue)
        if index is None or self.venues[index, WATERMARK] == NONE:
            return None
        return int(self.venues[index, WATERMARK])

    @property
    def fed(self) -> dict[str, int]:
        """Watermarks of the venues whose feed has begun and not ended, microseconds."""
        known = {name: self.venues[index] for name, index in self._venue_ids.items()}
        return {
            name: int(row[WATERMARK])
            for name, row in known.items()
            if row[WATERMARK] != NONE and not row[ENDED]
        }

    def venue(self, name: str) -> int:
        """Index of a venue, new ones included."""
        if name not in self._venue_ids:
            index = self._venue_ids[name] = len(self._venue_ids)
            if index == len(self.venues):
                self.venues = grown(self.venues)
            self.venues[index, [WATERMARK, NEWEST, SWEPT]] = NONE
        return self._venue_ids[name]

    def source(self, mark: TimeMark) -> int:
        """Index of the source of a mark, -1 if it is new or says its last word."""
        return -1 if mark.final else self._source_ids.get((mark.venue, mark.source), -1)

    def take(self, mark: TimeMark) -> int:
        """Move what a mark moves, but not the watermark: the kernel of candles does that, or `advance`.

        Returns:
            Index of the venue.
        """
        venue = self.venue(mark.venue)
        row = self.venues[venue]
        source = self._source_ids.setdefault((mark.venue, mark.source), len(self._source_ids))
        if source == self._counters[SOURCES]:
            self._counters[SOURCES] += 1
            if source == len(self.sources):
                self.sources = grown(self.sources)
            self.sources[source] = (venue, NONE, 0)
        if not self.sources[source, SOURCE_JOINED]:
            if mark.final and mark.time <= row[WATERMARK]:
                return venue  # a repeated last word: it was away already
            self._join(venue, source, mark.time)
        self.sources[source, SOURCE_TIME] = max(int(self.sources[source, SOURCE_TIME]), mark.time)
        row[NEWEST] = max(int(row[NEWEST]), mark.time)
        if mark.final:
            self._leave(venue, source)
        return venue

    def advance(self, venue: int) -> None:
        """Move the watermark: the lowest time of its joined sources, or where the feed ended; never back."""
        row = self.venues[venue]
        sources = self.sources[: self._counters[SOURCES]]
        joined = sources[(sources[:, SOURCE_VENUE] == venue) & (sources[:, SOURCE_JOINED] == 1), SOURCE_TIME]
        reached = int(joined.min()) if joined.size else int(row[ENDED_AT])
        row[WATERMARK] = max(int(row[WATERMARK]), reached)

    def ahead(self, venue: int, change: int) -> None:
        """Count trades that wait for the next mark, because they are far ahead of the newest one."""
        self.venues[venue, AHEAD] += change

    def _is_fed(self, venue: int) -> bool:
        sources = self.sources[: self._counters[SOURCES]]
        return bool(np.any((sources[:, SOURCE_VENUE] == venue) & (sources[:, SOURCE_JOINED] == 1)))

    def _join(self, venue: int, source: int, began: int) -> None:
        row = self.venues[venue]
        if self._is_fed(venue):
            # Which symbols a source feeds is not known: what is open at its beginning may lack trades.
            self._break(venue, min(int(row[WATERMARK]), began), began)
        elif row[ENDED]:
            breaks = self.breaks[: self._counters[BREAKS]]
            away = np.flatnonzero((breaks[:, 0] == venue) & (breaks[:, 2] == LAST_TIME))[0]
            breaks[away, 2] = max(began, int(breaks[away, 1]) + 1)
            row[ENDED] = 0
        else:
            self._break(venue, NONE, began, absent=1)
        self.sources[source] = (venue, began, 1)

    def _leave(self, venue: int, source: int) -> None:
        self.sources[source, SOURCE_JOINED] = 0
        ended = int(self.sources[source, SOURCE_TIME])
        if self._is_fed(venue):
            self._break(venue, ended, ended + 1)
            return
        self.venues[venue, [ENDED, ENDED_AT]] = 1, ended
        self._break(venue, ended, LAST_TIME, absent=1)

    def _break(self, venue: int, since: int, until: int, absent: int = 0) -> None:
        count = int(self._counters[BREAKS])
        held = self.breaks[:count]
        floors = self.venues[held[:, 0], WATERMARK] - self._reach  # no candle that begins before it is left
        kept = held[held[:, 2] > floors]
        count = len(kept)
        self.breaks[:count] = kept
        if count == len(self.breaks):
            self.breaks = grown(self.breaks)
        self.breaks[count] = (venue, since, until, absent)
        self._counters[BREAKS] = count + 1
