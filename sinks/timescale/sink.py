"""Market data into its tables, each record once, in the transaction that moves the offsets."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Final

import numpy as np

from infra import metrics
from infra.metrics.columns import observe_ages
from infra.range_set import RangeSet
from infra.settings import SinkSettings
from schemas.records import Trade
from schemas.topics import Topic, topic_of
from sinks.database import Connection, Database
from sinks.portion import Portion, Slice
from sinks.positions import Counts, PartitionRef
from sinks.sink import Sink
from sinks.timescale import upkeep
from sinks.timescale.indexes import Indexes
from sinks.timescale.instruments import Instruments
from sinks.timescale.layout import check_layout
from sinks.timescale.partitions import BULK_ROWS, Partitions
from sinks.timescale.quote_samples import Held, QuoteSamples
from sinks.timescale.row_tables import ROW_TABLES, RowTable
from sinks.timescale.seen_ids import Market, SeenIds, Verdict
from sinks.timescale.stage import (
    ByInstrument,
    Part,
    copy,
    fill,
    insert_chosen,
    insert_missing,
    make_stages,
    revise,
)
from sinks.timescale.table import Int64s, Mask, Table
from sinks.timescale.tables import QUOTES, TABLES, TRADES
from sinks.timescale.venue_order import write_order

_ALL: Final[tuple[Table | RowTable[Any], ...]] = (*TABLES, *ROW_TABLES)
LABELS: Final = {table.topic.base_name: table.view for table in _ALL}
"""Names of the views by base names of topics, for the metric of rows stored."""


class TimescaleSink(Sink):
    """Stores what the topics hold; the tables say what a repeat is, and what becomes of it.

    Args:
        settings: Whether quotes are stored, and how many; which venue comes first; how the tables are kept.
        database: For the upkeep of the tables, which has a connection of its own.
    """

    name: ClassVar[str] = "timescale"

    def __init__(self, settings: SinkSettings, database: Database) -> None:
        self._tables = [table for table in TABLES if settings.quotes or table is not QUOTES]
        self._all: list[Table | RowTable[Any]] = [*self._tables, *ROW_TABLES]
        self._by_topic = {table.topic.name: table for table in self._all}
        self._instruments = Instruments()
        self._partitions = Partitions(upkeep.retention(settings))
        self._indexes = Indexes()
        self._upkeep = upkeep.Upkeep(database, settings, self._partitions)
        self._direct = settings.direct_compression
        self._seen = SeenIds()
        self._samples = QuoteSamples(settings.quotes_every_ms)
        self._held: dict[Market, Held] = {}
        self._released: list[Market] = []
        self._venue_order = settings.venue_order
        self._pending: dict[Market, RangeSet] = {}
        self._staged: set[str] = set()
        self._connection: Connection | None = None

    @property
    def topics(self) -> Sequence[Topic]:
        """Topics of the tables."""
        return [table.topic for table in self._all]

    def inspect(self, slice_: Slice) -> None:
        """Refuse times, texts and numbers that the tables cannot hold."""
        self._by_topic[slice_.ref.topic].inspect(slice_)

    async def restore(self, db: Connection, refs: Sequence[PartitionRef]) -> None:
        """Load the ids seen in partitions, and see that the tables hold their records.

        Raises:
            ConflictError: A field has no column, or a column no field.
        """
        await check_layout(db, self._all)
        await write_order(db, self._venue_order)
        await self._seen.load(db, refs)
        await self._samples.load(db, refs)
        await self._partitions.load(db)

    async def prepare(self, db: Connection, portion: Portion) -> None:
        """Make the temporary tables, instruments, partitions and indexes that the rows need."""
        if self._connection is not db:
            # A new one comes after a failure: it may be that somebody has dropped a partition.
            await self._partitions.load(db)
            self._connection, self._staged = db, set()
        for table in self._tables:
            for slice_ in portion.of(table.topic):
                kept = slice_.kept(table.record)
                if kept.any():
                    await self._stage(db, table)
                    await self._instruments.ensure(db, slice_, table.record)
                    times = table.row_times(slice_)
                    await self._partitions.ensure(db, table.name, times[kept])
                    if self._store_of(table) == self._store_once:
                        await self._indexes.ensure(db, table.name, times[self._asked(table, slice_)])
        quoted = [slice_.ref for slice_ in portion.of(QUOTES.topic)]
        await self._partitions.ensure(db, QUOTES.name, self._samples.times(quoted))
        for rows in ROW_TABLES:
            await self._instruments.ensure_names(db, rows.names(portion))
            if rows.time is not None:
                found = [getattr(record, rows.time) for record in rows.found(portion.of(rows.topic))]
                await self._partitions.ensure(db, rows.name, np.array(found, np.int64))

    async def _stage(self, db: Connection, table: Table) -> None:
        # Each commit empties all of them, so there are no more than needed.
        if table.name not in self._staged:
            await make_stages(db, [table])
            self._staged.add(table.name)

    async def write(self, db: Connection, portion: Portion) -> dict[PartitionRef, Counts]:
        """Store the rows that are new."""
        self._pending, self._held, self._released = {}, {}, []
        counts: dict[PartitionRef, Counts] = {}
        for table in self._tables:
            slices = [s for s in portion.of(table.topic) if s.kept(table.record).any()]
            if slices:
                counts |= await self._store_of(table)(db, table, slices)
        await self._seen.save(db, self._pending)
        await self._samples.save(db, self._held)
        for rows in ROW_TABLES:
            for slice_ in portion.of(rows.topic):
                if slice_.decoded:
                    stored = await rows.store(db, slice_, self._instruments)
                    counts[slice_.ref] = Counts(stored=stored, repeated=len(slice_.decoded) - stored)
        return counts

    def _store_of(self, table: Table) -> Callable[..., Awaitable[dict[PartitionRef, Counts]]]:
        if table.repeats != "numbered":
            return self._store_by_key
        return self._store_sampled if table is QUOTES and self._samples.every_us else self._store_once

    async def _store_sampled(
        self, db: Connection, table: Table, slices: Sequence[Slice]
    ) -> dict[PartitionRef, Counts]:
        counts: dict[PartitionRef, Counts] = {}
        parts = []
        for slice_ in slices:
            instruments = self._instruments.ids(slice_, table.record)
            verdict = self._judge(table, slice_, instruments)
            sampled = self._samples.take(slice_, instruments, verdict)
            counts[slice_.ref] = sampled.counts
            self._pending |= verdict.seen
            self._held |= sampled.held
            parts += sampled.rows
        if parts:
            await copy(db, table, parts)
        return counts

    def _judge(self, table: Table, slice_: Slice, instruments: Int64s) -> Verdict:
        judge = self._seen.judge_trades if table is TRADES else self._seen.judge_quotes
        columns, record = slice_.columns, table.record
        sequence, valid = columns.column(record, "sequence"), columns.valid(record, "sequence")
        return judge(slice_.ref, instruments, sequence, valid, slice_.kept(record))

    def _asked(self, table: Table, slice_: Slice) -> Mask:
        """Rows that the table may have to be asked about: nothing remembered says whether they are new."""
        columns, record, kept = slice_.columns, table.record, slice_.kept(table.record)
        asked: Mask = kept & ~columns.valid(record, "sequence")
        if table is TRADES:
            numbered = np.flatnonzero(kept & ~asked)
            instruments = self._instruments.ids(slice_, record)[numbered]
            sequences = columns.column(record, "sequence")[numbered]
            asked[numbered] = self._seen.below_floor(slice_.ref, instruments, sequences)
        return asked

    async def _store_once(
        self, db: Connection, table: Table, slices: Sequence[Slice]
    ) -> dict[PartitionRef, Counts]:
        counts: dict[PartitionRef, Counts] = {}
        parts: list[Part] = []
        if table is QUOTES:
            parts[:], self._released = self._samples.release(slice_.ref for slice_ in slices)
            if self._released:
                await self._samples.remove(db, self._released)
        doubts: list[tuple[Slice, Verdict]] = []
        for slice_ in slices:
            instruments = self._instruments.ids(slice_, table.record)
            kept = slice_.kept(table.record)
            verdict = self._judge(table, slice_, instruments)
            stored = int(verdict.new.sum())
            counts[slice_.ref] = Counts(stored=stored, repeated=int(kept.sum()) - stored)
            self._pending |= verdict.seen
            if stored:
                parts.append(partial(table.rows, slice_, instruments, verdict.new))
            if verdict.doubtful.any():
                doubts.append((slice_, verdict))
        if parts:
            if self._direct and sum(count.stored for count in counts.values()) >= BULK_ROWS:
                # Segments of a small portion would hold a row or two.
                await db.execute("SET LOCAL timescaledb.enable_direct_compress_copy = on")
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
        parts: list[Part] = [
            partial(table.rows, slice_, self._instruments.ids(slice_, table.record), verdict.doubtful)
            for slice_, verdict in doubts
        ]
        await copy(db, table, parts, staged=True)
        times = np.concatenate([table.row_times(slice_)[verdict.doubtful] for slice_, verdict in doubts])
        inserted = await insert_missing(db, table, times, self._indexes.covers(table.name, times))
        asked = [(slice_, verdict.doubtful) for slice_, verdict in doubts]
        for ref, (stored,) in self._by_partition(table, asked, inserted).items():
            counts[ref].stored += stored
            counts[ref].repeated -= stored

    async def _store_by_key(
        self, db: Connection, table: Table, slices: Sequence[Slice]
    ) -> dict[PartitionRef, Counts]:
        asked = [(slice_, slice_.kept(table.record)) for slice_ in slices]
        parts: list[Part] = [
            partial(table.rows, slice_, self._instruments.ids(slice_, table.record), kept)
            for slice_, kept in asked
        ]
        await copy(db, table, parts, staged=True)
        times = np.concatenate([table.row_times(slice_)[kept] for slice_, kept in asked])
        changed: ByInstrument = {}
        if table.repeats == "newest" and any(_may_revise(table, slice_) for slice_ in slices):
            changed = await revise(db, table, times)
        elif table.repeats == "filled":
            changed = await fill(db, table, times)
        inserted = await insert_chosen(db, table)
        shares = self._by_partition(table, asked, inserted, changed)
        counts = {}
        for slice_, kept in asked:
            stored, revised = shares[slice_.ref]
            counts[slice_.ref] = Counts(stored, revised, int(kept.sum()) - stored - revised)
        return counts

    def _by_partition(
        self, table: Table, asked: Sequence[tuple[Slice, Mask]], *changes: ByInstrument
    ) -> dict[PartitionRef, list[int]]:
        """Numbers of changed rows by partition, of each kind of change.

        An instrument stands in one partition, or in two if its topic was given more of them; then no
        partition is said to have more rows than came of it.
        """
        left = [dict(rows) for rows in changes]
        found: dict[PartitionRef, list[int]] = {}
        for slice_, chosen in asked:
            ids, counts = np.unique(self._instruments.ids(slice_, table.record)[chosen], return_counts=True)
            shares = found[slice_.ref] = [0] * len(left)
            for instrument, room in zip(ids.tolist(), counts.tolist(), strict=True):
                for kind, rows in enumerate(left):
                    share = min(room, rows.get(instrument, 0))
                    rows[instrument] = rows.get(instrument, 0) - share
                    shares[kind] += share
                    room -= share
        return found

    async def serve(self) -> None:
        """Keep the tables in shape."""
        await self._upkeep.run()

    def committed(self, portion: Portion, counts: Mapping[PartitionRef, Counts]) -> None:
        """Remember the ids, and count."""
        self._seen.adopt(self._pending)
        self._samples.adopt(self._held, self._released)
        self._pending, self._held, self._released = {}, {}, []
        for slice_ in portion.of(TRADES.topic):
            kept = slice_.kept(Trade)
            received = slice_.columns.column(Trade, "receive_time")[kept]
            observe_ages(metrics.sinks.STORED_LATENCY, received)
            # What was asked for later is old when it comes: at the hops before it does not count either.
            live = kept & ~slice_.columns.column(Trade, "backfilled")
            happened = slice_.columns.column(Trade, "event_time")[live]
            observe_ages(metrics.stages.EVENT_AGE.labels("row"), happened)
        for ref, count in counts.items():
            label = LABELS[topic_of(ref.topic).base_name]
            metrics.sinks.ROWS_STORED.labels(label).inc(count.stored)
            metrics.stages.REPEATS_SKIPPED.labels("sink", label).inc(count.repeated)


def _may_revise(table: Table, slice_: Slice) -> bool:
    """Whether any of the rows can be newer than one that is stored: first revisions cannot."""
    if table.version != ("revision",):
        return True
    return bool(slice_.columns.column(table.record, "revision")[slice_.kept(table.record)].any())
