"""Whether the archive holds what its manifests say: no hole, no overlap, no file lost, changed or besides."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]

from sinks.archive.catalogue import manifests, read_file, table_of
from sinks.archive.fields import OFFSET
from sinks.archive.manifest import (
    BrokenArchiveError,
    DataFile,
    Manifest,
    PartitionId,
    Totals,
    totals_with,
)
from sinks.archive.store import Store

SHOWN: Final = 20
"""Problems of a partition that are told one by one."""

Compare = Callable[[Manifest, Mapping[str, Sequence[pa.Table]]], Sequence[str]]
"""What is wrong with the records of a manifest beside those of the log."""


@dataclass(slots=True)
class Finding:
    """What was found of a partition.

    Attributes:
        id: Which.
        manifests, files, rows: Looked at.
        problems: What is wrong, in words; the first `SHOWN` of them.
        more: Problems beyond those.
        notes: What is not wrong, but may be of interest.
    """

    id: PartitionId
    manifests: int = 0
    files: int = 0
    rows: int = 0
    problems: list[str] = field(default_factory=list)
    more: int = 0
    notes: list[str] = field(default_factory=list)

    def add(self, problem: str) -> None:
        """Note something wrong."""
        if len(self.problems) < SHOWN:
            self.problems.append(problem)
        else:
            self.more += 1


def verify_topic(
    store: Store,
    ids: Sequence[PartitionId],
    *,
    deep: bool,
    compare_of: Callable[[PartitionId], Compare | None] = lambda _: None,
) -> Iterator[Finding]:
    """Look at all manifests and files of a topic, one partition after the other.

    Args:
        store: Where the archive is.
        ids: All partitions of the topic, of every id that it had.
        deep: Whether files are read; else only their presence and size is looked at.
        compare_of: With `deep`, for a partition: what is told the tables of each manifest, if anything.
    """
    # Sizes first: what is written meanwhile is in neither, or not in the sizes alone.
    present = _present(store, ids[0].topic)
    named: set[str] = set()
    finding: Finding | None = None
    for number, id_ in enumerate(ids, 1):
        finding = Finding(id_)
        _verify(store, finding, present, named, compare_of(id_) if deep else None, deep=deep)
        if number == len(ids):
            for path in sorted(present.keys() - named):
                finding.add(f"{path}: no manifest names it, but readers by name pattern count its rows")
        yield finding


def _verify(
    store: Store,
    finding: Finding,
    present: Mapping[str, int],
    named: set[str],
    compare: Compare | None,
    *,
    deep: bool,
) -> None:
    id_ = finding.id
    staged = {path for path, _ in store.files(id_.staging)}
    last: Manifest | None = None
    try:
        for manifest in manifests(store, id_):
            for problem in _chain_problems(last, manifest, id_):
                finding.add(problem)
            for file in manifest.files:
                named.add(id_.final(file))
                for problem in _file_problems(store, id_, manifest, file, present):
                    finding.add(problem)
            if deep:
                _look_into(store, manifest, finding, compare)
            if manifest.kind == "loss":
                finding.notes.append(
                    f"offsets {manifest.first_offset} to {manifest.next_offset} were given up by a person"
                )
            finding.manifests += 1
            finding.files += len(manifest.files)
            finding.rows += sum(file.rows for file in manifest.files)
            last = manifest
    except BrokenArchiveError as error:
        finding.add(str(error))
    if left := staged - {id_.staged(file) for file in (last.files if last else ())}:
        finding.notes.append(f"{len(left)} staged files do not count yet, or are left of a crash")


def _present(store: Store, topic: str) -> dict[str, int]:
    """Size of all data files of a topic, by path."""
    return {
        path: size
        for folder in store.folders(topic)
        if folder.startswith("record=")
        for path, size in store.files(f"{topic}/{folder}")
        if path.endswith(".parquet")
    }


def _chain_problems(last: Manifest | None, manifest: Manifest, id_: PartitionId) -> Iterator[str]:
    name = f"manifest {manifest.number}"
    if PartitionId(manifest.topic, manifest.kafka_id, manifest.partition) != id_:
        yield f"{name} is of another partition: {manifest.topic} {manifest.kafka_id} {manifest.partition}"
    if last is None:
        if (manifest.number, manifest.kind) != (0, "start"):
            yield f"the first manifest is number {manifest.number}, a {manifest.kind}"
    elif manifest.number != last.number + 1:
        yield f"{name} follows number {last.number}"
    elif manifest.first_offset != last.next_offset:
        what = "hole" if manifest.first_offset > last.next_offset else "overlap"
        yield f"{what}: {name} begins at offset {manifest.first_offset}, expected {last.next_offset}"
    if manifest.next_offset < manifest.first_offset and manifest.kind != "loss":
        yield f"{name} ends at offset {manifest.next_offset}, before it begins"
    totals: dict[str, Totals] = {} if last is None else last.totals
    if totals_with(totals, manifest.files) != manifest.totals:
        yield f"{name} adds up its rows, files and bytes wrongly"


def _file_problems(
    store: Store, id_: PartitionId, manifest: Manifest, file: DataFile, present: Mapping[str, int]
) -> Iterator[str]:
    path = id_.final(file)
    size = present.get(path)
    if size is None:
        # Written since, or about to get its final name.
        size = store.size(path) or store.size(id_.staged(file)) or store.size(path)
    if size is None:
        yield f"{path} is gone, with {file.rows} rows"
    elif size != file.bytes:
        yield f"{path} has {size} bytes, expected {file.bytes}"
    if not manifest.first_offset <= file.first_offset <= file.last_offset < manifest.next_offset:
        yield f"{path} holds offsets beyond those of its manifest {manifest.number}"


def _look_into(store: Store, manifest: Manifest, finding: Finding, compare: Compare | None) -> None:
    tables: dict[str, list[pa.Table]] = {}
    seen = []
    for file in manifest.files:
        path = finding.id.final(file)
        try:
            data = read_file(store, finding.id, file)
            if hashlib.sha256(data).hexdigest() != file.sha256:
                finding.add(f"{path}: its bytes are not those that were written")
            table = table_of(data)
        except BrokenArchiveError as error:
            finding.add(f"{path}: {error}")
            continue
        offsets = np.asarray(table.column(OFFSET))
        if len(offsets) != file.rows:
            finding.add(f"{path} has {len(offsets)} rows, expected {file.rows}")
        elif (offsets[0], offsets[-1]) != (file.first_offset, file.last_offset) or (
            np.diff(offsets) <= 0
        ).any():
            finding.add(f"{path}: its offsets do not ascend from {file.first_offset} to {file.last_offset}")
        tables.setdefault(file.record, []).append(table)
        seen.append(offsets)
    every = np.concatenate(seen) if seen else np.empty(0, np.int64)
    if np.unique(every).size != every.size:
        finding.add(f"manifest {manifest.number}: its files hold the same offset more than once")
    if compare is not None:
        for problem in compare(manifest, tables):
            finding.add(problem)
