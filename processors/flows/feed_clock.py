"""How far one venue's feed has come in one partition, told by the time marks alone. Pure.

A source joins with its first mark and leaves with a final one. The watermark is the lowest time of the
joined sources, and where the feed stopped when the last has left; it never goes back. Marks may come again,
since a worker that crashed writes again what it had written: a source that has left is not brought back by a
mark of the run that it left with, nor ended by the last word of an earlier run.
"""

from collections.abc import Mapping, Sequence

import msgspec

from schemas.records import Micros, TimeMark


class SourceState(msgspec.Struct, array_like=True):
    """What is known of a source.

    Attributes:
        time: Newest time, µs.
        instance: Run that told it.
        joined: Whether the source has not left.
    """

    time: Micros
    instance: str
    joined: bool


class SavedClock(msgspec.Struct, array_like=True):
    """A clock in a snapshot; sources in order of their names."""

    watermark: Micros | None
    sources: list[tuple[str, SourceState]]


class FeedClock:
    """The marks of one venue in one partition."""

    __slots__ = ("_sources", "watermark")

    def __init__(self) -> None:
        self._sources: dict[str, SourceState] = {}
        self.watermark: Micros | None = None
        """Everything up to it has been delivered, µs; None before the first mark."""

    @property
    def sources(self) -> Mapping[str, SourceState]:
        """What is known of each source."""
        return self._sources

    @property
    def has_ended(self) -> bool:
        """Whether sources were there and all have left."""
        return bool(self._sources) and not any(source.joined for source in self._sources.values())

    def take(self, mark: TimeMark, source: str | None = None) -> None:
        """Take a mark.

        Args:
            mark: Of this venue.
            source: Whose it is, where that is not what the mark says.
        """
        name = mark.source if source is None else source
        known = self._sources.get(name)
        if known is None:
            was_away = self.watermark is not None and mark.time <= self.watermark
            if mark.final and was_away:
                return  # the last word of a source that nobody knows
            known = self._sources[name] = SourceState(mark.time, mark.instance, False)
        elif _is_repeat(known, mark):
            return
        if mark.time >= known.time or not known.joined:
            known.instance = mark.instance
        known.time = max(known.time, mark.time) if known.joined else mark.time
        known.joined = not mark.final
        lowest = min((each.time for each in self._sources.values() if each.joined), default=known.time)
        self.watermark = lowest if self.watermark is None else max(self.watermark, lowest)

    def save(self) -> SavedClock:
        """The whole state; equal clocks give equal states."""
        return SavedClock(self.watermark, sorted(self._sources.items()))

    @classmethod
    def load(cls, saved: SavedClock) -> "FeedClock":
        """The clock of a state."""
        clock = cls()
        clock.watermark, clock._sources = saved.watermark, dict(saved.sources)
        return clock


def _is_repeat(known: SourceState, mark: TimeMark) -> bool:
    if known.joined:
        return mark.final and mark.instance != known.instance and mark.time < known.time
    return mark.time <= known.time and (mark.final or mark.instance == known.instance)


def lowest_watermark(clocks: Sequence[FeedClock | None]) -> Micros | None:
    """The lowest watermark; None while one of the clocks has not begun."""
    found = [None if clock is None else clock.watermark for clock in clocks]
    known = [time for time in found if time is not None]
    return min(known) if len(known) == len(found) else None
