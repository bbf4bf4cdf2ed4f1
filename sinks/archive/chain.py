"""A partition's manifests, which name each other's successor: who writes the next one, has stored.

The next manifest is created exclusively. Two processes that believe to own a partition (one was stopped past
its session) know the same last number, or one of them knows less: either way one of them finds the name
taken, and has stored nothing.

Files are staged before the manifest names them, and get their final names after it. So what has a final name
counts, always. What was staged and never named is removed when the partition is placed again; before that a
`fence` takes the next number, so that the process that staged it, if it lives, can not name it any more.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Final

from infra.logging import get_logger
from sinks.archive.manifest import (
    BrokenArchiveError,
    DataFile,
    Kind,
    Manifest,
    PartitionId,
    decode,
    totals_with,
)
from sinks.archive.store import Store
from sinks.destination import MovedError

_AGAIN: Final = 20
"""Times that another process may get in between while a partition is placed."""

log = get_logger(__name__)


class Chain:
    """The manifests of one partition. All calls block.

    Args:
        store: Where they are.
        id_: Which partition.
        writer: Name of this process in what it writes.
    """

    def __init__(self, store: Store, id_: PartitionId, writer: str) -> None:
        self.id = id_
        self._store = store
        self._writer = writer
        self._head: Manifest | None = None
        self._unmoved: list[DataFile] = []

    @property
    def head(self) -> Manifest:
        """The last manifest, as far as this process knows.

        Raises:
            RuntimeError: `begin` or `find` was not called.
        """
        if self._head is None:
            raise RuntimeError(f"{self.id} was not placed")
        return self._head

    def find(self) -> Manifest | None:
        """Look up the last manifest; None: there is none at all."""
        number = self._last_number(0 if self._head is None else self._head.number)
        self._head = None if number < 0 else self.read(number)
        # Whoever wrote it, and whatever became of the answer: its files may wait for their names.
        self._unmoved = [] if self._head is None else list(self._head.files)
        return self._head

    def begin(self, first_offset: int) -> int:
        """Take the partition over: where it is read on.

        Args:
            first_offset: Where it begins if it never was.
        """
        for _ in range(_AGAIN):
            if self.find() is None:
                self._append(self._next("start", first_offset, first_offset))
                continue
            self.settle()
            left = self._staged()
            if not left:
                return self.head.next_offset
            if self._append(self._next("fence", self.head.next_offset, self.head.next_offset)):
                for path in left:
                    self._store.delete(path)
                log.info("removed files that never counted", partition=str(self.id), files=len(left))
                return self.head.next_offset
        raise MovedError

    def stage(self, file: DataFile, data: bytes) -> None:
        """Write a file that does not count yet."""
        self._store.put(self.id.staged(file), data)

    def commit(
        self, next_offset: int, files: Sequence[DataFile], refused: Sequence[tuple[int, int]] = ()
    ) -> None:
        """Let staged files count, and move the position; call `settle` afterwards.

        Raises:
            MovedError: Another process has moved it; nothing counts, and the files are gone.
        """
        if not self._append(self._next("records", self.head.next_offset, next_offset, files, refused)):
            for file in files:
                self._store.delete(self.id.staged(file))
            raise MovedError
        self._unmoved = list(self.head.files)

    def skip(self, next_offset: int) -> None:
        """Go on at a later or an earlier offset, since the log does not hold the position any more.

        Raises:
            MovedError: Another process has moved it.
        """
        if not self._append(self._next("loss", self.head.next_offset, next_offset)):
            raise MovedError

    def settle(self) -> None:
        """Give the files of the last manifest their final names.

        Raises:
            BrokenArchiveError: One is gone.
        """
        while self._unmoved:
            file = self._unmoved[0]
            moved = self._store.move(self.id.staged(file), self.id.final(file))
            if not moved and self._store.size(self.id.final(file)) is None:
                raise BrokenArchiveError(f"{self.id}: {self.id.final(file)} is gone, but a manifest names it")
            self._unmoved.pop(0)

    def read(self, number: int) -> Manifest:
        """A manifest by its number.

        Raises:
            BrokenArchiveError: There is none, or it is damaged.
        """
        path = self.id.manifest(number)
        data = self._store.get(path)
        if data is None:
            raise BrokenArchiveError(f"{self.id}: {path} is gone, later ones are there")
        return decode(data, path)

    def _next(
        self,
        kind: Kind,
        first_offset: int,
        next_offset: int,
        files: Sequence[DataFile] = (),
        refused: Sequence[tuple[int, int]] = (),
    ) -> Manifest:
        before = self._head
        return Manifest(
            topic=self.id.topic,
            kafka_id=self.id.kafka_id,
            partition=self.id.partition,
            number=0 if before is None else before.number + 1,
            kind=kind,
            first_offset=first_offset,
            next_offset=next_offset,
            writer=self._writer,
            written=dt.datetime.now(dt.UTC),
            files=list(files),
            refused=list(refused),
            totals=totals_with({} if before is None else before.totals, files),
        )

    def _append(self, manifest: Manifest) -> bool:
        """Create the next manifest; false: another process has."""
        path = self.id.manifest(manifest.number)
        if not self._store.create(path, manifest.encode()):
            found = self.read(manifest.number)
            # The answer to an earlier attempt may have been lost: then what is there is ours.
            if (found.writer, found.next_offset) != (manifest.writer, manifest.next_offset):
                return False
            manifest = found
        self._head = manifest
        return True

    def _staged(self) -> list[str]:
        """What no manifest names, whole or not; and manifests that were not finished."""
        folders = (self.id.staging, self.id.manifest(0).rpartition("/")[0])
        torn = [path for folder in folders for path in self._store.unfinished(folder)]
        return [*(path for path, _ in self._store.files(self.id.staging)), *torn]

    def _last_number(self, known: int) -> int:
        """The highest number, -1: none. The chain has no holes, so a few questions find it."""
        if self._store.size(self.id.manifest(known)) is None:
            if known:
                raise BrokenArchiveError(f"{self.id}: {self.id.manifest(known)} is gone")
            return -1
        step = 1
        while self._store.size(self.id.manifest(known + step)) is not None:
            known += step
            step *= 2
        low, high = known, known + step
        while high - low > 1:
            middle = (low + high) // 2
            if self._store.size(self.id.manifest(middle)) is None:
                high = middle
            else:
                low = middle
        return low
