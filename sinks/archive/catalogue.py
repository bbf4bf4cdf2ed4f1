"""What the archive holds: its partitions, their manifests, and their records in the order of the log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import pyarrow as pa  # type: ignore[import-untyped]
from pyarrow import parquet

from schemas.errors import ConfigurationError
from schemas.records import Micros
from sinks.archive.chain import Chain
from sinks.archive.manifest import (
    BrokenArchiveError,
    DataFile,
    Manifest,
    PartitionId,
    Totals,
    decode,
    log_folder,
)
from sinks.archive.store import Store

AHEAD: Final = 16
"""Questions to the store at once."""


@dataclass(frozen=True, slots=True)
class Holding:
    """What there is of a partition.

    Attributes:
        id: Which.
        first_offset: Where it begins.
        head: Its last manifest.
    """

    id: PartitionId
    first_offset: int
    head: Manifest

    @property
    def totals(self) -> Mapping[str, Totals]:
        """By record."""
        return self.head.totals

    @property
    def rows(self) -> int:
        """Of all records."""
        return sum(total.rows for total in self.totals.values())

    @property
    def files(self) -> int:
        """Of all records."""
        return sum(total.files for total in self.totals.values())

    @property
    def bytes(self) -> int:
        """Of all files."""
        return sum(total.bytes for total in self.totals.values())

    @property
    def times(self) -> tuple[Micros, Micros] | None:
        """The first and the last time of its records, of marks if there are no others; None: no records."""
        own = [total for record, total in self.totals.items() if record != "time_mark"]
        counted = own or list(self.totals.values())
        if not counted:
            return None
        return min(total.min_time for total in counted), max(total.max_time for total in counted)


def partitions(store: Store, topics: Sequence[str] = ()) -> list[PartitionId]:
    """The partitions that are archived, sorted.

    Raises:
        ConfigurationError: A topic is not in the archive.
    """
    known = [topic for topic in store.folders("") if store.folders(log_folder(topic))]
    unknown = sorted(set(topics) - set(known))
    if unknown:
        raise ConfigurationError(
            f"the archive at {store.url} does not hold {', '.join(unknown)}; it holds "
            f"{', '.join(known) or 'nothing yet'}"
        )
    found = [
        PartitionId(topic, kafka_id, int(number))
        for topic in known
        if not topics or topic in topics
        for kafka_id in store.folders(log_folder(topic))
        for number in store.folders(f"{log_folder(topic)}/{kafka_id}")
    ]
    # A disk has the folder a moment before the first manifest.
    with ThreadPoolExecutor(AHEAD, "partitions") as threads:
        there = threads.map(
            lambda id_: store.size(id_.manifest(0)) is not None or any(store.files(id_.log)), found
        )
        return [id_ for id_, is_there in zip(found, there, strict=True) if is_there]


def holdings(store: Store, ids: Sequence[PartitionId]) -> list[Holding]:
    """What there is of partitions, in their order.

    Raises:
        BrokenArchiveError: One has no manifest.
    """
    with ThreadPoolExecutor(AHEAD, "holdings") as threads:
        return list(threads.map(lambda id_: holding(store, id_), ids))


def holding(store: Store, id_: PartitionId) -> Holding:
    """What there is of a partition, from its first and its last manifest.

    Raises:
        BrokenArchiveError: It has none.
    """
    chain = Chain(store, id_, writer="")
    head = chain.find()
    if head is None:
        raise BrokenArchiveError(f"{id_}: {id_.manifest(0)} is gone")
    return Holding(id_, chain.read(0).first_offset, head)


def manifests(store: Store, id_: PartitionId) -> Iterator[Manifest]:
    """The manifests of a partition, in order, up to the last one as of now.

    Raises:
        BrokenArchiveError: One is missing or damaged.
    """
    paths = sorted(path for path, _ in store.files(id_.log))
    with ThreadPoolExecutor(AHEAD, "manifests") as threads:
        for at in range(0, len(paths), AHEAD):
            asked = paths[at : at + AHEAD]
            for number, (path, data) in enumerate(zip(asked, threads.map(store.get, asked), strict=True), at):
                if data is None or path != id_.manifest(number):
                    raise BrokenArchiveError(f"{id_}: {id_.manifest(number)} is gone, later ones are there")
                yield decode(data, path)


def read_file(store: Store, id_: PartitionId, file: DataFile) -> bytes:
    """The bytes of a file that counts; one of the last manifest may have its final name in a moment.

    Raises:
        BrokenArchiveError: It is gone.
    """
    for path in (id_.final(file), id_.staged(file), id_.final(file)):
        data = store.get(path)
        if data is not None:
            return data
    raise BrokenArchiveError(f"{id_}: {id_.final(file)} is gone")


def table_of(data: bytes) -> pa.Table:
    """The rows of a file.

    Raises:
        BrokenArchiveError: It is no Parquet file.
    """
    try:
        return parquet.read_table(pa.BufferReader(data))
    except (pa.ArrowException, OSError) as error:
        raise BrokenArchiveError(f"not a Parquet file: {error}") from error
