"""`kandle sink rebuild`: a range of a table made anew from its topic, in one transaction.

The topic is read first, up to where the sink has stored it. Then, in one transaction: the rows of the sink's
offsets are locked, what it has stored meanwhile is read as well, the rows of the range are deleted and those
of the topic are copied in. Offsets, and the ids that were seen, stay: the table holds what the sink would
have made of the same records. Readers see the old rows until the commit and the new ones after it. A sink
that runs waits for its offset rows, as it does for another sink: it tries again until they are free.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import psycopg
from psycopg import sql

from infra.keyed_rows import Rows
from infra.settings import Settings
from kandle.times import format_time
from kandle.verification import stored
from kandle.verification.known_instruments import KnownInstruments
from kandle.verification.logs import Logs, Progress
from kandle.verification.stored import SINK, AnyColumns, AnyTable, Range
from kandle.verification.table_columns import RecordColumns
from kandle.verification.topic_rows import TopicRows
from schemas.errors import ConfigurationError, ConflictError, UnavailableError
from sinks.database import connect
from sinks.sessions import Db
from sinks.timescale.copy_binary import HEADER, TRAILER
from sinks.timescale.partitions import Partitions
from sinks.timescale.row_tables import AUDIT

LOCK_TIMEOUT_MS: Final = 60_000
"""A sink holds its offset rows for the length of a transaction."""


@dataclass(slots=True)
class Rebuilt:
    """What a rebuild has done.

    Attributes:
        removed: Rows of the range that stood in the table.
        written: Rows of the range that stand there now.
        notes: What was left alone, and why.
    """

    removed: int = 0
    written: int = 0
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Part:
    """One partition.

    Attributes:
        range_: The part of the range that its log holds.
        taken: Its rows.
        read: Offset up to which it was read.
    """

    range_: Range
    taken: TopicRows
    read: int


class Rebuild:
    """Refills a range of one table.

    Memory: the rows of the range, about 200 bytes each.

    Args:
        settings: Where Kafka and the database are, and how quotes are sampled.
        table: The table.
        since, until: Times of its rows, microseconds since 1970; the end is exclusive.
        force: Whether to refill what the log still holds if that is less than the range; the rest stays.
        progress: Is told what is being read.
    """

    def __init__(
        self, settings: Settings, table: AnyTable, since: int, until: int, force: bool, progress: Progress
    ) -> None:
        self._settings = settings
        self._table = table
        self._range = Range(since, until)
        self._force = force
        self._logs = Logs(settings.kafka, progress)
        self._done = Rebuilt()

    async def run(self, db: Db) -> Rebuilt:
        """Do it.

        Raises:
            ConfigurationError: The topic of the table keeps the newest record of a key alone, or the table is
                that of the audit.
            ConflictError: The log does not hold the range any more, or is another one; nothing was changed.
            UnavailableError: Kafka or the database is away, or a sink has held its offsets for too long;
                nothing was changed.
        """
        topic = self._table.topic
        if topic.cleanup == "compact":
            raise ConfigurationError(
                f"{topic.name} keeps the newest record of each key alone: {self._table.view} cannot be made "
                "of it"
            )
        if self._table is AUDIT:
            raise ConfigurationError(f"kandle.{AUDIT.name} is append-only: nothing there is made anew")
        known = KnownInstruments(stored.instruments(db))
        columns = stored.columns_of(self._table, known)
        parts = await self._parts(db, columns, known)
        try:
            with db.transaction():
                await self._replace(db, columns, known, parts)
        except psycopg.errors.LockNotAvailable as error:
            raise UnavailableError(
                f"a sink has held its offsets for {LOCK_TIMEOUT_MS // 1000} s; nothing was changed: try again"
            ) from error
        return self._done

    async def _parts(self, db: Db, columns: AnyColumns, known: KnownInstruments) -> dict[int, _Part]:
        """Read each partition as far as the sink has stored it."""
        topic = self._table.topic
        offsets = self._offsets(db)
        replaced = stored.was_replaced(db, topic.name)
        parts = {}
        for partition, (first, _) in self._logs.bounds(topic).items():
            stop = max(offsets.get(partition, first), first)
            held = await self._logs.held(topic, partition, first, stop, replaced=replaced)
            if held.since is not None or not held.is_whole:
                self._check_held(partition, held.since)
            range_ = self._range.from_time(held.since)
            taken = TopicRows(columns, known, range_, self._settings.sink.quotes_every_ms)
            parts[partition] = _Part(range_, taken, stop)
        for partition, part in parts.items():
            first, _ = self._logs.bounds(topic)[partition]
            await self._logs.read(topic, partition, first, part.read, part.taken)
        return parts

    def _check_held(self, partition: int, since: int | None) -> None:
        assert self._range.since is not None
        if since is not None and since <= self._range.since:
            return
        begin = "an unknown time" if since is None else format_time(since)
        said = f"partition {partition} of {self._table.topic.name} holds all from {begin} on"
        if not self._force:
            raise ConflictError(
                f"{said}, not from {format_time(self._range.since)}: rows before that could not be made "
                "again. Nothing was changed; choose a later --from, or say --force, which refills what the "
                "log holds and leaves the rest as it is"
            )
        if since is None:
            raise ConflictError(f"{said}: nothing of it can be made again, and nothing was changed")
        self._done.notes.append(f"{said}; earlier rows were left alone")

    async def _replace(
        self, db: Db, columns: AnyColumns, known: KnownInstruments, parts: Mapping[int, _Part]
    ) -> None:
        """In the transaction: lock, read the rest, delete, write."""
        db.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(LOCK_TIMEOUT_MS)))
        db.execute(
            "SELECT FROM kandle.offsets o JOIN kandle.topics t ON t.id = o.topic_id WHERE o.sink = %s "
            "AND t.name = %s AND t.retired IS NULL ORDER BY o.topic_id, o.partition FOR UPDATE OF o",
            (SINK, self._table.topic.name),
        )
        known.learn(stored.instruments(db))
        offsets = self._offsets(db)
        for partition, part in parts.items():
            end = offsets.get(partition, part.read)
            await self._logs.read(self._table.topic, partition, part.read, end, part.taken)
        expected = [(part, columns.settled(part.taken.rows())) for part in parts.values()]
        await self._make_partitions([rows for _, rows in expected])
        _let_columnstore_change(db)
        instruments: set[int] = set()
        begin = self._range
        for part in parts.values():
            of = sorted(part.taken.instruments) if columns.has_instruments else None
            self._delete(db, stored.where(part.range_, of))
            instruments |= part.taken.instruments
            begin = begin.from_time(part.range_.since)
        if columns.has_instruments:
            self._delete(db, stored.where(begin, None, sorted(instruments)))
        for part, rows in expected:
            self._write(db, columns, part, rows)

    def _offsets(self, db: Db) -> dict[int, int]:
        offsets = stored.positions(db, self._table.topic.name, self._logs.kafka_id(self._table.topic))
        if not offsets:
            raise ConfigurationError(f"no sink has stored anything of {self._table.topic.name} yet")
        return offsets

    async def _make_partitions(self, made: list[Rows]) -> None:
        """The partitions that rows need may have been dropped since."""
        connection = await connect(self._settings.database, "rebuild-partitions")
        try:
            partitions = Partitions()
            await partitions.load(connection)
            for rows in made:
                if len(rows):
                    await partitions.ensure(connection, self._table.name, rows.columns["time"].values)
        finally:
            await connection.close()

    def _delete(self, db: Db, condition: sql.Composed) -> None:
        table = sql.Identifier("kandle", self._table.name)
        self._done.removed += db.execute(sql.SQL("DELETE FROM {} WHERE {}").format(table, condition)).rowcount

    def _write(self, db: Db, columns: AnyColumns, part: _Part, rows: Rows) -> None:
        if not len(rows):
            return
        table = sql.Identifier("kandle", self._table.name)
        listed = sql.SQL(", ").join(sql.Identifier(cell.name) for cell in self._table.cells)
        if isinstance(columns, RecordColumns):
            insert = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
                table, listed, sql.SQL(", ").join([sql.Placeholder()] * len(self._table.cells))
            )
            first = columns.first(part.taken.records)
            with db.cursor() as cursor:
                cursor.executemany(insert, first)
            self._done.written += len(first)
            return
        _check_known(rows)
        copy = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)").format(table, listed)
        with db.cursor() as cursor, cursor.copy(copy) as out:
            out.write(HEADER)
            out.write(columns.write(rows).data)
            out.write(TRAILER)
        self._done.written += len(rows)


def _check_known(rows: Rows) -> None:
    numbers = rows.columns["instrument_id"].values
    unknown = np.unique(numbers[numbers < 0])
    if len(unknown):
        show = rows.columns["instrument_id"].show or str
        names = ", ".join(str(show(number)) for number in unknown[:3].tolist())
        raise ConflictError(
            f"the topic has rows of {names}, which the database does not know although the sink has passed "
            "them: nothing was changed; look what became of kandle.instruments"
        )


def _let_columnstore_change(db: Db) -> None:
    """TimescaleDB lets a transaction take so many rows out of the columnstore, and no more."""
    row = db.execute("SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb')").fetchone()
    if row and row[0]:
        db.execute("SET LOCAL timescaledb.max_tuples_decompressed_per_dml_transaction = 0")
