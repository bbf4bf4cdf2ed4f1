"""Hot data without Redis: the topics, read once into this process's memory."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np
from aiokafka import TopicPartition

from infra.kafka.admin import Admin
from infra.kafka.log_scan import scan
from infra.kafka.record_batches import RawRecords
from infra.settings import Settings
from schemas.columns import ColumnReader
from schemas.topics import Topic
from sinks.cache.destination import inspect, warm_starts
from sinks.cache.fold import Fold
from sinks.cache.memory_store import MemoryStore
from sinks.cache.owners import Owners
from sinks.destination import Log
from sinks.portion import Slice
from sinks.positions import PartitionRef


async def filled(settings: Settings, sources: Sequence[Topic]) -> MemoryStore:
    """A store with what topics say now, as far back as a cold cache reads.

    Raises:
        UnavailableError: Kafka does not answer, or a topic does not exist.
    """
    admin = Admin(settings.kafka)
    tps = [
        TopicPartition(topic.name, number)
        for topic in sources
        for number in range(settings.kafka.partitions if topic.keyed else 1)
    ]
    ranges = await asyncio.to_thread(admin.log_ranges, [(tp.topic, tp.partition) for tp in tps])
    logs = {tp: Log("", *ranges[tp.topic, tp.partition]) for tp in tps}
    starts = await asyncio.to_thread(warm_starts, admin, settings.cache.warm_s, tps, logs)
    store, fold, owners = MemoryStore(), Fold(settings.cache), Owners(settings.venue_priority)
    columns = ColumnReader(interned=("venue", "symbol"))
    for tp in tps:
        async for records in scan(settings.kafka, tp.topic, tp.partition, starts[tp], logs[tp].end):
            slice_ = _decoded(columns, tp, records)
            batch = fold.read([slice_])
            await store.move(await fold.take(store, owners, batch), {}, {})
    return store


def _decoded(columns: ColumnReader, tp: TopicPartition, records: RawRecords) -> Slice:
    values = columns.read(records.data, records.value_start, records.value_length)
    good = values.status == 0
    slice_ = Slice(PartitionRef(0, tp.partition, tp.topic), 0, 0, 0, records, values, np.asarray(good))
    inspect(slice_)
    return slice_
