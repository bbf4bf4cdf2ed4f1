"""Where the series of a partition stand: at work, or at rest as the bytes that a checkpoint holds of them.

Pages are buckets of series of one interval, so a page of slow series stays as it is while the fast ones
change. There are as many buckets as the series need. In a page that has changed only the series that have
changed are encoded; of the others the bytes are kept. A series that has had no candle for long rests: it is
no more than these bytes, until its next candle wakes it up. So does every series after a restart. What is
computed does not depend on it.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Generic, Protocol, TypeVar

import msgspec

from processors.engine.pages import Page
from processors.engine.snapshots import ForeignSnapshotError, read_snapshot, write_snapshot

SERIES_A_BUCKET: Final = 96
"""Mean at most; some 2 kB each, so that a bucket is a block. Every block is a record that recovery reads."""
IDLE_CANDLES: Final = 64
IDLE_US: Final = 3_600_000_000
"""A series rests once the partition's newest candle is so far ahead, and so many intervals of its own."""
LOOK_EVERY_US: Final = 60_000_000
"""How often idle series are looked for, event time."""

_DECODER: Final = msgspec.msgpack.Decoder(list[tuple[str, str, str, bytes]])

Name = tuple[str, str, str]
"""Venue, symbol and interval."""


class Sleeper(Protocol):
    """A series that can rest."""

    def pack(self) -> bytes:
        """All that is known of it; the same bytes for the same candles."""

    def unpack(self, packed: bytes) -> None:
        """Take over what was packed; any exception: it cannot be read."""


S = TypeVar("S", bound=Sleeper)


class _Rest(msgspec.Struct, array_like=True):
    series: int


@dataclass(slots=True, eq=False)
class _Bucket(Generic[S]):
    entries: list[_Entry[S]] = field(default_factory=list)
    changed: bool = True


@dataclass(slots=True, eq=False)
class _Entry(Generic[S]):
    """A series: at work, or packed, or both while nothing has changed since it was packed."""

    name: Name
    bucket: _Bucket[S]
    series: S | None
    packed: bytes | None
    rests_at: int = 0


class SeriesShelf(Generic[S]):
    """All series of one partition by name; see `pages.Paged`.

    Args:
        make: A new series.
        kind: What of the plan a series runs: those of one kind have states alike.
        version: Of the layout and the meaning of the state.
        digest: Hash of the plan, 32 characters.
    """

    def __init__(
        self, make: Callable[[Name], S], kind: Callable[[Name], object], version: int, digest: str
    ) -> None:
        self._make, self._kind = make, kind
        self._version, self._digest = version, digest
        self._entries: dict[Name, _Entry[S]] = {}
        self._buckets: dict[str, list[_Bucket[S]]] = {}
        self._counts: dict[str, int] = {}
        self._newest = self._looked_at = 0

    @property
    def awake(self) -> int:
        """Series at work."""
        return sum(entry.series is not None for entry in self._entries.values())

    def __len__(self) -> int:
        return len(self._entries)

    def take(self, name: Name, opened: int, closed: int) -> S:
        """A series about to change, made or woken up if need be.

        Args:
            name: Which.
            opened: Open time of the candle that comes, microseconds.
            closed: Its close time.
        """
        entry = self._entries.get(name)
        if entry is None:
            entry = self._add(name, self._make(name), None)
        series = entry.series
        if series is None:
            series = entry.series = self._wake(entry)
        entry.packed = None
        entry.bucket.changed = True
        entry.rests_at = closed + max(IDLE_US, IDLE_CANDLES * (closed - opened))
        self._newest = max(self._newest, closed)
        return series

    def pages(self) -> Iterator[Page]:
        """All series, by buckets; sends those to rest that are idle."""
        if self._newest >= self._looked_at + LOOK_EVERY_US:
            self._looked_at = self._newest
            self._rest_idle()
        rest = _Rest(len(self._entries))
        yield Page("rest", partial(write_snapshot, self._version, self._digest, {}, rest))
        for interval, buckets in sorted(self._buckets.items()):
            for number, bucket in enumerate(buckets):
                if bucket.entries:
                    yield Page(f"{interval}.{number}", partial(_encode, bucket), bucket.changed)

    def load(self, pages: Mapping[str, bytes]) -> None:
        """Take over what was saved; all series rest.

        One of each kind is woken up at once: a plan that cannot read its own state must be found out now.

        Raises:
            ForeignSnapshotError: It is of another version or another plan, or damaged.
        """
        fresh: SeriesShelf[S] = SeriesShelf(self._make, self._kind, self._version, self._digest)
        kinds: set[object] = set()
        try:
            _, rest = read_snapshot(self._version, self._digest, (), _Rest, pages["rest"])
            for page in pages:
                if page == "rest":
                    continue
                for venue, symbol, interval, packed in _DECODER.decode(pages[page]):
                    entry = fresh._add((venue, symbol, interval), None, packed)
                    if (kind := self._kind(entry.name)) not in kinds:
                        kinds.add(kind)
                        self._wake(entry)
        except (KeyError, msgspec.MsgspecError) as error:
            raise ForeignSnapshotError(f"the pages of series are damaged: {error!r}") from error
        if len(fresh) != rest.series:
            raise ForeignSnapshotError(f"expected {rest.series} series, got {len(fresh)}")
        for buckets in fresh._buckets.values():
            for bucket in buckets:
                bucket.changed = False
        self._entries, self._buckets, self._counts = fresh._entries, fresh._buckets, fresh._counts

    def _add(self, name: Name, series: S | None, packed: bytes | None) -> _Entry[S]:
        interval = name[2]
        count = self._counts[interval] = self._counts.get(interval, 0) + 1
        buckets = self._buckets.setdefault(interval, [_Bucket()])
        if count > SERIES_A_BUCKET * len(buckets):
            entries = [entry for bucket in buckets for entry in bucket.entries]
            buckets = self._buckets[interval] = [_Bucket() for _ in range(2 * len(buckets))]
            for entry in entries:
                entry.bucket = _bucket_of(entry.name, buckets)
                entry.bucket.entries.append(entry)
        bucket = _bucket_of(name, buckets)
        entry = self._entries[name] = _Entry(name, bucket, series, packed)
        bucket.entries.append(entry)
        return entry

    def _wake(self, entry: _Entry[S]) -> S:
        series = self._make(entry.name)
        if entry.packed is not None:
            series.unpack(entry.packed)
        return series

    def _rest_idle(self) -> None:
        for entry in self._entries.values():
            if entry.series is not None and self._newest > entry.rests_at:
                entry.packed = entry.packed or entry.series.pack()
                entry.series = None


def _bucket_of(name: Name, buckets: list[_Bucket[S]]) -> _Bucket[S]:
    return buckets[zlib.crc32(f"{name[0]}:{name[1]}".encode()) % len(buckets)]


def _encode(bucket: _Bucket[S]) -> bytes:
    bucket.changed = False
    saved: list[tuple[str, str, str, bytes]] = []
    for entry in sorted(bucket.entries, key=lambda each: each.name):
        if entry.packed is None and entry.series is not None:
            entry.packed = entry.series.pack()
        saved.append((*entry.name, entry.packed or b""))
    return msgspec.msgpack.encode(saved)
