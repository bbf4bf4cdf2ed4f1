"""Arrays that grow by need."""

from typing import Any

import numpy as np
import numpy.typing as npt


def grown(table: npt.NDArray[Any], rows: int = 0) -> npt.NDArray[Any]:
    """A copy of a table with at least twice its rows, and at least `rows`; the new ones are zero."""
    size = max(2 * len(table), rows)
    larger = np.zeros((size, *table.shape[1:]), table.dtype)
    larger[: len(table)] = table
    return larger


def aligned(rows: int, words: int) -> npt.NDArray[np.int64]:
    """A zeroed int64[rows, words] that begins at a cache line, so that rows lie across as few as can be."""
    line = 64
    memory = np.zeros(rows * words * 8 + line, np.uint8)
    start = -memory.ctypes.data % line
    return memory[start : start + rows * words * 8].view(np.int64).reshape(rows, words)
