"""Data that processes share without copying it: arrays stand in one file, which each of them maps."""

from __future__ import annotations

import mmap
import pickle
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

import numpy as np

from backtest.bars import Bars
from backtest.history import History

T = TypeVar("T")
ALIGNED: Final = 64
"""Bytes: where arrays begin."""


@dataclass(frozen=True, slots=True)
class Shared(Generic[T]):
    """What another process needs to have the same data; a few hundred bytes, however much there is.

    Attributes:
        path: File of the arrays; removed by who has made it.
        head: All but the arrays, pickled.
        spans: Where each array begins and ends, bytes.
    """

    path: Path
    head: bytes
    spans: Sequence[tuple[int, int]]

    def open(self) -> T:
        """The data; its arrays are read from the mapped file when they are needed. They cannot be changed."""
        whole = b""
        if self.path.stat().st_size:
            with self.path.open("rb") as file:
                whole = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)  # type: ignore[assignment]
        view = memoryview(whole)
        found: T = pickle.loads(self.head, buffers=[view[start:end] for start, end in self.spans])  # noqa: S301
        return found


def share(thing: T, path: Path) -> Shared[T]:
    """Write the arrays of something that can be pickled to a file. May block."""
    buffers: list[pickle.PickleBuffer] = []
    head = pickle.dumps(thing, protocol=5, buffer_callback=buffers.append)
    spans = []
    with path.open("wb") as file:
        for buffer in buffers:
            file.seek(-file.tell() % ALIGNED, 1)
            start = file.tell()
            file.write(buffer.raw())
            spans.append((start, file.tell()))
    return Shared(path, head, spans)


def in_columns(history: History) -> History:
    """The same history, its candles in arrays, which can be shared."""
    return replace(history, bars=[_arrays(each) for each in history.bars])


def _arrays(bars: Bars) -> Bars:
    names = ("opens", "highs", "lows", "closes", "volumes")
    columns: dict[str, Any] = {name: np.ascontiguousarray(getattr(bars, name), np.float64) for name in names}
    columns["open_times"] = np.ascontiguousarray(bars.open_times, np.int64)
    return replace(bars, **columns)
