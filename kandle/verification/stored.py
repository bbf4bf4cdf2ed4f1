"""The database as a verification reads it: positions, instruments and rows, all of one moment."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from psycopg import sql

from infra.keyed_rows import Rows
from kandle.verification.known_instruments import KnownInstruments
from kandle.verification.table_columns import RecordColumns, TableColumns
from schemas.errors import ConflictError
from sinks.sessions import Db
from sinks.timescale.row_tables import RowTable
from sinks.timescale.table import Table

SINK: Final = "timescale"
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
AnyTable = Table | RowTable[Any]
AnyColumns = TableColumns | RecordColumns


@dataclass(frozen=True, slots=True)
class Range:
    """Which rows are looked at; times in microseconds since 1970.

    Attributes:
        since: Rows of this time and later; None: from the first.
        until: Rows before this time; None: to the last.
        symbols: Of these symbols; empty: of all.
    """

    since: int | None = None
    until: int | None = None
    symbols: frozenset[str] = frozenset()

    def from_time(self, time: int | None) -> Range:
        """The part of it from a time on."""
        if time is None:
            return self
        return Range(time if self.since is None else max(time, self.since), self.until, self.symbols)


def positions(db: Db, topic: str, kafka_id: str) -> dict[int, int]:
    """The next offset of the sink in each partition of a topic; empty if it never read it.

    Raises:
        ConflictError: They are those of another topic of this name, which was deleted.
    """
    rows = db.execute(
        "SELECT o.partition, o.next_offset, t.kafka_id FROM kandle.offsets o "
        "JOIN kandle.topics t ON t.id = o.topic_id WHERE o.sink = %s AND t.name = %s AND t.retired IS NULL",
        (SINK, topic),
    ).fetchall()
    strange = {stored for _, _, stored in rows} - {kafka_id}
    if strange:
        raise ConflictError(
            f"topic {topic} has Kafka's id {kafka_id}, but the tables were filled from {', '.join(strange)}: "
            "it was deleted and made again, or this database is another Kafka's; nothing can be compared"
        )
    return {partition: offset for partition, offset, _ in rows}


def was_replaced(db: Db, topic: str) -> bool:
    """Whether rows may come from an earlier topic of this name, which was deleted."""
    row = db.execute(
        "SELECT EXISTS (SELECT FROM kandle.topics WHERE name = %s AND retired IS NOT NULL)", (topic,)
    ).fetchone()
    return bool(row and row[0])


def instruments(db: Db) -> list[tuple[int, str, str]]:
    """Number, venue and symbol of all instruments."""
    return db.execute("SELECT id, venue, symbol FROM kandle.instruments").fetchall()


def columns_of(table: AnyTable, known: KnownInstruments) -> AnyColumns:
    """The columns of a table as they are compared."""
    if isinstance(table, Table):
        return TableColumns(table, known.name_of)
    return RecordColumns(table, known.name_of)


def rows(
    db: Db,
    columns: AnyColumns,
    range_: Range,
    *,
    of: Sequence[int] | None = None,
    not_of: Sequence[int] | None = None,
) -> Rows:
    """The rows of a table in a range.

    Args:
        db: The connection.
        columns: The table's.
        range_: Which rows.
        of: Of these instruments alone.
        not_of: Of none of these.
    """
    chosen = where(range_, of, not_of)
    listed = sql.SQL(", ").join(sql.Identifier(cell.name) for cell in columns.table.cells)
    query = sql.SQL("SELECT {} FROM {} WHERE {}").format(
        listed, sql.Identifier("kandle", columns.table.name), chosen
    )
    if isinstance(columns, RecordColumns):
        return columns.rows(db.execute(query).fetchall())
    blocks = bytearray()
    with (
        db.cursor() as cursor,
        cursor.copy(sql.SQL("COPY ({}) TO STDOUT (FORMAT binary)").format(query)) as copy,
    ):
        for block in copy:
            blocks += block
    return columns.read(np.frombuffer(bytes(blocks), np.uint8))


def where(
    range_: Range, of: Sequence[int] | None = None, not_of: Sequence[int] | None = None
) -> sql.Composed:
    """The condition that rows of a range fulfil."""
    parts: list[sql.Composable] = [sql.SQL("true")]
    # Constants, not terms that the server would compute: it would lock every partition before it does.
    if range_.since is not None:
        parts.append(sql.SQL('"time" >= {}').format(_moment(range_.since)))
    if range_.until is not None:
        parts.append(sql.SQL('"time" < {}').format(_moment(range_.until)))
    if of is not None:
        parts.append(sql.SQL("instrument_id = ANY({})").format(sql.Literal(list(of))))
    if not_of is not None:
        parts.append(sql.SQL("instrument_id <> ALL({})").format(sql.Literal(list(not_of))))
    return sql.SQL(" AND ").join(parts)


def _moment(time: int) -> sql.Literal:
    return sql.Literal(_EPOCH + dt.timedelta(microseconds=time))
