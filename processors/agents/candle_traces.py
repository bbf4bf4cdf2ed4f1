"""Which trace a closed candle continues.

Now and then the last sampled trade before a mark of a partition is kept; a candle continues the newest of
those that lies in it. So it does not depend on how the log was cut into batches, and what a backlog costs is
bounded by its time and by its trades. What is kept is in no checkpoint: after a restart, candles that were
open continue no trace of before.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final, TypeAlias

import numpy as np

from infra.kafka.outgoing_records import OutgoingRecords
from infra.tracing import HEADER, Kind, SampledRecords, Span, SpanContext, Tracer, published
from processors.candles.batches import CandleColumns, CandleRows, RowKind

MOST_KEPT: Final = 1_024
"""Candles of a partition whose trades are kept: those of its last minutes."""

LEAST_BETWEEN: Final = 64
"""Sampled trades from one that is kept to the next: bounds the cost where little is traded."""

Continued: TypeAlias = dict[int, tuple[SpanContext, SpanContext]]
"""By the place of a candle: its own span, and that of the trade."""


class CandleTraces:
    """The sampled trades of one partition, as far as candles may continue them.

    Args:
        every_us: Event time between two that are kept, at least; then `LEAST_BETWEEN` sampled trades have to
            lie between them as well. 0: the last before each mark.
    """

    def __init__(self, every_us: int) -> None:
        self._every_us = every_us
        self._kept_at: int | None = None
        self._passed = 0
        self._latest: tuple[str, int, bytes] | None = None
        """The last sampled trade since the last mark: key, event time, header."""
        self._kept: dict[tuple[int, int, int], SpanContext] = {}
        """Trades by the open candles that they lie in: symbol, interval and open time; the oldest first."""
        self._keys: Sequence[str] = ()
        self._symbols: dict[str, int] = {}

    def fold(self, sampled: SampledRecords, batch: CandleRows, candles: CandleColumns) -> Continued:
        """Take in a batch, and what its marks have closed.

        Args:
            sampled: The sampled records of the batch.
            batch: The batch.
            candles: In the order of the marks that have closed them.
        """
        continued: Continued = {}
        if not len(sampled) and self._latest is None and not self._kept:
            return continued
        marks = np.array(sorted(batch.marks), np.int64)
        before = np.searchsorted(sampled.rows, marks).tolist()
        firsts = np.searchsorted(candles.mark_rows, marks).tolist()
        seen = done = 0
        for count, first in zip(before, firsts, strict=True):
            seen = self._note(sampled, seen, count, batch)
            latest, self._latest = self._latest, None
            if latest is not None and self._is_due(latest[1]):
                self._match(candles, done, first, continued)
                done = first
                self._keep(latest, candles)
        self._note(sampled, seen, len(sampled), batch)
        self._match(candles, done, len(candles), continued)
        return continued

    def _note(self, sampled: SampledRecords, seen: int, count: int, batch: CandleRows) -> int:
        """Pass the sampled records up to `count`, of which the last may be kept."""
        if count > seen:
            self._passed += count - seen
            row = int(sampled.rows[count - 1])
            if batch.kinds[row] == RowKind.TRADE and batch.key_ids[row] >= 0:
                header = sampled.found.values.value(count - 1) or b""
                self._latest = batch.keys[batch.key_ids[row]], int(batch.times[row]), header
        return count

    def _is_due(self, at: int) -> bool:
        if self._kept_at is None or not self._every_us:
            return True
        return at - self._kept_at >= self._every_us and self._passed >= LEAST_BETWEEN

    def _keep(self, latest: tuple[str, int, bytes], candles: CandleColumns) -> None:
        """Keep a trade for its candle of each interval."""
        key, at, header = latest
        context = SpanContext.read(header)
        if context is None or not context.sampled:
            return
        self._kept_at, self._passed = at, 0
        if self._keys is not candles.keys:
            # Numbers of symbols are the builder's: with another one, after a restart, they are others.
            self._keys, self._symbols = candles.keys, {}
            self._kept.clear()
        for symbol in range(len(self._symbols), len(candles.keys)):
            self._symbols[candles.keys[symbol]] = symbol
        if key not in self._symbols:
            return
        for number, interval in enumerate(candles.intervals):
            place = self._symbols[key], number, interval.open_time(at)
            self._kept.pop(place, None)
            self._kept[place] = context
        while len(self._kept) > MOST_KEPT:
            del self._kept[next(iter(self._kept))]

    def _match(self, candles: CandleColumns, first: int, end: int, continued: Continued) -> None:
        """Find the candles, of these, that kept trades lie in; a trade is let go with its candle."""
        if first == end or not self._kept:
            return
        symbols, numbers = candles.symbols[first:end], candles.interval_ids[first:end]
        opens = candles.open_times[first:end]
        for symbol, number, open_time in list(self._kept):
            hits = (opens == open_time) & (symbols == symbol) & (numbers == number)
            if hits.any():
                trade = self._kept.pop((symbol, number, open_time))
                place = first + int(hits.argmax())
                continued[place] = trade.child(_about(candles, place)), trade


def _about(candles: CandleColumns, place: int) -> str:
    interval = candles.intervals[candles.interval_ids[place]]
    return f"candle {interval.name} {candles.open_times[place]} {candles.revisions[place]}"


def with_traces(records: OutgoingRecords, continued: Continued) -> OutgoingRecords:
    """Records of candles with the header of what they continue."""
    if not continued:
        return records
    return records.with_headers(
        {place: [(HEADER, own.traceparent.encode())] for place, (own, _) in continued.items()}
    )


def put_candles(
    tracer: Tracer, candles: CandleColumns, continued: Continued, topic: str, partition: int, began_ns: int
) -> None:
    """Take the spans of candles that were handed to Kafka, from the fold on."""
    ended_ns = time.time_ns()
    of_all = published(topic, partition)
    for place, (own, trade) in continued.items():
        attributes = {
            **of_all,
            "kandle.symbol": candles.names[candles.symbols[place]][1],
            "kandle.interval": candles.intervals[candles.interval_ids[place]].name,
            "kandle.open_time": int(candles.open_times[place]),
        }
        name = f"publish {topic}"
        tracer.put(Span(name, own, trade.span_id, began_ns, ended_ns, Kind.PRODUCER, attributes))
