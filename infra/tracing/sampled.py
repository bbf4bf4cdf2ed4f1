"""The sampled records among those of a batch: those with a `traceparent` header that says so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from infra.kafka.record_batches import RawRecords
from infra.kafka.record_headers import HeaderRows, find_header
from infra.tracing.context import HEADER, SpanContext
from schemas.spans import Int64s

_NAME: Final = HEADER.encode()
_HEADER_BYTES: Final = 55
_ID_BEGINS: Final = np.arange(3, 11)
"""Where the first digits of the trace id stand in a header."""


@dataclass(frozen=True, slots=True)
class SampledRecords:
    """Records of a batch that are traced; headers are read when they are asked for.

    Attributes:
        records: The batch.
        found: Which of its records have the header.
    """

    records: RawRecords
    found: HeaderRows

    @classmethod
    def of(cls, records: RawRecords) -> Self:
        """Look through a batch: some microseconds where no record has headers."""
        return cls(records, find_header(records, _NAME))

    def __len__(self) -> int:
        return len(self.found)

    @property
    def rows(self) -> Int64s:
        """Rows of the records, ascending."""
        return self.found.rows

    def context(self, index: int) -> SpanContext | None:
        """The span that has published one of them; None: the header is not valid, or it is not sampled."""
        context = SpanContext.read(self.found.values.value(index))
        return context if context is not None and context.sampled else None

    def lowest(self, most: int) -> Iterator[tuple[int, SpanContext]]:
        """Row and publishing span of those with the lowest trace ids, in order: everywhere the same."""
        yield from self._read(self._lowest(most))

    def contexts(self) -> dict[int, SpanContext]:
        """Publishing spans by row: for topics whose records are few."""
        return dict(self._read(range(len(self))))

    def _lowest(self, most: int) -> Iterable[int]:
        values = self.found.values
        if len(self) <= most:
            return range(len(self))
        whole = np.flatnonzero(values.lengths >= _HEADER_BYTES)
        begins = values.data[values.starts[whole, None] + _ID_BEGINS]
        ranks = np.ascontiguousarray(begins).view(">u8").ravel()
        return sorted(whole[np.argsort(ranks, kind="stable")[:most]].tolist())

    def _read(self, indexes: Iterable[int]) -> Iterator[tuple[int, SpanContext]]:
        for index in indexes:
            context = self.context(index)
            if context is not None:
                yield int(self.rows[index]), context
