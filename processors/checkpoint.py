"""Checkpoints: the state of one topic partition, cut into blocks, and the offset it is complete to.

A checkpoint is right on its own, whoever wrote it: restoring it and reading on from its offset gives the
result of a worker that never stopped. What stands in the changelog, for each topic partition:

    <topic>/<partition>/block/<hash>      at most 64 kB of state, named by what is in it
    <topic>/<partition>/manifest/<name>   offset, format, parameters and the hashes of its blocks, in order

A block that is unchanged is not written again. `KEPT` manifests stand side by side and no writer writes over
another's, so a checkpoint that a late writer has spoiled costs no more than the way back to the one before.
This module is pure; `checkpoint_table` joins it to Faust.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import msgspec

FORMAT = 1
BLOCK_BYTES = 64 * 1024
"""Small enough that one busy symbol does not rewrite many idle ones, large enough for few records."""
KEPT = 9
"""The newest manifest and the eight before it, whose blocks are kept as well."""

_DIGEST_BYTES = 16


class Manifest(msgspec.Struct, frozen=True, array_like=True):
    """What a checkpoint consists of.

    Attributes:
        format: Version of this layout.
        number: Counts the checkpoints of a partition, over restarts.
        offset: The state covers every record before this offset of the topic partition.
        parameters: Hash of all settings that the state depends on.
        topic_id: The broker's id of the topic, another one once the topic was made again.
        length: Bytes of state.
        blocks: Digests of the blocks, in order.
    """

    format: int
    number: int
    offset: int
    parameters: str
    topic_id: str
    length: int
    blocks: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A state that can be read on from `offset`."""

    offset: int
    state: bytes


@dataclass(frozen=True, slots=True)
class Plan:
    """The records that one checkpoint writes, in the order they must stand in the changelog.

    Attributes:
        offset: Where reading goes on after this checkpoint.
        records: Key and value; None deletes.
        blocks_written: New blocks among them.
        bytes_written: Bytes of the new blocks.
    """

    offset: int
    records: list[tuple[bytes, bytes | None]]
    blocks_written: int
    bytes_written: int


def owner(key: bytes) -> tuple[str, int] | None:
    """Topic and partition that a changelog record belongs to; None if it is none of ours."""
    parts = key.split(b"/")
    if len(parts) != 4 or not parts[1].isdigit():
        return None
    return parts[0].decode("utf-8", "replace"), int(parts[1])


def _digest(block: bytes | memoryview) -> bytes:
    return hashlib.blake2b(block, digest_size=_DIGEST_BYTES).digest()


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
        self._writer = secrets.token_hex(4)
        self._blocks: set[bytes] = set()
        self._number = 0
        self._read(entries)

    def newest(
        self,
        first_offset: int,
        end_offset: int,
        restorable: Callable[[Checkpoint], bool] = lambda checkpoint: True,
    ) -> tuple[Checkpoint | None, list[str]]:
        """The checkpoint to go on from, and why others were passed over; call once, it frees the entries.

        The one with the highest offset wins, not the one written last: a late writer's counts for no
        more than its offset says.

        Args:
            first_offset: Where the log of the topic partition begins.
            end_offset: The offset after its last record.
            restorable: Last word on a candidate, by the code that knows the state's layout.
        """
        refused: list[str] = []
        found: Checkpoint | None = None
        candidates = sorted(
            self._manifests.values(), key=lambda each: (each.offset, each.number), reverse=True
        )
        for manifest in candidates:
            reason = self._objection(manifest, first_offset, end_offset)
            if reason is None:
                checkpoint = self._assemble(manifest)
                if checkpoint is None:
                    reason = "a block is missing or damaged"
                elif not restorable(checkpoint):
                    reason = "its state cannot be read"
                else:
                    found = checkpoint
                    break
            refused.append(f"checkpoint at offset {manifest.offset}: {reason}")
        self._entries = {}
        return found, refused

    def plan(self, offset: int, state: bytes | memoryview) -> Plan:
        """What to write so that `state` is the checkpoint at `offset`.

        The lineage counts the plan as written: if it cannot be, this object is of no further use.
        """
        view = memoryview(state)
        records: list[tuple[bytes, bytes | None]] = []
        digests: list[bytes] = []
        fresh: set[bytes] = set()
        size = 0
        for start in range(0, len(view), BLOCK_BYTES):
            block = view[start : start + BLOCK_BYTES]
            digest = _digest(block)
            digests.append(digest)
            if digest not in self._blocks and digest not in fresh:
                fresh.add(digest)
                size += len(block)
                records.append((self._block_key(digest), bytes(block)))
        number = self._number + 1
        manifest = Manifest(
            format=FORMAT,
            number=number,
            offset=offset,
            parameters=self._parameters,
            topic_id=self._topic_id,
            length=len(view),
            blocks=tuple(digests),
        )
        key = self._prefix + f"manifest/{number}-{self._writer}".encode()
        records.append((key, msgspec.msgpack.encode(manifest)))
        by_age = sorted(self._manifests.items(), key=lambda each: (each[1].number, each[1].offset))
        gone, kept = by_age[: 1 - KEPT], [*by_age[1 - KEPT :], (key, manifest)]
        named = {digest for _, each in kept for digest in each.blocks}
        records += [(name, None) for name, _ in gone]
        records += [(self._block_key(digest), None) for digest in sorted((self._blocks | fresh) - named)]
        self._number, self._manifests, self._blocks = number, dict(kept), named
        return Plan(offset=offset, records=records, blocks_written=len(fresh), bytes_written=size)

    def _read(self, entries: Mapping[bytes, bytes]) -> None:
        for key, value in entries.items():
            kind, _, name = key.removeprefix(self._prefix).partition(b"/")
            if kind == b"block":
                self._blocks.add(bytes.fromhex(name.decode()))
            elif kind == b"manifest":
                try:
                    manifest = msgspec.msgpack.decode(value, type=Manifest)
                except msgspec.MsgspecError:
                    # Another layout's: it is of no use to anybody, and is deleted with the oldest.
                    manifest = Manifest(0, 0, 0, "", "", 0, ())
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
        return None

    def _assemble(self, manifest: Manifest) -> Checkpoint | None:
        blocks: list[bytes] = []
        for digest in manifest.blocks:
            block = self._entries.get(self._block_key(digest))
            if block is None or _digest(block) != digest:
                self._blocks.discard(digest)  # so that the next checkpoint writes it anew
                return None
            blocks.append(block)
        state = b"".join(blocks)
        return Checkpoint(manifest.offset, state) if len(state) == manifest.length else None

    def _block_key(self, digest: bytes) -> bytes:
        return self._prefix + b"block/" + digest.hex().encode()


def replay(records: Iterable[tuple[bytes, bytes | None]]) -> dict[bytes, bytes]:
    """What a changelog holds after `records`, as compaction and recovery see it."""
    entries: dict[bytes, bytes] = {}
    for key, value in records:
        if value is None:
            entries.pop(key, None)
        else:
            entries[key] = value
    return entries
