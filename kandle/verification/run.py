"""Topics, tables and recomputed candles against each other; see `docs/verify-and-repair.md`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final

from infra.comparison import Comparison, compare
from infra.kafka.admin import Admin
from infra.keyed_rows import Rows
from infra.settings import Settings
from kandle.times import format_time
from kandle.verification import stored
from kandle.verification.recomputed import Passed, note_marks, recompute, without_history
from kandle.verification.stored import AnyColumns, AnyTable, Db, Range
from kandle.verification.topic_rows import TopicRows, held_from, new_reader, slices
from schemas.errors import ConfigurationError, ConflictError
from schemas.topics import Topic
from sinks.timescale.row_tables import ROW_TABLES
from sinks.timescale.tables import CANDLES, TABLES, TRADES

TABLES_KNOWN: Final[tuple[AnyTable, ...]] = (*TABLES, *ROW_TABLES)
NOT_DERIVED: Final = ("revision", "backfilled")
"""Columns of a candle that do not follow from its trades: how often it was written, and by whom."""

Progress = Callable[[str, int, int], None]
"""Called with what is being read, the records read of it and how many there are."""


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

    Memory: the rows of one partition and of one table in the range, about 100 bytes each on either side.

    Args:
        settings: Where Kafka and the database are, and what the workers compute.
        range_: Which rows are looked at.
        progress: Is told what is being read.
    """

    def __init__(self, settings: Settings, range_: Range, progress: Progress) -> None:
        self._settings = settings
        self._range = range_
        self._progress = progress
        self._admin = Admin(settings.kafka)
        self._counts = self._admin.partition_counts()
        self._reader = new_reader()

    async def run(self, db: Db, tables: Sequence[AnyTable]) -> list[Check]:
        """Compare these tables with their topics, and candles with trades.

        Raises:
            ConflictError: A table was filled from another topic, or records are gone that were never stored.
            UnavailableError: Kafka or the database does not answer.
        """
        present = [table for table in tables if table.topic.name in self._counts]
        checks = [await self._table(db, table) for table in present]
        if CANDLES in tables and {CANDLES.topic.name, TRADES.topic.name} <= self._counts.keys():
            checks.append(await self._candles(db))
        return checks

    async def _table(self, db: Db, table: AnyTable) -> Check:
        check = Check(table.view, "topic and table")
        kafka_id = self._admin.topic_ids([table.topic.name])[table.topic.name]
        with stored.snapshot(db):
            offsets = stored.positions(db, table.topic.name, kafka_id)
            if not offsets:
                check.notes.append("no sink has stored anything of this topic")
                return check
            known = stored.instruments(db)
            columns = stored.columns_of(table, known)
            bounds = self._bounds(table.topic)
            instruments: set[int] = set()
            begins: list[int] = []
            for partition, (first, end) in bounds.items():
                stop = offsets.get(partition, first)
                if stop < first:
                    raise ConflictError(
                        f"{table.topic.name} partition {partition}: offsets {stop} to {first} are gone from "
                        "the log and were never stored"
                    )
                check.not_stored_yet += end - stop
                range_, vouched = await self._held(table.topic, partition, first, stop, check)
                begins += [] if range_.since is None else [range_.since]
                taken = TopicRows(columns, known, range_)
                await self._read(table.topic, partition, first, stop, taken)
                expected = columns.settled(taken.rows())
                own = sorted(taken.instruments)
                instruments |= taken.instruments
                of = own if _has_instruments(columns) else None
                found = stored.rows(db, columns, range_, of=self._of(of, known.numbers_of))
                check.comparison.add(_compared(columns, expected, found, vouched))
            if _has_instruments(columns) and table.topic.cleanup == "delete":
                # What no partition knows at all.
                range_ = self._range.from_time(max(begins, default=None))
                strange = stored.rows(
                    db,
                    columns,
                    range_,
                    of=known.numbers_of(range_.symbols) if range_.symbols else None,
                    not_of=sorted(instruments),
                )
                check.comparison.add(_compared(columns, Rows({}), strange, True))
        return check

    def _of(
        self, own: list[int] | None, numbers_of: Callable[[frozenset[str]], list[int]]
    ) -> list[int] | None:
        """Instruments of a partition that are wanted; None: all of the table."""
        if own is None or not self._range.symbols:
            return own
        return sorted(set(own) & set(numbers_of(self._range.symbols)))

    async def _held(
        self, topic: Topic, partition: int, first: int, end: int, check: Check
    ) -> tuple[Range, bool]:
        """The part of the range that the log can speak of, and whether what it does not say is wrong."""
        if topic.cleanup == "compact":
            return self._range, False
        if first == 0:
            return self._range, True
        time = await held_from(self._settings.kafka, self._reader, topic, partition, first, end)
        if time is None:
            return self._range, False
        if self._range.since is None or self._range.since < time:
            check.notes.append(
                f"partition {partition}: the log holds all from {format_time(time)} on; earlier rows were "
                "not looked at"
            )
        return self._range.from_time(time), True

    async def _read(
        self,
        topic: Topic,
        partition: int,
        first: int,
        end: int,
        taken: TopicRows,
        passed: Passed | None = None,
    ) -> None:
        what, read = f"{topic.name} {partition}", first

        def told(count: int) -> None:
            nonlocal read
            read += count
            self._progress(what, read - first, end - first)

        found = slices(self._settings.kafka, self._reader, topic, partition, first, end, told)
        async with aclosing(found):
            async for slice_ in found:
                taken.take(slice_)
                if passed is not None:
                    note_marks(slice_, passed)

    async def _candles(self, db: Db) -> Check:
        check = Check(CANDLES.view, "trades and topic")
        known = stored.instruments(db)
        columns = stored.columns_of(CANDLES, known)
        identity = columns.identity
        compared = [name for name in CANDLES.columns if name not in (*identity, *NOT_DERIVED)]
        # The candles first: of trades that come meanwhile none can be missed.
        candles = self._bounds(CANDLES.topic)
        for partition, (first, end) in candles.items():
            passed: Passed = {}
            trades_first, trades_end = self._bounds(TRADES.topic)[partition]
            own, _ = await self._held(CANDLES.topic, partition, first, end, check)
            range_, _ = await self._held(TRADES.topic, partition, trades_first, trades_end, check)
            range_ = range_.from_time(own.since)
            topic, made = TopicRows(columns, known, range_), TopicRows(columns, known, range_)
            await self._read(CANDLES.topic, partition, first, end, topic, passed)
            read = 0

            def told(count: int, partition: int = partition, whole: int = trades_end - trades_first) -> None:
                nonlocal read
                read += count
                self._progress(f"{TRADES.topic.name} {partition} for candles", read, whole)

            check.not_stored_yet += await recompute(
                self._settings, self._reader, made, partition, (trades_first, trades_end), passed, told
            )
            expected, found = columns.settled(made.rows()), columns.settled(topic.rows())
            expected, found = without_history(expected, found, identity)
            check.comparison.add(compare(expected, found, identity, compared=compared, shown=columns.shown))
        return check

    def _bounds(self, topic: Topic) -> dict[int, tuple[int, int]]:
        asked = [(topic.name, number) for number in range(self._counts[topic.name])]
        return {number: bounds for (_, number), bounds in self._admin.log_ranges(asked).items()}


def _has_instruments(columns: AnyColumns) -> bool:
    return any(cell.name == "instrument_id" for cell in columns.table.cells)


def _compared(columns: AnyColumns, expected: Rows, found: Rows, vouched: bool) -> Comparison:
    """A comparison; where the log does not hold all that the table may hold, nothing is unseen."""
    result = compare(expected, found, columns.identity, shown=columns.shown)
    if not vouched:
        result.unseen = 0
        result.examples = [example for example in result.examples if example.kind != "unseen"]
    return result
