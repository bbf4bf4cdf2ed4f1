"""The bodies of record batches, decompressed one after the other into one buffer."""

import struct
from typing import Any, Final

import cramjam
import numpy as np
import numpy.typing as npt

from schemas.errors import DecodeError

MAX_BODY_BYTES: Final = 128 * 1024 * 1024
"""A body that is longer than that when decompressed is taken for an attack, and for broken. Producers cut
batches at one to sixteen megabytes; brokers decompress them as well before they accept them."""

_USUAL_RATIO = 6
_LEAST_SPACE = 4096
_XERIAL = b"\x82SNAPPY\x00"

Bytes = npt.NDArray[np.uint8]


def expected_size(compression: int, packed_bytes: int) -> int:
    """Bytes that a body may take when decompressed, if it is like most; more cost a second attempt."""
    return packed_bytes * (_USUAL_RATIO if compression else 1)


class BatchBodies:
    """One buffer for the bodies of many batches; grows as it must.

    Args:
        expected_bytes: Bytes to begin with.
    """

    def __init__(self, expected_bytes: int) -> None:
        self._data: Bytes = np.empty(expected_bytes + _LEAST_SPACE, np.uint8)
        self._used = 0

    @property
    def filled(self) -> Bytes:
        """The bodies that were added, back to back; read-only."""
        data = self._data[: self._used]
        data.flags.writeable = False
        return data

    def add(self, compression: int, packed: memoryview) -> int:
        """Append a body.

        Args:
            compression: As in a batch's attributes: 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd.
            packed: The body as it came.

        Returns:
            Its length when decompressed, in bytes.

        Raises:
            DecodeError: The compression is unknown, or the body broken or longer than `MAX_BODY_BYTES`;
                nothing is appended.
        """
        space = max(self._data.size - self._used, _LEAST_SPACE, 0 if compression else len(packed))
        while True:
            space = min(space, MAX_BODY_BYTES)
            self._reserve(space)
            try:
                size = _unpack(compression, packed, self._data[self._used : self._used + space])
            except (cramjam.DecompressionError, ValueError, struct.error) as error:
                # Whether the body is broken or the space too small is told by no type of error.
                if space == MAX_BODY_BYTES:
                    limit = f"{MAX_BODY_BYTES >> 20} MB"
                    raise DecodeError(
                        f"the body cannot be decompressed to {limit} at most: {error}"
                    ) from error
                space *= 8
            else:
                self._used += size
                return size

    def _reserve(self, space: int) -> None:
        if self._used + space > self._data.size:
            grown = np.empty(self._used + space, np.uint8)
            grown[: self._used] = self._data[: self._used]
            self._data = grown


def _unpack(compression: int, packed: memoryview, into: Any) -> int:
    match compression:
        case 0:
            if len(packed) > into.size:
                raise ValueError(f"it has {len(packed)} bytes")
            into[: len(packed)] = np.frombuffer(packed, np.uint8)
            return len(packed)
        case 1:
            return cramjam.gzip.decompress_into(packed, into)
        case 2:
            return _unpack_snappy(packed, into)
        case 3:
            return cramjam.lz4.decompress_into(packed, into)
        case 4:
            return cramjam.zstd.decompress_into(packed, into)
    raise DecodeError(f"compression {compression} is unknown")


def _unpack_snappy(packed: memoryview, into: Any) -> int:
    if packed[: len(_XERIAL)] != _XERIAL:
        return cramjam.snappy.decompress_raw_into(packed, into)
    # Java's framing: a magic, two versions, then blocks with their lengths.
    position, used = len(_XERIAL) + 8, 0
    while position < len(packed):
        (length,) = struct.unpack_from(">i", packed, position)
        position += 4
        if not 0 <= length <= len(packed) - position:
            raise ValueError("a block is cut")
        used += cramjam.snappy.decompress_raw_into(packed[position : position + length], into[used:])
        position += length
    return used
