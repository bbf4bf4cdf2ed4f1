"""Checkpoints: the state of one topic partition by pages, and the offset it is complete to.

A checkpoint is right on its own, whoever wrote it: restoring it and reading on from its offset gives the
result of a worker that never stopped. What stands in the changelog, for each topic partition:

    <topic>/<partition>/block/<hash>      at most 256 kB of a page, packed, named by what is in it
    <topic>/<partition>/manifest/<name>   offset, format, parameters, and by page the hashes of its blocks

A page that is unchanged is neither encoded nor hashed: its blocks are those of the checkpoint before. A block
that is unchanged is not written again. `KEPT` manifests stand side by side. No writer writes over another's
manifest, and none deletes a block that another has written and it does not know: blocks begin with the name
of their writer, so that two never write the same one.
This module is pure; `checkpoint_table` joins it to Faust.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import cramjam
import msgspec

from processors.engine.pages import Page
from processors.engine.snapshots import ForeignSnapshotError

FORMAT = 2
BLOCK_BYTES = 256 * 1024
"""The most that a block may have, packed or not; a page beyond it is cut."""
KEPT = 9
"""The newest manifest and the eight before it, whose blocks are kept as well."""

_DIGEST_BYTES = 16
_WRITER_BYTES = 4
_PLAIN, _LZ4 = 0, 1  # how a block is packed: its first byte; then its writer, then what is packed
_CONTENT = 1 + _WRITER_BYTES

Record = tuple[bytes, bytes | None]
"""Key and value of a record of the changelog; None deletes."""


class Manifest(msgspec.Struct, frozen=True, array_like=True):
    """What a checkpoint consists of.

    Attributes:
        format: Version of this layout.
        number: Counts the checkpoints of a partition, over restarts.
        offset: The state covers every record before this offset of the topic partition.
        parameters: Hash of all settings that the state depends on.
        topic_id: The broker's id of the topic, another one once the topic was made again.
        pages: By name, the digests of the blocks of each page, one after the other.
    """

    format: int
    number: int
    offset: int
    parameters: str
    topic_id: str
    pages: dict[str, bytes]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A state that can be read on from `offset`; its pages are unpacked when they are asked for."""

    offset: int
    pages: Mapping[str, bytes]


def owner(key: bytes) -> tuple[str, int] | None:
    """Topic and partition that a changelog record belongs to; None if it is none of ours."""
    parts = key.split(b"/")
    if len(parts) != 4 or not parts[1].isdigit():
        return None
    return parts[0].decode("utf-8", "replace"), int(parts[1])


def _digest(block: bytes) -> bytes:
    return hashlib.blake2b(block, digest_size=_DIGEST_BYTES).digest()


def _digests(manifest: Manifest) -> Iterator[bytes]:
    """Of all blocks that a manifest names."""
    for joined in manifest.pages.values():
        yield from _cut(joined)


def _cut(joined: bytes) -> Iterable[bytes]:
    if len(joined) == _DIGEST_BYTES:
        return (joined,)
    return (joined[start : start + _DIGEST_BYTES] for start in range(0, len(joined), _DIGEST_BYTES))


def _pack(plain: memoryview, writer: bytes) -> bytes:
    packed = memoryview(cramjam.lz4.compress_block(plain))
    if len(packed) < len(plain):
        return b"".join((bytes((_LZ4,)), writer, packed))
    return b"".join((bytes((_PLAIN,)), writer, plain))


def _unpack(block: bytes) -> bytes:
    content = memoryview(block)[_CONTENT:]
    return bytes(cramjam.lz4.decompress_block(content) if block[0] == _LZ4 else content)


class Lineage:
    """All checkpoints of one topic partition: finds the newest that holds, plans the next.

    Args:
        topic: The topic whose records the state is made of.
        partition: Its partition.
        parameters: A hash of the settings in force.
        topic_id: The broker's id of the topic.
        entries: What the changelog holds for this topic partition.
    """

    def __init__(
        self, topic: str, partition: int, parameters: str, topic_id: str, entries: Mapping[bytes, bytes]
    ) -> None:
        self._prefix = f"{topic}/{partition}/".encode()
        self._parameters = parameters
        self._topic_id = topic_id
        self._entries: Mapping[bytes, bytes] = entries
        self._manifests: dict[bytes, Manifest] = {}
        self._writer = secrets.token_bytes(_WRITER_BYTES)
        self._present: set[bytes] = set()
        self._pages: Mapping[str, bytes] = {}
        self._number = 0
        self._read(entries)

    def newest(
        self,
        first_offset: int,
        end_offset: int,
        restore: Callable[[Checkpoint], None] = lambda checkpoint: None,
    ) -> tuple[Checkpoint | None, list[str]]:
        """The checkpoint to go on from, and why others were passed over; call once, it frees the entries.

        The one with the highest offset wins, not the one written last: a late writer's counts for no
        more than its offset says.

        Args:
            first_offset: Where the log of the topic partition begins.
            end_offset: The offset after its last record.
            restore: Makes a state of a candidate; any exception: it cannot be read. Reading a page raises
                `ForeignSnapshotError` if a block of it is missing or damaged.
        """
        refused: list[str] = []
        found: Checkpoint | None = None
        candidates = sorted(
            self._manifests.values(), key=lambda each: (each.offset, each.number), reverse=True
        )
        for manifest in candidates:
            reason = self._objection(manifest, first_offset, end_offset)
            if reason is None:
                checkpoint = Checkpoint(
                    manifest.offset, _SavedPages(manifest.pages, self._prefix, self._entries)
                )
                try:
                    restore(checkpoint)
                except Exception as error:
                    reason = f"its state cannot be read: {error}"
                else:
                    found, self._pages = checkpoint, manifest.pages
                    break
            refused.append(f"checkpoint at offset {manifest.offset}: {reason}")
        self._entries = {}
        return found, refused

    def reached(self) -> int | None:
        """The offset up to which workers have got, whatever their settings; None: there is no checkpoint."""
        manifests = self._manifests.values()
        return max((each.offset for each in manifests if each.topic_id == self._topic_id), default=None)

    def plan(self, offset: int, pages: Iterable[Page]) -> Iterator[Record]:
        """What to write so that these pages are the checkpoint at `offset`, in the order it must stand there.

        Pages are encoded as the records are asked for. At its end the lineage counts all of them as written:
        if they cannot be, or it is left before its end, lineage and state are of no further use.
        """
        found: dict[str, bytes] = {}
        fresh: set[bytes] = set()
        for name, encode, changed in pages:
            before = None if changed else self._pages.get(name)
            if before is not None:
                found[name] = before
                continue
            content = memoryview(encode())
            digests = []
            for start in range(0, len(content), BLOCK_BYTES - _CONTENT):
                block = _pack(content[start : start + BLOCK_BYTES - _CONTENT], self._writer)
                digest = _digest(block)
                digests.append(digest)
                if digest not in self._present and digest not in fresh:
                    fresh.add(digest)
                    yield self._block_key(digest), block
            found[name] = b"".join(digests)
        number = self._number + 1
        manifest = Manifest(FORMAT, number, offset, self._parameters, self._topic_id, found)
        key = self._prefix + f"manifest/{number}-{self._writer.hex()}".encode()
        yield key, msgspec.msgpack.encode(manifest)
        by_age = sorted(self._manifests.items(), key=lambda each: (each[1].number, each[1].offset))
        gone, kept = by_age[: 1 - KEPT], [*by_age[1 - KEPT :], (key, manifest)]
        named = {digest for _, each in kept for digest in _digests(each)}
        for old, _ in gone:
            yield old, None
        for digest in sorted((self._present | fresh) - named):
            yield self._block_key(digest), None
        self._number, self._manifests, self._pages, self._present = number, dict(kept), found, named

    def _read(self, entries: Mapping[bytes, bytes]) -> None:
        for key, value in entries.items():
            kind, _, name = key.removeprefix(self._prefix).partition(b"/")
            if kind == b"block":
                self._present.add(bytes.fromhex(name.decode()))
            elif kind == b"manifest":
                try:
                    manifest = msgspec.msgpack.decode(value, type=Manifest)
                except msgspec.MsgspecError:
                    # Another layout's: it is of no use to anybody, and is deleted with the oldest.
                    manifest = Manifest(0, 0, 0, "", "", {})
                self._manifests[key] = manifest
                self._number = max(self._number, manifest.number)

    def _objection(self, manifest: Manifest, first_offset: int, end_offset: int) -> str | None:
        if manifest.format != FORMAT:
            return f"its format is {manifest.format}, this program writes {FORMAT}"
        if manifest.parameters != self._parameters:
            return "it was made with other settings"
        if manifest.topic_id != self._topic_id:
            return "the topic was deleted and made again since"
        if not first_offset <= manifest.offset <= end_offset:
            return f"the log now spans {first_offset} to {end_offset}"
        if any(self._block_key(digest) not in self._entries for digest in _digests(manifest)):
            return "a block is missing"
        return None

    def _block_key(self, digest: bytes) -> bytes:
        return _block_key(self._prefix, digest)


def _block_key(prefix: bytes, digest: bytes) -> bytes:
    return prefix + b"block/" + digest.hex().encode()


class _SavedPages(Mapping[str, bytes]):
    """The pages of a manifest, unpacked and checked when they are read."""

    def __init__(self, pages: Mapping[str, bytes], prefix: bytes, entries: Mapping[bytes, bytes]) -> None:
        self._pages, self._prefix, self._entries = pages, prefix, entries

    def __getitem__(self, name: str) -> bytes:
        return b"".join(map(self._block, _cut(self._pages[name])))

    def __iter__(self) -> Iterator[str]:
        return iter(self._pages)

    def __len__(self) -> int:
        return len(self._pages)

    def _block(self, digest: bytes) -> bytes:
        block = self._entries.get(_block_key(self._prefix, digest), b"")
        if _digest(block) != digest:
            raise ForeignSnapshotError("a block is damaged; an older checkpoint, or the log, has it right")
        return _unpack(block)


def replay(records: Iterable[Record], entries: dict[bytes, bytes] | None = None) -> dict[bytes, bytes]:
    """What a changelog holds after `records`, as compaction and recovery see it.

    Args:
        records: In its order.
        entries: What it held before; brought up to date.
    """
    entries = {} if entries is None else entries
    for key, value in records:
        if value is None:
            entries.pop(key, None)
        else:
            entries[key] = value
    return entries
