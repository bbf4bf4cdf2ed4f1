"""Many byte strings in one buffer: what keys, values and texts are to a kernel."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Spans:
    """Byte strings by position; they may overlap, or be the same.

    Attributes:
        data: Bytes, contiguous.
        starts: Position of each in `data`.
        lengths: Bytes of each, -1: null.
    """

    data: Bytes
    starts: Int64s
    lengths: Int64s

    @classmethod
    def of(cls, values: Iterable[bytes | None]) -> Self:
        """Byte strings one after the other."""
        listed = list(values)
        lengths = np.array([-1 if value is None else len(value) for value in listed], np.int64)
        sizes = np.maximum(lengths, 0)
        data = np.frombuffer(b"".join([value or b"" for value in listed]), np.uint8)
        return cls(data, np.cumsum(sizes) - sizes, lengths)

    @classmethod
    def joined(cls, parts: Sequence["Spans"]) -> Self:
        """The spans of all parts, one after the other, over one new buffer."""
        if len(parts) == 1:
            return cls(parts[0].data, parts[0].starts, parts[0].lengths)
        moved = np.cumsum([0, *(part.data.size for part in parts[:-1])])
        return cls(
            np.concatenate([part.data for part in parts]),
            np.concatenate([part.starts + by for part, by in zip(parts, moved.tolist(), strict=True)]),
            np.concatenate([part.lengths for part in parts]),
        )

    def __len__(self) -> int:
        return int(self.starts.size)

    def take(self, rows: npt.NDArray[Any]) -> Self:
        """The spans of some rows, in their order, over the same buffer."""
        return type(self)(self.data, self.starts[rows], self.lengths[rows])

    def value(self, row: int) -> bytes | None:
        """One of them."""
        start, length = int(self.starts[row]), int(self.lengths[row])
        return None if length < 0 else self.data[start : start + length].tobytes()
