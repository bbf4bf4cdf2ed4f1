"""Which trace a closed candle continues.

Of the sampled trades between two marks of a partition the last one is kept; a candle continues the newest of
those that lies in it. So it does not depend on how the log was cut into batches, and the cost follows the
time in the log: a backlog of trades gives no more traces than its seconds. What is kept is not in
checkpoints: after a restart, candles that were open continue no trace of before.
"""

from __future__ import annotations

import time
from collections import deque
from typing import Final, TypeAlias

import numpy as np

from infra.kafka.outgoing_records import OutgoingRecords
from infra.tracing import HEADER, Kind, SampledRecords, Span, SpanContext, Tracer, published
from processors.candles.batches import CandleColumns, CandleRows, RowKind

MOST_KEPT: Final = 256
"""Trades of a partition that are kept: those of its last minutes."""

Continued: TypeAlias = dict[int, tuple[SpanContext, SpanContext]]
"""By the place of a candle: its own span, and that of the trade."""


class CandleTraces:
    """The sampled trades of one partition, as far as candles may continue them."""

    def __init__(self) -> None:
        self._latest: tuple[str, int, SpanContext] | None = None
        """The last sampled trade since the last mark: key, event time, span."""
        self._kept: dict[str, deque[tuple[int, SpanContext]]] = {}
        self._order: deque[str] = deque()

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
        ends = np.searchsorted(candles.mark_rows, marks, "right").tolist()
        seen = 0
        for count, first, end in zip(before, firsts, ends, strict=True):
            if count > seen:
                self._note(sampled, count - 1, batch)
                seen = count
            self._keep()
            for place in range(first, end) if self._kept else ():
                self._continue(candles, place, continued)
        if len(sampled) > seen:
            self._note(sampled, len(sampled) - 1, batch)
        return continued

    def _note(self, sampled: SampledRecords, index: int, batch: CandleRows) -> None:
        row = int(sampled.rows[index])
        context = sampled.context(index)
        if context is not None and batch.kinds[row] == RowKind.TRADE and batch.key_ids[row] >= 0:
            self._latest = batch.keys[batch.key_ids[row]], int(batch.times[row]), context

    def _keep(self) -> None:
        if self._latest is None:
            return
        key, at, context = self._latest
        self._latest = None
        self._kept.setdefault(key, deque()).append((at, context))
        self._order.append(key)
        if len(self._order) > MOST_KEPT:
            oldest = self._order.popleft()
            entries = self._kept[oldest]
            entries.popleft()
            if not entries:
                del self._kept[oldest]

    def _continue(self, candles: CandleColumns, place: int, continued: Continued) -> None:
        entries = self._kept.get(candles.keys[candles.symbols[place]])
        if not entries:
            return
        interval = candles.intervals[candles.interval_ids[place]]
        open_time = int(candles.open_times[place])
        for at, trade in reversed(entries):
            if open_time <= at < open_time + interval.length:
                about = f"candle {interval.name} {open_time} {candles.revisions[place]}"
                continued[place] = trade.child(about), trade
                return


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
