"""The bytes of a state: arrays first, each at a place that only growth moves, then what has no fixed size.

Equal states give equal bytes, and a small change of the state is a small change of the bytes: a checkpoint
writes only blocks that have changed. Numbers are little-endian.
"""

import struct
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from schemas.errors import ConflictError

_MAGIC = b"KNDL"
_HEADER = struct.Struct("<4sI32sQ")


class ForeignSnapshotError(ConflictError):
    """A snapshot is of another version, of other parameters, or none: rebuild the state from the log."""

    code = "FOREIGN_SNAPSHOT"


class _Tail(msgspec.Struct, array_like=True, frozen=True):
    shapes: list[tuple[int, ...]]
    rest: msgspec.Raw


def write_snapshot(
    version: int, digest: str, arrays: Mapping[str, npt.NDArray[np.int64]], rest: msgspec.Struct
) -> bytes:
    """The bytes of some arrays and of the rest of a state.

    Args:
        version: Of the layout and the meaning of the state.
        digest: Hash of the parameters of the state, 32 characters.
        arrays: By name, always in the same order.
        rest: Names and other small things.
    """
    tail = msgspec.msgpack.encode(
        _Tail([array.shape for array in arrays.values()], msgspec.Raw(msgspec.msgpack.encode(rest)))
    )
    parts = [array.tobytes() for array in arrays.values()]
    size = sum(len(part) for part in parts)
    return b"".join((_HEADER.pack(_MAGIC, version, digest.encode(), size), *parts, tail))


def read_snapshot(
    version: int, digest: str, names: tuple[str, ...], kind: type[Any], data: bytes
) -> tuple[dict[str, npt.NDArray[np.int64]], Any]:
    """The arrays, by the names they were written with, and the rest.

    Raises:
        ForeignSnapshotError: Version or digest are others, or the bytes are damaged.
    """
    if len(data) < _HEADER.size:
        raise ForeignSnapshotError(f"a snapshot has at least {_HEADER.size} bytes, got {len(data)}")
    magic, found_version, found_digest, size = _HEADER.unpack_from(data)
    if magic != _MAGIC or found_version != version or found_digest != digest.encode():
        raise ForeignSnapshotError(
            f"expected a snapshot of version {version} with parameters {digest}, got version {found_version} "
            f"with {found_digest.decode('ascii', 'replace')}; rebuild the state from the log"
        )
    try:
        tail = msgspec.msgpack.decode(memoryview(data)[_HEADER.size + size :], type=_Tail)
        rest = msgspec.msgpack.decode(tail.rest, type=kind)
        arrays = {}
        position = _HEADER.size
        for name, shape in zip(names, tail.shapes, strict=True):
            count = int(np.prod(shape))
            arrays[name] = np.frombuffer(data, np.int64, count, position).reshape(shape).copy()
            position += 8 * count
    except (msgspec.MsgspecError, ValueError) as error:
        raise ForeignSnapshotError(
            f"a snapshot is damaged: {error}; rebuild the state from the log"
        ) from error
    return arrays, rest
