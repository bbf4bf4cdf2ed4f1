"""What tests of flows share: records as a step reads them, in batches however they are cut."""

from collections.abc import Iterable, Sequence
from functools import cache

import numpy as np

from processors.flows.books import BookFlows
from processors.flows.quotes import QuoteFlows
from schemas import rows
from schemas.columns import ColumnReader
from schemas.identity import market_key
from schemas.key_table import KeyTable
from schemas.records import BookUpdate, Gap, IndicatorValue, Quote, TimeMark

Item = Quote | BookUpdate | TimeMark | Gap


@cache
def _reader() -> ColumnReader:
    return ColumnReader()


class Batches:
    """Reads records into columns, as a step does.

    Attributes:
        books: Books that were sampled so far, before each mark.
    """

    def __init__(self) -> None:
        self._keys = KeyTable()
        self.books: list[list[BookUpdate]] = []

    def fold(
        self, state: QuoteFlows | BookFlows, items: Sequence[Item]
    ) -> list[tuple[TimeMark, list[IndicatorValue]]]:
        """Have a state take a batch; returns the marks with the values before them."""
        values = [rows.encode(item) for item in items]
        keys = [
            None if isinstance(item, TimeMark) else market_key(item.venue, item.symbol).encode()
            for item in items
        ]
        data, starts, lengths = _joined(values)
        key_data, key_starts, key_lengths = _joined(keys)
        columns = _reader().read(data, starts, lengths)
        key_ids = self._keys.intern(key_data, key_starts, key_lengths)
        folded = state.fold(columns, self._keys.keys, key_ids)
        assert not folded.refused
        self.books += folded.books
        return folded.sampled


def _joined(parts: Sequence[bytes | None]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    lengths = np.array([-1 if part is None else len(part) for part in parts], np.int64)
    ends = np.cumsum(np.maximum(lengths, 0))
    data = np.frombuffer(b"".join(part or b"" for part in parts), np.uint8)
    return data, ends - np.maximum(lengths, 0), lengths


def fold_in_batches(
    state: QuoteFlows | BookFlows, items: Sequence[Item], cuts: Iterable[int]
) -> list[tuple[TimeMark, list[IndicatorValue]]]:
    """All marks with the values before them, of batches that end at the cuts."""
    batches, sampled, start = Batches(), [], 0
    for end in [*sorted(set(cuts)), len(items)]:
        sampled += batches.fold(state, items[start:end])
        start = end
    return sampled
