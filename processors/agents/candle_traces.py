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
        self._latest: tuple[str, int, SpanContext] | None = None
        """The last sampled trade since the last mark: key, event time, span."""
        self._kept: dict[tuple[int, int, int], SpanContext] = {}
        """Trades by the candles that they lie in: symbol, interval and open time; the oldest first."""
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
        ends = np.searchsorted(candles.mark_rows, marks, "right").tolist()
        columns = candles.symbols, candles.interval_ids, candles.open_times
        places = list(zip(*(column.tolist() for column in columns), strict=True))
        seen = first = 0
        for count, end in zip(before, ends, strict=True):
            if count > seen:
                self._note(sampled, count - 1, batch)
                self._passed += count - seen
                seen = count
            self._keep(candles)
            for place in range(first, end):
                if (trade := self._kept.get(places[place])) is not None:
                    continued[place] = trade.child(_about(candles, place)), trade
            first = end
        if len(sampled) > seen:
            self._note(sampled, len(sampled) - 1, batch)
            self._passed += len(sampled) - seen
        return continued

    def _note(self, sampled: SampledRecords, index: int, batch: CandleRows) -> None:
        row = int(sampled.rows[index])
        context = sampled.context(index)
        if context is not None and batch.kinds[row] == RowKind.TRADE and batch.key_ids[row] >= 0:
            self._latest = batch.keys[batch.key_ids[row]], int(batch.times[row]), context

    def _keep(self, candles: CandleColumns) -> None:
        """Keep the last trade before a mark, for its candle of each interval."""
        if self._latest is None:
            return
        key, at, context = self._latest
        self._latest = None
        is_paced = self._kept_at is not None and self._every_us > 0
        if is_paced and (at - (self._kept_at or 0) < self._every_us or self._passed < LEAST_BETWEEN):
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
