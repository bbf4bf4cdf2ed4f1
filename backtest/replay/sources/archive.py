"""The archive as a source: topics as they stood in Kafka, rebuilt from their Parquet files.

A manifest tells which files hold a stretch of a partition; read together and put in the order of their
offsets they are that stretch again, with keys and headers. Values are encoded anew from the columns, in the
newest schema of each record.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncGenerator, Collection, Generator, Mapping, Sequence
from typing import Final

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]

from backtest.replay.event_times import EventTimes
from backtest.replay.source import NOTHING, REFERENCE, REPLAYED, Partition, Period, Portion, Step
from backtest.replay.sources.archived_values import headers_of, spans_of, values_of
from backtest.replay.sources.threads import in_thread
from schemas.errors import ConfigurationError
from schemas.records import ExchangeCandle, Gap, Micros
from schemas.spans import Int64s, Spans
from sinks.archive.catalogue import Holding, holdings, manifests, partitions, read_file, table_of
from sinks.archive.fields import OFFSET, RECORDS, name_of
from sinks.archive.manifest import DataFile, Manifest
from sinks.archive.store import Store

LINEAGE_SHIFT: Final = 44
"""A topic that was deleted and made again begins with offset 0 once more: positions say which one it was."""
_BEGINNINGS: Final = (name_of(Gap), name_of(ExchangeCandle))
"""Records of whose stretch of time the archive tells the beginning: they may reach into a later period."""
_REFERENCE: Final = tuple(topic.base_name for topic in REFERENCE)


class ArchiveSource:
    """The input topics of an archive; see `Source` for the contract.

    A position is Kafka's offset, with the number of the topic's lineage in its higher bits.

    Args:
        store: Where the archive is.
        held: What there is of each partition, topics that were made again in the order of their making.
    """

    def __init__(self, store: Store, held: Mapping[Partition, Sequence[Holding]]) -> None:
        self._store = store
        self._held = held
        ids = sorted({f"{one.id.topic} {one.id.kafka_id}" for parts in held.values() for one in parts})
        self.identity = f"archive {store.url}: {', '.join(ids)}"
        """See `Source.identity`."""
        self.partitions: Sequence[Partition] = sorted(held)
        """See `Source.partitions`."""

    @property
    def partition_count(self) -> int:
        """See `Source.partition_count`; marks went to every partition, so each of them is archived."""
        return 1 + max(tp.number for tp in self.partitions)

    @classmethod
    def open(cls, store: Store) -> ArchiveSource:
        """Look at what there is, as of now; blocks.

        Raises:
            ConfigurationError: It holds none of the input topics.
            BrokenArchiveError: It is damaged.
            UnavailableError: The store does not answer.
        """
        known = {topic.name: topic.base_name for topic in REPLAYED}
        ids = [one for one in partitions(store) if one.topic in known]
        if not ids:
            raise ConfigurationError(f"the archive at {store.url} holds no topics to replay")
        found = holdings(store, ids)
        held: dict[Partition, list[Holding]] = defaultdict(list)
        for one in _in_order_of_making(store, found):
            held[Partition(known[one.id.topic], one.id.partition)].append(one)
        return cls(store, held)

    async def times(self, period: Period) -> tuple[Micros, Micros] | None:
        """See `Source.times`."""
        told = [one.times for tp, parts in self._held.items() if tp.topic not in _REFERENCE for one in parts]
        times = [pair for pair in told if pair is not None]
        if not times:
            return None
        first = max(min(first for first, _ in times), period.since or 0)
        last = max(last for _, last in times)
        last = last if period.until is None else min(last, period.until - 1)
        return (first, last) if first <= last else None

    def streams(
        self, topics: Collection[str], period: Period, after: Mapping[Partition, int]
    ) -> Sequence[AsyncGenerator[Step, None]]:
        """See `Source.streams`: one for each partition."""
        return [
            in_thread(self._steps(tp, period, after.get(tp, NOTHING)))
            for tp in self.partitions
            if tp.topic in topics
        ]

    def _steps(self, tp: Partition, period: Period, after: int) -> Generator[Step, None, None]:
        times = EventTimes()
        reached: Micros | None = None
        for lineage, held in enumerate(self._held[tp]):
            base = lineage << LINEAGE_SHIFT
            for manifest in manifests(self._store, held.id):
                if not manifest.files or base + manifest.next_offset <= after + 1:
                    continue
                newest = max(file.max_time for file in manifest.files)
                reached = newest if reached is None else max(reached, newest)
                if not any(_may_hold(file, tp, period) for file in manifest.files):
                    yield Step([], reached)
                    continue
                portion = self._portion(tp, held, manifest, base, times, period)
                yield Step([portion.after(after)], reached)

    def _portion(
        self, tp: Partition, held: Holding, manifest: Manifest, base: int, times: EventTimes, period: Period
    ) -> Portion:
        tables = [
            (table_of(read_file(self._store, held.id, file)), RECORDS[file.record]) for file in manifest.files
        ]
        offsets = np.concatenate([_longs(table, OFFSET) for table, _ in tables])
        order = np.argsort(offsets)
        values = Spans.joined([values_of(table, record) for table, record in tables]).take(order)
        kafka_times = np.concatenate([_longs(table, "kafka_time") for table, _ in tables])[order]
        headers = [headers_of(table.column("kafka_headers")) for table, _ in tables]
        begins, ends = times.read(values, kafka_times)
        portion = Portion(
            tp,
            base + offsets[order],
            begins,
            Spans.joined([spans_of(table.column("kafka_key")) for table, _ in tables]).take(order),
            values,
            Spans.joined([spans for spans, _ in headers]).take(order),
            np.concatenate([counts for _, counts in headers])[order],
        )
        return portion.take(period.holds(tp.topic, begins, ends))


def _in_order_of_making(store: Store, found: Sequence[Holding]) -> Sequence[Holding]:
    """As they are, or, if a topic was made again, by the times of the first manifests."""
    if len({(one.id.topic, one.id.partition) for one in found}) == len(found):
        return found
    return sorted(found, key=lambda one: (next(manifests(store, one.id)).written, one.id))


def _may_hold(file: DataFile, tp: Partition, period: Period) -> bool:
    """Whether a file can hold records of a period, by their first and last time."""
    if period.until is not None and file.min_time >= period.until:
        return False
    is_open = tp.topic in _REFERENCE or file.record in _BEGINNINGS
    return period.since is None or is_open or file.max_time >= period.since


def _longs(table: pa.Table, name: str) -> Int64s:
    found: Int64s = np.asarray(table.column(name).cast(pa.int64()))
    return found
