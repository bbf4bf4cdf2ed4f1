"""A capture as a source: what the producers would have written of it, made as it is read.

The records, their order within a partition, and the marks are those of a live run over the same capture
(`producers/simulator/offline_feed.py`), so a position, the number of a record in its partition, means the
same every time. Nothing is stored besides the capture: going on after a position reads it from the beginning.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from backtest.replay.event_times import time_of
from backtest.replay.source import NOTHING, Partition, Period, Portion, Step
from backtest.replay.sources.threads import in_thread
from producers.exchange import Channel
from producers.simulator.offline_feed import OfflineFeed, Published
from schemas.identity import split_key
from schemas.records import Gap, Micros
from schemas.rows import encode
from schemas.topics import INSTRUMENTS, QUOTES, TICKERS

STEP_US: Final = 1_000_000
"""Event time that a step covers, about."""

STEP_RECORDS: Final = 4_096
"""Records of a step, at most about: before a busy second is over."""


class CaptureSource:
    """Records of one capture; see `Source` for the contract.

    Args:
        path: The capture.
        partitions: Of every keyed topic.
        channels: What a producer would be told to feed; None: all that was recorded.
        symbols: Keys (`venue:symbol`) that are wanted; all of the capture by default.
        candle_interval: Interval of the venue's own candles.

    Raises:
        CaptureError: The capture cannot be read to its end, or has none of the symbols.
    """

    def __init__(
        self,
        path: Path,
        partitions: int,
        channels: Collection[Channel] | None = None,
        symbols: Collection[str] | None = None,
        candle_interval: str = "1m",
    ) -> None:
        names = None if symbols is None else sorted({split_key(key)[1] for key in symbols})
        self._made = partial(
            OfflineFeed, path, channels, names, partitions=partitions, candle_interval=candle_interval
        )
        self._feed = self._made()
        self._is_read = False
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        fed = ",".join(topic.base_name for topic in self._feed.topics)
        quoted = [QUOTES] if TICKERS in self._feed.topics and QUOTES not in self._feed.topics else []
        self._topics = [INSTRUMENTS, *self._feed.topics, *quoted]
        wanted = "all" if names is None else ",".join(names)
        self.identity = f"capture {digest} of {wanted} as {fed} {candle_interval} in {partitions} partitions"
        """See `Source.identity`."""
        self.partition_count = partitions
        """See `Source.partition_count`."""

    @property
    def partitions(self) -> list[Partition]:
        """See `Source.partitions`."""
        numbers = range(self.partition_count)
        return [Partition(topic.base_name, number) for topic in self._topics for number in numbers]

    async def times(self, period: Period) -> tuple[Micros, Micros] | None:
        """See `Source.times`; those of the trades, else of the arrival."""
        summary = self._feed.summary
        first, last = summary.first_time, summary.last_time
        if first is None or last is None:
            first, last = summary.first_receive_ns // 1_000, summary.last_receive_ns // 1_000
        first = first if period.since is None else max(first, period.since)
        last = last if period.until is None else min(last, period.until - 1)
        return (first, last) if first <= last else None

    def streams(
        self, topics: Collection[str], period: Period, after: Mapping[Partition, int]
    ) -> Sequence[AsyncGenerator[Step, None]]:
        """See `Source.streams`: one for the instruments, one for all of the market.

        Raises:
            CaptureError: When iterated: the file has changed or was damaged since it was opened.
        """
        found = []
        if INSTRUMENTS.base_name in topics:
            found.append(self._feed.listed())
        if any(topic.base_name in topics for topic in self._topics[1:]):
            found.append(self._market())
        return [in_thread(_steps(records, topics, period, after)) for records in found]

    def _market(self) -> Iterator[Published]:
        """The records of the market; a feed remembers what it was fed, so each reading has one of its own."""
        feed = self._made() if self._is_read else self._feed
        self._is_read = True
        yield from feed


def _steps(
    records: Iterable[Published], topics: Collection[str], period: Period, after: Mapping[Partition, int]
) -> Generator[Step, None, None]:
    """The records of one stream, those of about a second together."""
    counts: dict[Partition, int] = {}
    held: dict[Partition, _Held] = {}
    reached: Micros | None = None
    begun: Micros | None = None
    waiting = 0
    for published in records:
        time = time_of(published.record)
        partition = Partition(published.topic.base_name, published.partition)
        if partition.topic not in topics:
            continue
        own = held.get(partition)
        if own is None:
            own = held[partition] = _Held(partition, counts.get(partition, 0))
        own.add(published, time)
        waiting += 1
        reached = time if reached is None else max(reached, time)
        begun = reached if begun is None else begun
        if reached - begun >= STEP_US or waiting >= STEP_RECORDS:
            yield Step([one.portion(period, after) for one in held.values()], reached)
            counts.update({name: one.end for name, one in held.items()})
            held, begun, waiting = {}, None, 0
    yield Step([one.portion(period, after) for one in held.values()], reached)


class _Held:
    """Records of one partition that are not yielded yet."""

    def __init__(self, partition: Partition, first: int) -> None:
        self._partition = partition
        self._first = first
        self._rows: list[tuple[Micros, bytes | None, bytes | None]] = []
        self._ends: list[Micros] = []

    @property
    def end(self) -> int:
        """Position of the record that comes next."""
        return self._first + len(self._rows)

    def add(self, published: Published, time: Micros) -> None:
        record = published.record
        self._rows.append((time, published.key, encode(record)))
        self._ends.append(record.to_time if isinstance(record, Gap) else time)

    def portion(self, period: Period, after: Mapping[Partition, int]) -> Portion:
        whole = Portion.of(self._partition, self._first, self._rows)
        wanted = period.holds(self._partition.topic, whole.times, np.array(self._ends, np.int64))
        return whole.take(wanted).after(after.get(self._partition, NOTHING))
