"""A replay against the live run: derived records by id and value, topics and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Final

import numpy as np

from infra.comparison import compare
from infra.keyed_rows import Rows
from infra.settings import Settings
from kandle.replays.bounds import Bounds, MarkedRows
from kandle.replays.memory import RULE, Series, memory_of
from kandle.times import format_time
from kandle.verification import stored
from kandle.verification.known_instruments import KnownInstruments
from kandle.verification.logs import Logs, Progress
from kandle.verification.run import Check
from kandle.verification.stored import AnyColumns, AnyTable, Range
from kandle.verification.table_columns import RecordColumns
from kandle.verification.topic_rows import TopicRows, slices
from processors.series.plan import SeriesPlan
from schemas.errors import ConfigurationError
from schemas.namespace import Namespace
from schemas.records import Record, TimeMark, Trade
from schemas.rows import decode
from schemas.topics import Topic
from sinks.sessions import Db
from sinks.timescale.row_tables import SIGNALS
from sinks.timescale.tables import BARS, CANDLES, INDICATORS, TRADES

DERIVED: Final[tuple[AnyTable, ...]] = (CANDLES, BARS, INDICATORS, SIGNALS)
"""What workers make of trades; all else that a replay holds came from the live topics as it is."""
NAMED_BY: Final = {INDICATORS.name: "name", SIGNALS.name: RULE}
"""What may depend on candles from before the replay's begin, and the column that says of what it is."""
AT_ONCE: Final = 20
"""Instruments whose rows of a table are held at a time."""
AGAINST_TOPICS: Final = "live topic and replay"
AGAINST_TABLES: Final = "live table and replay"


class ReplayComparison:
    """Compares what a replay has made with what the live run has made of the same records.

    Memory: the rows of one topic, or of some markets of a table, on both sides, some 350 bytes each.

    Args:
        settings: Where Kafka and the database are; how long after its end a candle closes.
        live: Namespace of the live run.
        replay: Namespace of the replay.
        range_: Which rows are looked at.
        progress: Is told what is being read.
    """

    def __init__(
        self, settings: Settings, live: Namespace, replay: Namespace, range_: Range, progress: Progress
    ) -> None:
        self._settings = settings
        self._live = live
        self._replay = replay
        self._range = range_
        self._logs = Logs(settings.kafka, progress)
        self._known = KnownInstruments([])
        self._series: Series | None = None
        self._instruments: set[int] = set()

    async def run(self, live: Db, replay: Db) -> list[Check]:
        """Compare topics, then tables.

        Where a replay begins in the midst of the live run, or that began with a venue's history, values and
        signals are compared from where on what was before is forgotten; some never are.

        Args:
            live: A connection to the tables of the live run.
            replay: A connection to those of the replay.

        Raises:
            ConfigurationError: One of the runs has no topics.
            UnavailableError: Kafka or the database does not answer.
        """
        for namespace in (self._live, self._replay):
            if not self._logs.has(CANDLES.topic.in_namespace(namespace)):
                raise ConfigurationError(f"Kafka has no topics of {namespace}: there is nothing to compare")
        self._known.learn(stored.instruments(live))
        renumbered = {number: self._known.id_of(*name) for number, *name in stored.instruments(replay)}
        columns = stored.columns_of(CANDLES, self._known)
        theirs = [MarkedRows(columns, self._known, self._range) for _ in self._partitions(self._live)]
        ours = [MarkedRows(columns, self._known, self._range) for _ in self._partitions(self._replay)]
        await self._read(CANDLES.topic.in_namespace(self._live), theirs)
        await self._read(CANDLES.topic.in_namespace(self._replay), ours)
        history = any(bool(each.rows().columns["backfilled"].values.any()) for each in theirs if len(each))
        from_the_start = not history and await self._begins_alike()
        bounds = Bounds.of(
            theirs, ours, self._settings.processors.grace_ms * 1_000, from_the_start=from_the_start
        )
        checks = [self._compared(columns, theirs, ours, bounds)]
        if not from_the_start:
            # The rest of the checks has the same bounds.
            checks[0].notes += [
                f"{venue}: rows from {format_time(time)} on were compared: the replay begins there"
                for venue, time in sorted(bounds.since.items())
                if venue in bounds.reached
            ]
            plan = SeriesPlan.of_settings(self._settings.processors)
            seen = self._comparable(columns, _together(columns, ours), bounds)
            self._series = Series(seen, memory_of(plan, self._settings.processors.intervals))
        checks += [await self._topics(table, bounds) for table in DERIVED if table is not CANDLES]
        checks += [self._tables(table, live, replay, renumbered, bounds) for table in (TRADES, *DERIVED)]
        return checks

    def _partitions(self, namespace: Namespace) -> Sequence[int]:
        return sorted(self._logs.bounds(CANDLES.topic.in_namespace(namespace)))

    async def _read(self, topic: Topic, taken: Sequence[TopicRows]) -> None:
        for partition, (first, end) in self._logs.bounds(topic).items():
            await self._logs.read(topic, partition, first, end, taken[partition])
            self._instruments |= taken[partition].instruments

    async def _topics(self, table: AnyTable, bounds: Bounds) -> Check:
        columns = stored.columns_of(table, self._known)
        sides = {}
        for namespace in (self._live, self._replay):
            taken = [TopicRows(columns, self._known, self._range) for _ in self._partitions(namespace)]
            await self._read(table.topic.in_namespace(namespace), taken)
            sides[namespace] = taken
        return self._compared(columns, sides[self._live], sides[self._replay], bounds)

    def _compared(
        self,
        columns: AnyColumns,
        theirs: Sequence[TopicRows],
        ours: Sequence[TopicRows],
        bounds: Bounds,
    ) -> Check:
        check = Check(columns.table.view, AGAINST_TOPICS)
        if self._series is not None and columns.table.name in NAMED_BY:
            check.notes += self._series.notes(NAMED_BY[columns.table.name])
        expected, found = (columns.settled(_together(columns, side)) for side in (theirs, ours))
        self._add(check, columns, expected, found, bounds)
        return check

    def _tables(
        self, table: AnyTable, live: Db, replay: Db, renumbered: dict[int, int], bounds: Bounds
    ) -> Check:
        check = Check(table.view, AGAINST_TABLES)
        columns = stored.columns_of(table, self._known)
        there = {own: number for number, own in renumbered.items()}
        wanted = self._known.wanted(self._instruments, self._range.symbols)
        for at in range(0, len(wanted), AT_ONCE):
            chosen = wanted[at : at + AT_ONCE]
            expected = stored.rows(live, columns, self._range, of=chosen)
            found = stored.rows(
                replay, columns, self._range, of=[there[own] for own in chosen if own in there]
            )
            self._add(check, columns, expected, _renumbered(found, renumbered), bounds)
        return check

    def _add(self, check: Check, columns: AnyColumns, expected: Rows, found: Rows, bounds: Bounds) -> None:
        expected, found = (self._comparable(columns, rows, bounds) for rows in (expected, found))
        check.comparison.add(compare(expected, found, columns.identity, shown=columns.shown))

    def _comparable(self, columns: AnyColumns, rows: Rows, bounds: Bounds) -> Rows:
        if not len(rows):
            return rows
        mask = bounds.covered(rows, self._venue)
        if "backfilled" in rows.columns:
            mask &= ~rows.columns["backfilled"].values
        if self._series is not None and columns.table.name in NAMED_BY:
            mask &= self._series.forgotten(rows, NAMED_BY[columns.table.name])
        return rows.take(mask)

    def _venue(self, number: int) -> str:
        return self._known.name_of(number).partition(":")[0]

    async def _begins_alike(self) -> bool:
        """Whether the first records of both runs are the same ones in every partition of the trades."""
        firsts = []
        for namespace in (self._live, self._replay):
            topic = TRADES.topic.in_namespace(namespace)
            bounds = self._logs.bounds(topic)
            if any(first > 0 for first, _ in bounds.values()):
                return False
            firsts.append([await self._first(topic, number, end) for number, (_, end) in bounds.items()])
        return firsts[0] == firsts[1]

    async def _first(self, topic: Topic, partition: int, end: int) -> tuple[object, ...] | None:
        """What the first record of a partition tells, of which source it may be."""
        read = slices(
            self._settings.kafka, self._logs.reader, topic, partition, 0, min(end, 1), lambda _: None
        )
        async with aclosing(read) as found:
            async for slice_ in found:
                value = slice_.records.value(0)
                record: Record | None = None if value is None or not slice_.good[0] else decode(value)
                if isinstance(record, Trade):
                    return (record.venue, record.symbol, record.trade_id, record.event_time)
                if isinstance(record, TimeMark):
                    return (record.venue, record.time, record.final)
                return (type(record).__name__,)
        return None


def _together(columns: AnyColumns, taken: Sequence[TopicRows]) -> Rows:
    """The rows of all partitions."""
    if isinstance(columns, RecordColumns):
        return columns.rows([record for each in taken for record in each.records])
    return Rows.concatenated([rows for each in taken if len(rows := each.rows())])


def _renumbered(rows: Rows, numbers: Mapping[int, int]) -> Rows:
    """Rows with the numbers that the live run has for their instruments."""
    if not len(rows):
        return rows
    old = rows.columns["instrument_id"]
    theirs, back = np.unique(old.values, return_inverse=True)
    values = np.array([numbers[number] for number in theirs.tolist()], old.values.dtype)[back.reshape(-1)]
    return Rows({**rows.columns, "instrument_id": replace(old, values=values)})
