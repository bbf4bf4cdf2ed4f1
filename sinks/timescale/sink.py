"""Market data into its tables, each record once, in the transaction that moves the offsets."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import ClassVar, Final

import numpy as np

from infra import metrics
from infra.range_set import RangeSet
from infra.settings import SinkSettings
from schemas import topics
from schemas.records import Signal, Trade
from schemas.topics import Topic
from sinks.database import Connection
from sinks.portion import Portion, Slice
from sinks.positions import Counts, PartitionRef
from sinks.sink import Sink
from sinks.storable import signal_fault
from sinks.timescale import signals
from sinks.timescale.instruments import Instruments
from sinks.timescale.latency import observe_all
from sinks.timescale.partitions import Partitions
from sinks.timescale.seen_ids import Market, SeenIds, Verdict
from sinks.timescale.stage import (
    ByInstrument,
    copy,
    insert_missing,
    insert_newest,
    make_stages,
    revise,
)
from sinks.timescale.tables import CANDLES, INDICATORS, QUOTES, TRADES, Table

SIGNALS_TABLE: Final = "market_signals"
LABELS: Final = {
    topics.TRADES.name: "trades",
    topics.QUOTES.name: "quotes",
    topics.CANDLES.name: "candles",
    topics.INDICATORS.name: "indicators",
    topics.SIGNALS.name: "signals",
}
"""Names of the views, for the metric of rows stored."""


class TimescaleSink(Sink):
    """Stores market data.

    What is the same: a trade by its venue's running number, else by (instrument, time, trade id); a quote by
    its number, of which only newer ones are taken, else by (instrument, time, receive time); a candle or an
    indicator by its key, in the newest revision; a signal by its key.

    Args:
        settings: Whether quotes are stored.
    """

    name: ClassVar[str] = "timescale"

    def __init__(self, settings: SinkSettings) -> None:
        self._tables = [TRADES, *([QUOTES] if settings.quotes else []), CANDLES, INDICATORS]
        self._instruments = Instruments()
        self._partitions = Partitions()
        self._seen = SeenIds()
        self._pending: dict[Market, RangeSet] = {}
        self._stages_of: Connection | None = None

    @property
    def topics(self) -> Sequence[Topic]:
        """Topics of the tables."""
        return [*(table.topic for table in self._tables), topics.SIGNALS]

    def inspect(self, slice_: Slice) -> None:
        """Refuse times, texts and numbers that the tables cannot hold."""
        if slice_.ref.topic == topics.SIGNALS.name:
            slice_.decode(Signal, signal_fault)
        for table in self._tables:
            if slice_.ref.topic == table.topic.name:
                table.inspect(slice_)

    async def restore(self, db: Connection, refs: Sequence[PartitionRef]) -> None:
        """Load the ids seen in partitions."""
        await self._seen.load(db, refs)
        await self._partitions.load(db)

    async def prepare(self, db: Connection, portion: Portion) -> None:
        """Make the temporary tables, instruments and partitions that the rows need."""
        if self._stages_of is not db:
            await make_stages(db, self._tables)
            self._stages_of = db
        for table in self._tables:
            for slice_ in portion.of(table.topic):
                kept = slice_.kept(table.record)
                if kept.any():
                    await self._instruments.ensure(db, slice_, table.record)
                    await self._partitions.ensure(db, table.name, table.row_times(slice_)[kept])
        found = _signals(portion)
        if found:
            await self._instruments.ensure_names(db, {(s.venue, s.symbol) for s in found})
            opened = np.array([s.open_time for s in found], np.int64)
            await self._partitions.ensure(db, SIGNALS_TABLE, opened)

    async def write(self, db: Connection, portion: Portion) -> dict[PartitionRef, Counts]:
        """Store the rows that are new."""
        self._pending = {}
        counts: dict[PartitionRef, Counts] = {}
        for table in self._tables:
            slices = [s for s in portion.of(table.topic) if s.kept(table.record).any()]
            if slices:
                store = self._store_newest if table.revised else self._store_once
                counts |= await store(db, table, slices)
        await self._seen.save(db, self._pending)
        for slice_ in portion.of(topics.SIGNALS):
            found = [record for _, record in slice_.decoded if isinstance(record, Signal)]
            if found:
                stored = await signals.store(db, found, self._instruments)
                counts[slice_.ref] = Counts(stored=stored, repeated=len(found) - stored)
        return counts

    async def _store_once(
        self, db: Connection, table: Table, slices: Sequence[Slice]
    ) -> dict[PartitionRef, Counts]:
        judge = self._seen.judge_trades if table is TRADES else self._seen.judge_quotes
        counts: dict[PartitionRef, Counts] = {}
        parts = []
        doubts: list[tuple[Slice, Verdict]] = []
        for slice_ in slices:
            instruments = self._instruments.ids(slice_, table.record)
            kept = slice_.kept(table.record)
            sequence = slice_.columns.column(table.record, "sequence")
            verdict = judge(
                slice_.ref, instruments, sequence, slice_.columns.valid(table.record, "sequence"), kept
            )
            stored = int(verdict.new.sum())
            counts[slice_.ref] = Counts(stored=stored, repeated=int(kept.sum()) - stored)
            self._pending |= verdict.seen
            if stored:
                parts.append(table.rows(slice_, instruments, verdict.new))
            if verdict.doubtful.any():
                doubts.append((slice_, verdict))
        if parts:
            await copy(db, table, parts)
        if doubts:
            await self._store_doubtful(db, table, doubts, counts)
        return counts

    async def _store_doubtful(
        self,
        db: Connection,
        table: Table,
        doubts: Sequence[tuple[Slice, Verdict]],
        counts: Mapping[PartitionRef, Counts],
    ) -> None:
        """Rows without a number, or with one too old to be remembered: the table is asked."""
        parts = [
            table.rows(slice_, self._instruments.ids(slice_, table.record), verdict.doubtful)
            for slice_, verdict in doubts
        ]
        await copy(db, table, parts, staged=True)
        times = np.concatenate([table.row_times(slice_)[verdict.doubtful] for slice_, verdict in doubts])
        inserted = await insert_missing(db, table, times)
        for ref, count in self._by_partition(table, [slice_ for slice_, _ in doubts], inserted).items():
            counts[ref].stored += count
            counts[ref].repeated -= count

    async def _store_newest(
        self, db: Connection, table: Table, slices: Sequence[Slice]
    ) -> dict[PartitionRef, Counts]:
        parts, times = [], []
        revisions = False
        for slice_ in slices:
            kept = slice_.kept(table.record)
            parts.append(table.rows(slice_, self._instruments.ids(slice_, table.record), kept))
            times.append(table.row_times(slice_)[kept])
            revisions |= bool(slice_.columns.column(table.record, "revision")[kept].any())
        await copy(db, table, parts, staged=True)
        revised = await revise(db, table, np.concatenate(times)) if revisions else {}
        inserted = await insert_newest(db, table)
        stored_by = self._by_partition(table, slices, inserted)
        revised_by = self._by_partition(table, slices, revised)
        counts = {}
        for slice_, rows in zip(slices, times, strict=True):
            stored, changed = stored_by.get(slice_.ref, 0), revised_by.get(slice_.ref, 0)
            counts[slice_.ref] = Counts(stored, changed, len(rows) - stored - changed)
        return counts

    def _by_partition(
        self, table: Table, slices: Sequence[Slice], rows: ByInstrument
    ) -> dict[PartitionRef, int]:
        """Numbers of rows by partition: each instrument stands in one."""
        left = dict(rows)
        found: dict[PartitionRef, int] = {}
        for slice_ in slices:
            own = np.unique(self._instruments.ids(slice_, table.record)).tolist()
            found[slice_.ref] = sum(left.pop(instrument, 0) for instrument in own)
        return found

    def committed(self, portion: Portion, counts: Mapping[PartitionRef, Counts]) -> None:
        """Remember the ids, and count."""
        self._seen.adopt(self._pending)
        self._pending = {}
        now_us = time.time_ns() // 1000
        for slice_ in portion.of(topics.TRADES):
            received = slice_.columns.column(Trade, "receive_time")[slice_.kept(Trade)]
            observe_all(metrics.STORED_LATENCY, (now_us - received) / 1e6)
        for ref, count in counts.items():
            metrics.ROWS_STORED.labels(LABELS[ref.topic]).inc(count.stored)
            metrics.REPEATS_SKIPPED.labels("sink", LABELS[ref.topic]).inc(count.repeated)


def _signals(portion: Portion) -> list[Signal]:
    return [
        record
        for slice_ in portion.of(topics.SIGNALS)
        for _, record in slice_.decoded
        if isinstance(record, Signal)
    ]
