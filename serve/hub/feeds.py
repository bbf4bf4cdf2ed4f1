"""How the venues' feeds stand, from the marks, gaps and trades that pass."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from schemas import rows
from schemas.errors import DataError
from schemas.records import Gap, Micros, TimeMark, Trade

SILENT_S: Final = 5.0
"""Marks come every second; a source without one for so long is not connected."""
FORGOTTEN_S: Final = 600.0
"""A source that was silent so long is spoken of no more while another one of its venue is heard."""


@dataclass(slots=True)
class _Source:
    time: Micros
    arrived: float
    delay_s: float
    final: bool


@dataclass(frozen=True, slots=True)
class FeedState:
    """A venue's feed now.

    Attributes:
        connected: Whether all of its sources write marks.
        silent_s: Since the last mark of its most silent source, s.
        delay_s: How far that mark was behind its arrival in the topic, s.
        skew_s: From a trade's time at the venue to our socket, s; None without trades.
        gaps: Gaps announced since the server started.
        mark: The oldest of its sources' newest marks, µs since the epoch.
        ended: Whether all of its sources have ended.
    """

    connected: bool
    silent_s: float
    delay_s: float
    skew_s: float | None
    gaps: int
    mark: Micros
    ended: bool


class Feeds:
    """Watches the records of market.trades.v1."""

    def __init__(self) -> None:
        self._sources: dict[str, dict[str, _Source]] = {}
        self._skew_s: dict[str, float] = {}
        self._gaps: dict[str, int] = {}
        self._done: dict[tuple[str, str, int], Micros] = {}

    def take(self, values: Iterable[tuple[bytes, int]]) -> None:
        """Values of marks, gaps and some trades, each with the time of its appending, ms since the epoch."""
        for value, appended_ms in values:
            try:
                record = rows.decode(value)
            except DataError:
                continue
            if isinstance(record, TimeMark):
                self._mark(record, appended_ms)
            elif isinstance(record, Gap):
                if record.status == "opened":
                    self._gaps[record.venue] = self._gaps.get(record.venue, 0) + 1
            elif isinstance(record, Trade) and not record.backfilled:
                self._skew_s[record.venue] = (record.receive_time - record.event_time) / 1e6

    def processed(self, partition: int, values: Iterable[bytes]) -> None:
        """Marks that processors wrote into this partition, behind what they made of the trades before."""
        for value in values:
            try:
                record = rows.decode(value)
            except DataError:
                continue
            if isinstance(record, TimeMark):
                self._done[record.venue, record.source, partition] = record.time

    def process_lag_s(self) -> float | None:
        """Seconds of a venue's time by which the slowest partition is behind its feed; None: not known."""
        behind = [
            known.time - done
            for (venue, source, _), done in self._done.items()
            if (known := self._sources.get(venue, {}).get(source)) is not None
        ]
        return max(0, *behind) / 1e6 if behind else None

    def states(self) -> dict[str, FeedState]:
        """The state of each venue that was heard of."""
        now = time.monotonic()
        return {venue: self._state(venue, now) for venue in sorted(self._sources)}

    def _mark(self, mark: TimeMark, appended_ms: int) -> None:
        sources = self._sources.setdefault(mark.venue, {})
        known = sources.get(mark.source)
        if known is not None and known.time >= mark.time and known.final == mark.final:
            # The same mark, in another partition.
            return
        sources[mark.source] = _Source(
            mark.time, time.monotonic(), appended_ms / 1e3 - mark.time / 1e6, mark.final
        )

    def _state(self, venue: str, now: float) -> FeedState:
        sources = self._sources[venue]
        heard = [one for one in sources.values() if now - one.arrived < FORGOTTEN_S] or [*sources.values()]
        running = [one for one in heard if not one.final]
        judged = running or heard
        last = min(judged, key=lambda one: one.arrived)
        silent_s = now - last.arrived
        return FeedState(
            connected=bool(running) and silent_s < SILENT_S,
            silent_s=round(silent_s, 3),
            delay_s=round(last.delay_s, 3),
            skew_s=self._skew_s.get(venue),
            gaps=self._gaps.get(venue, 0),
            mark=min(one.time for one in judged),
            ended=not running,
        )
