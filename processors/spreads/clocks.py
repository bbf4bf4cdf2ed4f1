"""How far each venue has come in a partition of the venue prices, which every partition of candles feeds.

A candle partition forwards its marks here under sources of its own, `<source>/<partition>`: the lanes of a
source. Each lane tells a clock of its own what has come by it, in its order; how the lanes lie between each
other in the log means nothing. A venue is as far as its slowest lane, and stands still until all have begun.
"""

import math
from collections.abc import Collection
from typing import Final, TypeAlias

import msgspec

from processors.flows.feed_clock import FeedClock, SavedClock, lowest_watermark
from schemas.branches import branch_source
from schemas.errors import ValidationError
from schemas.records import Micros, TimeMark

NEVER: Final = -math.inf
ALWAYS: Final = math.inf

_Told: TypeAlias = tuple[Micros, bool, str]


class SavedClocks(msgspec.Struct, array_like=True):
    """The state in a snapshot, in order of the names."""

    venues: list[str]
    lanes: list[tuple[str, int, SavedClock]]
    told: list[tuple[str, str, _Told]]


def lane_source(source: str, partition: int) -> str:
    """The source under which a partition of candles forwards the marks of a source."""
    return f"{source}/{partition}"


class VenueClocks:
    """The clocks of all venues and lanes.

    Args:
        lanes: Partitions of the topic that the prices come from.
    """

    def __init__(self, lanes: int) -> None:
        self._lanes = lanes
        self._clocks: dict[str, list[FeedClock | None]] = {}
        self._told: dict[tuple[str, str], _Told] = {}

    def take(self, mark: TimeMark) -> str:
        """Take a mark of a lane.

        Returns:
            The source, without the lane.

        Raises:
            ValidationError: The mark names no lane.
        """
        source, _, text = mark.source.rpartition("/")
        lane = int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else -1
        if not source or not 0 <= lane < self._lanes:
            raise ValidationError(
                f"a source is '<source>/<partition>' with {self._lanes} partitions here, got {mark.source!r}"
            )
        self.see(mark.venue)
        clocks = self._clocks[mark.venue]
        clock = clocks[lane] = clocks[lane] or FeedClock()
        clock.take(mark, source)
        return source

    def see(self, venue: str) -> None:
        """Learn that there is a venue, be it before its first mark."""
        if venue not in self._clocks:
            self._clocks[venue] = [None] * self._lanes

    def has_passed(self, venue: str, lane: int, time: Micros) -> bool:
        """Whether a lane of a venue has come to a time."""
        clock = self._clocks.get(venue, [None] * self._lanes)[lane]
        return clock is not None and clock.watermark is not None and clock.watermark >= time

    def horizon(self, venues: Collection[str]) -> float:
        """How far the slowest of these venues is, µs; of all that there are, if none is named.

        Venues whose feed has ended hold nothing up: `ALWAYS` if all have. `NEVER` while one has not begun.
        """
        lowest = ALWAYS
        for venue in venues or self._clocks:
            clocks = self._clocks.get(venue, [None])
            if all(clock is not None and clock.has_ended for clock in clocks):
                continue
            reached = lowest_watermark(clocks)
            lowest = NEVER if reached is None else min(lowest, reached)
            if lowest == NEVER:
                break
        return lowest

    def forward(self, venue: str, source: str) -> TimeMark | None:
        """The mark that says how far all lanes of a source are, if that is news; final once all have left."""
        states = [None if c is None else c.sources.get(source) for c in self._clocks[venue]]
        known = [state for state in states if state is not None]
        if len(known) < self._lanes:
            return None
        time, instance = min(state.time for state in known), known[0].instance
        has_left = not any(state.joined for state in known)
        told = self._told.get((venue, source))
        if has_left:
            is_news = all(state.instance == instance for state in known) and (
                told is None or told[1:] != (True, instance)
            )
        elif told is not None and told[1]:
            is_news = all(state.joined for state in known)
        else:
            is_news = told is None or time > told[0]
        if not is_news:
            return None
        self._told[venue, source] = (time, has_left, instance)
        return TimeMark(venue, branch_source(source, "spreads"), time, has_left, instance)

    def save(self) -> SavedClocks:
        """The whole state."""
        lanes = [
            (venue, lane, clock.save())
            for venue, clocks in sorted(self._clocks.items())
            for lane, clock in enumerate(clocks)
            if clock is not None
        ]
        told = [(*name, each) for name, each in sorted(self._told.items())]
        return SavedClocks(sorted(self._clocks), lanes, told)

    def load(self, saved: SavedClocks) -> None:
        """Take over a state in place of one's own."""
        self._clocks = {venue: [None] * self._lanes for venue in saved.venues}
        for venue, lane, clock in saved.lanes:
            self._clocks[venue][lane] = FeedClock.load(clock)
        self._told = {(venue, source): told for venue, source, told in saved.told}
