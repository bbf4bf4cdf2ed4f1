"""The topics of a Kafka as a source: what the log still holds, as it stands there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import aclosing
from typing import Final

import numpy as np

from backtest.replay.choice import begin_with
from backtest.replay.event_times import UNKNOWN, EventTimes
from backtest.replay.plan import CLOSING_HEAD
from backtest.replay.source import NOTHING, REFERENCE, REPLAYED, Partition, Period, Portion, Step
from backtest.replay.together import together
from infra.kafka.admin import Admin
from infra.kafka.log_scan import scan
from infra.kafka.record_batches import RawRecords
from infra.settings import KafkaSettings
from schemas.errors import ConfigurationError, ConflictError
from schemas.namespace import LIVE, Namespace
from schemas.records import Micros
from schemas.spans import Int64s, Spans

FETCH_BYTES: Final = 1024 * 1024
"""Of a partition at a time, compressed: there may be dozens of partitions."""
AHEAD_US: Final = 3 * 3_600_000_000
"""How far a venue's clock may be ahead of the broker's: a period is looked for from so much earlier on."""
TAIL: Final = 1_000
"""Records at a partition's end among which its newest time is looked for, for displays."""

LOOK_BACK: Final = 10_000
"""Records before the place where a replay goes on: what tells no time of its own has that of one of them."""
_CLOSING: Final = np.frombuffer(CLOSING_HEAD, np.uint8)

Bounds = Mapping[Partition, tuple[int, int]]


class TopicSource:
    """The input topics of a Kafka; see `Source` for the contract. Positions are offsets.

    Kafka's times are those of the appending, so a period is found by the times in the values: where a record
    happened before it was appended, that bounds the beginning; the end is that of the log, as a late record
    of the period may stand anywhere before it.

    Args:
        kafka: Where the topics are.
        namespace: Whose; the live run's has the empty prefix.
        ids: Kafka's id of each topic that is there, by base name.
        bounds: First offset and end of each partition.
    """

    def __init__(
        self, kafka: KafkaSettings, namespace: Namespace, ids: Mapping[str, str], bounds: Bounds
    ) -> None:
        self._kafka = kafka
        self._namespace = namespace
        self._bounds = bounds
        self._admin = Admin(kafka)
        named = ", ".join(f"{name} {kafka_id}" for name, kafka_id in sorted(ids.items()))
        self.identity = f"topics of {namespace}: {named}"
        """See `Source.identity`."""
        self.partitions: Sequence[Partition] = sorted(bounds)
        """See `Source.partitions`."""

    @property
    def partition_count(self) -> int:
        """See `Source.partition_count`."""
        return 1 + max(tp.number for tp in self.partitions)

    @classmethod
    def open(cls, kafka: KafkaSettings, namespace: Namespace) -> TopicSource:
        """Look at what there is, up to its end as of now; blocks.

        Raises:
            ConfigurationError: There are none of the input topics.
            UnavailableError: Kafka does not answer.
        """
        admin = Admin(kafka)
        counts = admin.partition_counts()
        names = {namespace.name_of(topic.base_name): topic.base_name for topic in REPLAYED}
        found = [name for name in names if name in counts]
        if not found:
            raise ConfigurationError(
                f"the Kafka at {kafka.bootstrap_servers} holds no topics of {namespace} to replay"
            )
        ranges = admin.log_ranges([(name, number) for name in found for number in range(counts[name])])
        bounds = {Partition(names[name], number): ends for (name, number), ends in ranges.items()}
        ids = {names[name]: kafka_id for name, kafka_id in admin.topic_ids(found).items()}
        return cls(kafka, namespace, ids, bounds)

    async def times(self, period: Period) -> tuple[Micros, Micros] | None:
        """See `Source.times`: of the first and the last records of each partition that holds some."""
        market = [tp for tp in self.partitions if not _is_reference(tp.topic)]
        told = await together(self._ends_of(tp, period) for tp in market)
        times = [time for found in told for time in found]
        if not times:
            return None
        first, last = max(min(times), period.since or 0), max(times)
        last = last if period.until is None else min(last, period.until - 1)
        return (first, last) if first <= last else None

    async def _ends_of(self, tp: Partition, period: Period) -> list[Micros]:
        begin, (_, end) = await self._begin(tp, period), self._bounds[tp]
        found: list[Micros] = []
        for start in (begin, max(end - TAIL, begin)):
            async with aclosing(self._scan(tp, start)) as batches:
                async for records in batches:
                    if (rows := self._rows(records)).size:
                        begins, _ = EventTimes().read(_values(records).take(rows), records.timestamps[rows])
                        found.append(int(begins[0] if not found else begins.max()))
                        break
        return found

    def streams(
        self, topics: Collection[str], period: Period, after: Mapping[Partition, int]
    ) -> Sequence[AsyncGenerator[Step, None]]:
        """See `Source.streams`: one for each partition."""
        return [
            self._read(tp, period, after.get(tp, NOTHING)) for tp in self.partitions if tp.topic in topics
        ]

    async def _begin(self, tp: Partition, period: Period) -> int:
        """The offset before which no record of the period stands."""
        first, end = self._bounds[tp]
        if period.since is None or _is_reference(tp.topic):
            return first
        key = self._namespace.name_of(tp.topic), tp.number
        earliest_ms = max(period.since - AHEAD_US, 0) // 1_000
        found = (await asyncio.to_thread(self._admin.offsets_at, [key], earliest_ms))[key]
        return end if found is None else max(found, first)

    def _scan(self, tp: Partition, start: int) -> AsyncGenerator[RawRecords, None]:
        name, (_, end) = self._namespace.name_of(tp.topic), self._bounds[tp]
        return scan(self._kafka, name, tp.number, start, end, FETCH_BYTES)

    def _rows(self, records: RawRecords) -> Int64s:
        """The records of the past: what closed an earlier replay is of no time."""
        if self._namespace == LIVE:
            return np.arange(len(records))
        return np.flatnonzero(~begin_with(_values(records), _CLOSING))

    async def _read(self, tp: Partition, period: Period, after: int) -> AsyncGenerator[Step, None]:
        first, end = self._bounds[tp]
        if NOTHING < after < first - 1:
            name = self._namespace.name_of(tp.topic)
            raise ConflictError(
                f"{name} partition {tp.number} has lost what is to be replayed next: it begins with offset "
                f"{first}, the replay stands at {after}. Drop the prefix and replay what is left"
            )
        start = max(await self._begin(tp, period), first)
        if after != NOTHING:
            start = max(start, min(after, end) + 1 - LOOK_BACK)
        times = EventTimes(UNKNOWN if after == NOTHING else _some_time_of(period))
        reached: Micros | None = None
        async with aclosing(self._scan(tp, start)) as batches:
            async for records in batches:
                rows = self._rows(records)
                if not rows.size:
                    continue
                values = _values(records).take(rows)
                begins, ends = await asyncio.to_thread(times.read, values, records.timestamps[rows])
                newest = int(begins.max())
                reached = newest if reached is None else max(reached, newest)
                portion = _portion(tp, records, rows, begins, values)
                wanted = period.holds(tp.topic, begins, ends)
                portion = portion if wanted.all() else portion.take(wanted)
                yield Step([portion.after(after)], reached)


def _some_time_of(period: Period) -> Micros:
    """A time that a period holds: that of a record of which it is known only that it was replayed."""
    if period.since is not None:
        return period.since
    return UNKNOWN if period.until is None else period.until - 1


def _is_reference(topic: str) -> bool:
    return any(topic == one.base_name for one in REFERENCE)


def _values(records: RawRecords) -> Spans:
    return Spans(records.data, records.value_start, records.value_length)


def _portion(tp: Partition, records: RawRecords, rows: Int64s, times: Int64s, values: Spans) -> Portion:
    headers = Spans(records.data, records.header_start, records.header_end - records.header_start)
    return Portion(
        tp,
        records.offsets[rows],
        times,
        Spans(records.data, records.key_start, records.key_length).take(rows),
        values,
        headers.take(rows),
        records.header_count[rows],
    )
