"""Partitions and time marks for records that were stored without either."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from backtest.replay.source import Partition, Portion
from backtest.replay.sources.stored_rows import Markets, StoredRows
from infra.kafka.partitioner import partition_of
from schemas.identity import market_key
from schemas.records import Micros, TimeMark
from schemas.rows import encode
from schemas.spans import Int64s, Spans
from schemas.topics import BY_BASE_NAME

SOURCE: Final = "database"
"""Source and instance of the marks."""
SECOND_US: Final = 1_000_000


class MarkedSeconds:
    """Lays records out as a producer would have written them.

    Records go to the partition of their key. After the records of a second every partition of every topic
    gets a mark of each venue that had any of them, whose time is the newest of these; so it does not matter
    in which stretches of whole seconds the records come.

    Args:
        topics: Base names of the topics that are written.
        partitions: Of each.
        markets: The instruments that occur.
        is_marked: Whether there are marks at all.
    """

    def __init__(self, topics: Sequence[str], partitions: int, markets: Markets, *, is_marked: bool) -> None:
        self._is_marked = is_marked
        self._partitions = [Partition(topic, number) for topic in topics for number in range(partitions)]
        self._venues = sorted({venue for venue, _ in markets.names})
        codes = {venue: code for code, venue in enumerate(self._venues)}
        self._venue_of = np.array([codes[venue] for venue, _ in markets.names], np.int64)
        keys = [market_key(*name).encode() for name in markets.names]
        self._partition_of = np.array([partition_of(key, partitions) for key in keys], np.int64)
        self._counts = dict.fromkeys(self._partitions, 0)
        self._newest: dict[int, Micros] = {}

    def lay_out(self, rows: Mapping[str, StoredRows]) -> list[Portion]:
        """What a stretch of whole seconds adds to each partition.

        Args:
            rows: All records of the stretch, by topic.
        """
        seconds, marks = self._marks(list(rows.values()))
        return [self._portion(tp, rows.get(tp.topic), seconds, marks) for tp in self._partitions]

    def end(self) -> list[Portion]:
        """The final marks: in each partition one of every venue that had records."""
        marks = [
            TimeMark(self._venues[code], SOURCE, time, True, SOURCE)
            for code, time in sorted(self._newest.items())
        ]
        seconds = np.array([mark.time // SECOND_US for mark in marks], np.int64)
        return [self._portion(tp, None, seconds, marks) for tp in self._partitions]

    def _marks(self, parts: Sequence[StoredRows]) -> tuple[Int64s, list[TimeMark]]:
        """The marks of a stretch in their order, and the second of each."""
        if not self._is_marked or not any(map(len, parts)):
            return np.empty(0, np.int64), []
        times = np.concatenate([part.times for part in parts])
        venues = np.concatenate([self._venue_of[part.markets] for part in parts])
        order = np.lexsort((times, venues, times // SECOND_US))
        times, venues = times[order], venues[order]
        seconds = times // SECOND_US
        is_last = np.append((np.diff(seconds) != 0) | (np.diff(venues) != 0), True)
        marks = []
        for code, time in zip(venues[is_last].tolist(), times[is_last].tolist(), strict=True):
            marks.append(TimeMark(self._venues[code], SOURCE, time, False, SOURCE))
            self._newest[code] = time
        return seconds[is_last], marks

    def _portion(
        self, tp: Partition, rows: StoredRows | None, seconds: Int64s, marks: Sequence[TimeMark]
    ) -> Portion:
        # A compacted topic takes no record without a key.
        key = SOURCE.encode() if BY_BASE_NAME[tp.topic].cleanup == "compact" else None
        times = np.array([mark.time for mark in marks], np.int64)
        keys, values = Spans.of([key] * len(marks)), Spans.of([encode(mark) for mark in marks])
        if rows is not None and len(rows):
            own = np.flatnonzero(self._partition_of[rows.markets] == tp.number)
            times = np.concatenate([rows.times[own], times])
            order = np.argsort(np.concatenate([rows.times[own] // SECOND_US, seconds]), kind="stable")
            times = times[order]
            keys = Spans.joined([rows.keys.take(own), keys]).take(order)
            values = Spans.joined([rows.values.take(own), values]).take(order)
        first = self._counts[tp]
        self._counts[tp] = first + times.size
        positions = np.arange(first, first + times.size, dtype=np.int64)
        return Portion.bare(tp, positions, times, keys, values)
