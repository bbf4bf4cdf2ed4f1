"""The archive beside the log that it was made from: what Kafka still holds must be there, value by value."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]

from infra.comparison import Comparison, compare
from infra.kafka.admin import Admin
from infra.kafka.log_scan import scan
from infra.keyed_rows import Column, Rows
from infra.settings import KafkaSettings
from kandle.verification.topic_rows import new_reader, slice_of
from schemas.topics import BY_BASE_NAME, Topic
from sinks.archive.catalogue import Holding
from sinks.archive.fields import OFFSET, name_of
from sinks.archive.manifest import Manifest, PartitionId, as_name
from sinks.archive.tables import decode_opaque, tables_of
from sinks.destination import Log

Tables = Mapping[str, Sequence[pa.Table]]
WORDED: Final = (pa.types.is_string, pa.types.is_binary)


def logs_of(kafka: KafkaSettings, ids: Sequence[PartitionId]) -> dict[PartitionId, Log]:
    """What Kafka holds of partitions, of those that it still knows by the same id.

    Raises:
        UnavailableError: Kafka does not answer.
    """
    admin = Admin(kafka)
    topics = sorted({id_.topic for id_ in ids} & set(admin.partition_counts()))
    if not topics:
        return {}
    now = {name: as_name(kafka_id) for name, kafka_id in admin.topic_ids(topics).items()}
    same = [id_ for id_ in ids if now.get(id_.topic) == id_.kafka_id]
    ranges = admin.log_ranges([(id_.topic, id_.partition) for id_ in same])
    return {id_: Log(id_.kafka_id, *ranges[id_.topic, id_.partition]) for id_ in same}


def position_problems(holding: Holding, log: Log) -> Iterator[str]:
    """Whether the log bears the position out."""
    position = holding.head.next_offset
    if position > log.end:
        yield f"the archive ends at offset {position}, the log at {log.end}: the log was cut"
    elif position < log.first:
        yield f"offsets {position} to {log.first} are gone from the log, and were never archived"


class LogComparison:
    """Compares a partition's manifests, told in order, with the log; a context manager. Blocks.

    Args:
        kafka: Where the log is.
        id_: Which partition.
        log: What Kafka holds of it.

    Attributes:
        result: What was found.
    """

    def __init__(self, kafka: KafkaSettings, id_: PartitionId, log: Log) -> None:
        self.result = Comparison()
        self._topic: Topic = BY_BASE_NAME[id_.topic]
        self._log = log
        self._partition = id_.partition
        self._reader = new_reader()
        self._runner = asyncio.Runner()
        self._scan = scan(kafka, id_.topic, id_.partition, log.first, log.end)
        self._read = log.first
        self._pending: dict[str, list[pa.Table]] = {}

    def close(self) -> None:
        """Stop reading."""
        self._runner.run(self._scan.aclose())
        self._runner.close()

    def __call__(self, manifest: Manifest, tables: Tables) -> Sequence[str]:
        """What is wrong with the records of a manifest, as far as the log still holds them."""
        start, end = max(manifest.first_offset, self._log.first), min(manifest.next_offset, self._log.end)
        if manifest.kind != "records" or start >= end:
            return []
        self._runner.run(self._read_until(end))
        refused = [
            offset for first, last in manifest.refused for offset in range(max(first, start), last + 1)
        ]
        problems: list[str] = []
        for record in sorted({*tables, *self._pending}):
            expected = _between(self._pending.get(record, ()), start, end)
            found = _between(tables.get(record, ()), start, end)
            offsets = _offsets(expected)
            expected = _chosen(expected, ~np.isin(offsets, refused))
            if self._topic.cleanup == "compact":
                found = _chosen(found, np.isin(_offsets(found), offsets))
            result = compare(rows_of(expected), rows_of(found), [OFFSET], compared=_common(expected, found))
            self.result.add(result)
            if not result.clean:
                title = f"manifest {manifest.number}, {record}, beside the log"
                problems.extend(result.as_lines(title))
        self._forget(end)
        return problems

    async def _read_until(self, end: int) -> None:
        while self._read < end:
            records = await anext(self._scan, None)
            if records is None:
                self._read = self._log.end
                return
            if not len(records):
                continue
            slice_ = slice_of(self._reader, self._topic, self._partition, records)
            decode_opaque(slice_)
            for record, table, _ in tables_of(slice_):
                self._pending.setdefault(name_of(record), []).append(table)
            self._read = int(records.offsets[-1]) + 1

    def _forget(self, end: int) -> None:
        left = {record: _between(tables, end, self._log.end) for record, tables in self._pending.items()}
        self._pending = {record: [table] for record, table in left.items() if table is not None}


def rows_of(table: pa.Table | None) -> Rows:
    """A table as the comparator takes it."""
    if table is None:
        return Rows({})
    return Rows({name: _column(table.column(name).combine_chunks()) for name in table.column_names})


def _column(array: Any) -> Column:
    valid = None if array.null_count == 0 else np.asarray(array.is_valid())
    if pa.types.is_timestamp(array.type):
        array = array.view(pa.int64())
    if pa.types.is_nested(array.type):
        texts = [repr(value) for value in _plain(array).to_pylist()]
        array = pa.array(texts, pa.string())
    if any(check(array.type) for check in WORDED):
        coded = array.dictionary_encode()
        words = [value if isinstance(value, str) else value.hex() for value in coded.dictionary.to_pylist()]
        return Column(np.asarray(coded.indices.fill_null(0)).astype(np.int64), valid, words)
    filled = array if valid is None else array.fill_null(False if pa.types.is_boolean(array.type) else 0)
    return Column(np.asarray(filled), valid)


def _plain(array: Any) -> Any:
    """Times in maps as numbers: they may lie beyond what Python's have."""
    if pa.types.is_map(array.type) and pa.types.is_timestamp(array.type.item_type):
        return array.cast(pa.map_(pa.string(), pa.int64()))
    return array


def _common(expected: pa.Table | None, found: pa.Table | None) -> list[str]:
    """Fields of both: what was written before a field was added has no column for it."""
    if expected is None or found is None:
        return []
    return [name for name in expected.column_names if name in found.column_names and name != OFFSET]


def _between(tables: Sequence[pa.Table], start: int, end: int) -> pa.Table | None:
    parts = []
    for table in tables:
        offsets = _offsets(table)
        chosen = _chosen(table, (offsets >= start) & (offsets < end))
        if chosen is not None:
            parts.append(chosen)
    # A table from a file carries what it is of; one from the log has nothing to carry.
    return pa.concat_tables([part.replace_schema_metadata(None) for part in parts]) if parts else None


def _chosen(table: pa.Table | None, mask: Any) -> pa.Table | None:
    if table is None or not mask.any():
        return None
    return table if mask.all() else table.filter(pa.array(mask))


def _offsets(table: pa.Table | None) -> Any:
    return np.empty(0, np.int64) if table is None else np.asarray(table.column(OFFSET))
