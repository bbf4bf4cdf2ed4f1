"""Topics, tables and recomputed candles against each other; see `docs/verify-and-repair.md`."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from infra.comparison import Comparison, compare
from infra.keyed_rows import Rows, without
from infra.settings import Settings
from kandle.times import format_time
from kandle.verification import stored
from kandle.verification.known_instruments import KnownInstruments
from kandle.verification.logs import Held, Logs, Progress
from kandle.verification.recomputed import recompute, without_history
from kandle.verification.stored import AnyColumns, AnyTable, Range
from kandle.verification.topic_rows import TopicRows
from schemas.errors import ConfigurationError, ConflictError
from sinks.sessions import Db, snapshot
from sinks.timescale.row_tables import ROW_TABLES
from sinks.timescale.tables import CANDLES, TABLES, TRADES
from sinks.timescale.upkeep import retention

TABLES_KNOWN: Final[tuple[AnyTable, ...]] = (*TABLES, *ROW_TABLES)
NOT_DERIVED: Final = ("revision", "backfilled")
"""Columns of a candle that do not follow from its trades: how often it was written, and by whom."""

DAY_US: Final = 86_400_000_000


@dataclass(slots=True)
class Check:
    """One thing that was compared with another.

    Attributes:
        name: Name of the table's view, as trades.
        against: What with what.
        comparison: The outcome.
        not_stored_yet: Records of the topic that the sink has not come to; of recomputed candles, those that
            no worker has come to.
        notes: What could not be looked at, and why.
    """

    name: str
    against: str
    comparison: Comparison = field(default_factory=Comparison)
    not_stored_yet: int = 0
    notes: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        more = {"not_stored_yet": self.not_stored_yet, "notes": self.notes}
        return {"name": self.name, "against": self.against, **self.comparison.as_dict(), **more}

    def as_lines(self) -> Iterator[str]:
        """For people; nothing where there is nothing to say."""
        if self.comparison.expected or self.comparison.found or self.notes or self.not_stored_yet:
            yield from self.comparison.as_lines(f"{self.name}, {self.against}")
            if self.not_stored_yet:
                yield f"  {self.not_stored_yet:,} records are not stored yet"
            for note in self.notes:
                yield f"  {note}"


def chosen_tables(names: Sequence[str]) -> list[AnyTable]:
    """The tables of these names, by the name of the view or of the table; all if none is named.

    Raises:
        ConfigurationError: There is no such table.
    """
    by_name = {name: table for table in TABLES_KNOWN for name in (table.name, table.view)}
    unknown = [name for name in names if name not in by_name]
    if unknown:
        known = ", ".join(table.view for table in TABLES_KNOWN)
        raise ConfigurationError(f"there is no table {', '.join(unknown)}; there are {known}")
    found = [by_name[name] for name in names] or list(TABLES_KNOWN)
    return list({table.name: table for table in found}.values())


class Verification:
    """Compares tables one after the other; each as of one moment, while sinks and workers go on.

    Memory: the rows of one partition in the range, some 350 bytes each on both sides together.

    Args:
        settings: Where Kafka and the database are, and what the workers compute.
        range_: Which rows are looked at.
        progress: Is told what is being read.
    """

    def __init__(self, settings: Settings, range_: Range, progress: Progress) -> None:
        self._settings = settings
        self._range = range_
        self._retention_days = retention(settings.sink)
        self._logs = Logs(settings.kafka, progress)

    async def run(self, db: Db, tables: Sequence[AnyTable]) -> list[Check]:
        """Compare these tables with their topics, and candles with trades.

        Raises:
            ConflictError: A table was filled from another topic, or records are gone that were never stored.
            UnavailableError: Kafka or the database does not answer.
        """
        checks = [await self._table(db, table) for table in tables]
        if CANDLES in tables and self._logs.has(CANDLES.topic) and self._logs.has(TRADES.topic):
            checks.append(await self._candles(db))
        return checks

    async def _table(self, db: Db, table: AnyTable) -> Check:
        check = Check(table.view, "topic and table")
        if not self._logs.has(table.topic):
            check.notes.append(f"Kafka has no topic {table.topic.name}: nothing was compared")
            return check
        with snapshot(db):
            offsets = stored.positions(db, table.topic.name, self._logs.kafka_id(table.topic))
            if not offsets:
                bounds = self._logs.bounds(table.topic).values()
                check.not_stored_yet = sum(end - first for first, end in bounds)
                check.notes.append("no sink has stored anything of this topic")
                return check
            known = KnownInstruments(stored.instruments(db))
            replaced = stored.was_replaced(db, table.topic.name)
            columns = stored.columns_of(table, known)
            instruments: set[int] = set()
            begin, is_whole = self._range, True
            for partition, (first, end) in self._logs.bounds(table.topic).items():
                stop = offsets.get(partition, first)
                if stop < first:
                    raise ConflictError(
                        f"{table.topic.name} partition {partition}: offsets {stop} to {first} are gone from "
                        "the log and were never stored"
                    )
                check.not_stored_yet += end - stop
                held = await self._logs.held(table.topic, partition, first, stop, replaced=replaced)
                range_ = self._kept(table, self._held(partition, held, check))
                begin, is_whole = begin.from_time(range_.since), is_whole and held.is_whole
                taken = TopicRows(columns, known, range_, self._settings.sink.quotes_every_ms)
                await self._logs.read(table.topic, partition, first, stop, taken)
                instruments |= taken.instruments
                of = known.wanted(taken.instruments, range_.symbols) if columns.has_instruments else None
                found = stored.rows(db, columns, range_, of=of)
                expected = columns.settled(taken.rows())
                check.comparison.repeats += len(taken) - len(expected)
                check.comparison.add(_compared(columns, expected, found, held.is_whole))
            if columns.has_instruments:
                # What no partition knows at all.
                of = known.numbers_of(begin.symbols) if begin.symbols else None
                strange = stored.rows(db, columns, begin, of=of, not_of=sorted(instruments))
                check.comparison.add(_compared(columns, Rows({}), strange, is_whole))
        return check

    def _kept(self, table: AnyTable, range_: Range) -> Range:
        """Without what is so old that the sink may have dropped it."""
        days = self._retention_days.get(table.name)
        return range_ if days is None else range_.from_time(time.time_ns() // 1_000 - days * DAY_US)

    def _held(self, partition: int, held: Held, check: Check) -> Range:
        """The part of the range that the log can speak of."""
        if held.since is not None and (self._range.since is None or self._range.since < held.since):
            check.notes.append(
                f"partition {partition}: the log holds all from {format_time(held.since)} on; earlier rows "
                "were not looked at"
            )
        return self._range.from_time(held.since)

    async def _candles(self, db: Db) -> Check:
        check = Check(CANDLES.view, "trades and topic")
        known = KnownInstruments(stored.instruments(db))
        columns = stored.columns_of(CANDLES, known)
        compared = [name for name in CANDLES.columns if name not in (*columns.identity, *NOT_DERIVED)]
        # The candles first: of trades that come meanwhile none can be missed.
        for partition, candles in self._logs.bounds(CANDLES.topic).items():
            trades = self._logs.bounds(TRADES.topic)[partition]
            range_ = self._range
            for topic, bounds in ((CANDLES.topic, candles), (TRADES.topic, trades)):
                held = await self._logs.held(topic, partition, *bounds, replaced=False)
                range_ = range_.from_time(self._held(partition, held, check).since)
            written, tail, made, coming = (TopicRows(columns, known, range_) for _ in range(4))
            passed = await self._logs.read_to_mark(CANDLES.topic, partition, candles, written, tail)
            told = self._logs.told(f"{TRADES.topic.name} {partition} for candles", trades[1] - trades[0])
            await recompute(self._settings, self._logs.reader, made, coming, partition, trades, passed, told)
            check.not_stored_yet += len(coming.rows())
            # Candles after the last mark: a worker is about to write that mark, or somebody has mended some.
            mended = without(tail.rows(), coming.rows(), (*columns.identity, "revision", *compared))
            there = [rows for rows in (written.rows(), mended) if len(rows)]
            found = columns.settled(Rows.concatenated(there))
            expected = columns.settled(made.rows())
            expected, found = without_history(expected, found, columns.identity)
            check.comparison.add(
                compare(expected, found, columns.identity, compared=compared, shown=columns.shown)
            )
        return check


def _compared(columns: AnyColumns, expected: Rows, found: Rows, vouched: bool) -> Comparison:
    """A comparison; where the log does not hold all that the table may hold, nothing is unseen."""
    result = compare(expected, found, columns.identity, shown=columns.shown)
    if not vouched:
        result.unseen = 0
        result.examples = [example for example in result.examples if example.kind != "unseen"]
    return result
