"""Some symbols of a source instead of all."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt

from backtest.replay.source import Portion, Step
from schemas.key_table import KeyTable
from schemas.records import TimeMark
from schemas.registry import BY_RECORD
from schemas.rows import HEADER, MAGIC
from schemas.spans import Bytes, Spans
from schemas.topics import ALERTS

MARK_HEAD: Final = np.frombuffer(HEADER.pack(MAGIC, BY_RECORD[TimeMark].schema_id), np.uint8)


class SymbolChoice:
    """Keeps the records of some symbols, all time marks and all alerts.

    Args:
        symbols: Symbols (`BTC/USDT`, at every venue) or keys (`binance:BTC/USDT`).
    """

    def __init__(self, symbols: Collection[str]) -> None:
        self._wanted = frozenset(symbols)
        self._keys = KeyTable()
        self._kept = np.zeros(0, np.bool_)

    def of(self, step: Step) -> Step:
        """The wanted part of a step."""
        return replace(step, portions=[self._of_portion(portion) for portion in step.portions])

    def _of_portion(self, portion: Portion) -> Portion:
        if portion.partition.topic == ALERTS.base_name:
            return portion
        codes = self._keys.intern(portion.keys.data, portion.keys.starts, portion.keys.lengths)
        known = self._keys.keys
        fresh = [self._is_wanted(key) for key in known[self._kept.size :]]
        self._kept = np.concatenate([self._kept, np.array(fresh, np.bool_)])
        # A null key has the code -1, so the last entry: it is never wanted by its key.
        kept = np.append(self._kept, False)[codes]
        kept[~kept] = begin_with(portion.values.take(~kept), MARK_HEAD)
        return portion if kept.all() else portion.take(kept)

    def _is_wanted(self, key: str) -> bool:
        return key in self._wanted or key.partition(":")[2] in self._wanted


def begin_with(values: Spans, head: Bytes) -> npt.NDArray[np.bool_]:
    """Which values begin with these bytes."""
    found: npt.NDArray[np.bool_] = values.lengths >= head.size
    places = np.where(found, values.starts, 0)[:, None] + np.arange(head.size)
    if found.any():
        found &= (values.data[np.minimum(places, values.data.size - 1)] == head).all(axis=1)
    return found
