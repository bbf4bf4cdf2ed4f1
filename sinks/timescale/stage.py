"""The two ways into a table: COPY straight in, and through a temporary table with a look at what is there."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from psycopg import sql

from sinks.database import Connection
from sinks.timescale.copy_binary import HEADER, TRAILER, Bytes
from sinks.timescale.table import Table

Part = Bytes | Callable[[], Bytes]
"""Rows as `Table.rows` lays them out, or what does that."""
ByInstrument = dict[int, int]
"""Numbers of rows by instrument."""

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
RANGES_MAX: Final = 16
APART_US: Final = 600_000_000
"""Rows further apart are looked up apart: for one late row the whole time up to now would be read, else."""
PIECE_US: Final = 3_600_000_000
"""Shorter ones are no quicker where the BRIN index lags behind: each reads the partition as a whole then."""
PIECES_MAX: Final = 256
"""Statements of one look-up without an index, at most."""
_FIRST_VALUE: Final = "(array_agg(s.{0} ORDER BY s.ctid) FILTER (WHERE s.{0} IS NOT NULL))[1] AS {0}"
"""Staged rows stand in the order in which they were copied."""


def stage_name(table: Table) -> str:
    """Name of the temporary table beside a table."""
    return f"stage_{table.name}"


async def make_stages(db: Connection, tables: Sequence[Table]) -> None:
    """Make the temporary tables of a new connection; they empty themselves at the end of each transaction."""
    for table in tables:
        await db.execute(
            sql.SQL("CREATE TEMPORARY TABLE IF NOT EXISTS {} (LIKE {}) ON COMMIT DELETE ROWS").format(
                sql.Identifier(stage_name(table)), sql.Identifier("kandle", table.name)
            )
        )


async def copy(db: Connection, table: Table, parts: Sequence[Part], staged: bool = False) -> None:
    """COPY rows; the next part is laid out in a thread while the server takes in the one before.

    Args:
        db: A connection in a transaction.
        table: Where to.
        parts: The rows.
        staged: Into the temporary table beside it.
    """
    target = sql.Identifier("pg_temp", stage_name(table)) if staged else sql.Identifier("kandle", table.name)
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)").format(target, _names(table))
    async with db.cursor() as cursor, cursor.copy(statement) as out:
        await out.write(HEADER)
        async for rows in _laid_out(parts):
            await out.write(rows.data)
        await out.write(TRAILER)


async def _laid_out(parts: Sequence[Part]) -> AsyncIterator[Bytes]:
    before: asyncio.Task[Bytes] | None = None
    for part in parts:
        upcoming = asyncio.create_task(asyncio.to_thread(_rows, part))
        if before is not None:
            yield await before
        before = upcoming
    if before is not None:
        yield await before


def _rows(part: Part) -> Bytes:
    return part() if callable(part) else part


async def insert_missing(
    db: Connection, table: Table, times: npt.NDArray[np.int64], indexed: bool
) -> ByInstrument:
    """Move what is staged and has no row of its key yet; for rows that no sequence number vouches for.

    Args:
        db: A connection in a transaction.
        table: Where to; its rows of one key have one time.
        times: int64[n], of the staged rows.
        indexed: Whether rows are found by instrument and time; else each of several statements reads all
            rows of an hour, as one that reads a day takes longer than a statement may.
    """
    inserted: ByInstrument = {}
    for moments in [times] if indexed else _pieces(times):
        found = await _by_instrument(
            db,
            sql.SQL(
                "INSERT INTO {table} ({columns}) SELECT DISTINCT ON ({key}) {columns} FROM {stage} s "
                "WHERE {own} AND NOT EXISTS (SELECT FROM {table} t WHERE {same} AND {near}) "
                "RETURNING instrument_id"
            ).format(
                table=sql.Identifier("kandle", table.name),
                columns=_names(table),
                key=_key(table, "s"),
                stage=sql.Identifier("pg_temp", stage_name(table)),
                own=_between(np.unique(moments), "s"),
                same=_same(table),
                near=_near(moments),
            ),
        )
        for instrument, count in found.items():
            inserted[instrument] = inserted.get(instrument, 0) + count
    return inserted


def _pieces(times: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
    """Times by hours, or more of them at once where that would be too many."""
    moments = np.unique(times)
    edges = np.flatnonzero(np.diff(moments // PIECE_US)) + 1
    if len(edges) >= PIECES_MAX:
        edges = edges[np.linspace(0, len(edges) - 1, PIECES_MAX - 1).astype(np.int64)]
    return np.split(moments, edges)


async def revise(db: Connection, table: Table, times: npt.NDArray[np.int64]) -> ByInstrument:
    """Replace rows by a newer version of them that is staged."""
    values = [name for name in table.columns if f'"{name}"' not in " ".join(table.key)]
    newer = sql.SQL("({}) > ({})").format(_columns("s", table.version), _columns("t", table.version))
    changes = (sql.SQL("{0} = s.{0}").format(sql.Identifier(name)) for name in values)
    return await _update(db, table, times, sql.SQL(", ").join(changes), newer)


async def fill(db: Connection, table: Table, times: npt.NDArray[np.int64]) -> ByInstrument:
    """Give rows what they lack and what is staged says."""
    names = [sql.Identifier(name) for name in table.filled]
    changes = (sql.SQL("{0} = coalesce(t.{0}, s.{0})").format(name) for name in names)
    lacking = (sql.SQL("(t.{0} IS NULL AND s.{0} IS NOT NULL)").format(name) for name in names)
    return await _update(
        db, table, times, sql.SQL(", ").join(changes), sql.SQL("({})").format(sql.SQL(" OR ").join(lacking))
    )


async def _update(
    db: Connection, table: Table, times: npt.NDArray[np.int64], changes: sql.Composed, condition: sql.Composed
) -> ByInstrument:
    return await _by_instrument(
        db,
        sql.SQL(
            "UPDATE {table} t SET {changes} FROM ({chosen}) s WHERE {same} AND {near} AND {condition} "
            "RETURNING t.instrument_id"
        ).format(
            table=sql.Identifier("kandle", table.name),
            changes=changes,
            chosen=_chosen(table),
            same=_same(table),
            near=_near(times) if table.is_bounded else sql.SQL("true"),
            condition=condition,
        ),
    )


async def insert_chosen(db: Connection, table: Table) -> ByInstrument:
    """Move what is staged of each key that has no row yet."""
    return await _by_instrument(
        db,
        sql.SQL("INSERT INTO {} ({}) {} ON CONFLICT DO NOTHING RETURNING instrument_id").format(
            sql.Identifier("kandle", table.name), _names(table), _chosen(table)
        ),
    )


async def _by_instrument(db: Connection, change: sql.Composed) -> ByInstrument:
    cursor = await db.execute(
        sql.SQL("WITH changed AS ({}) SELECT instrument_id, count(*) FROM changed GROUP BY 1").format(change)
    )
    return dict(await cursor.fetchall())


def _names(table: Table) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, table.columns))


def _key(table: Table, row: str) -> sql.Composed:
    return sql.SQL(", ").join(_part(part, row) for part in table.key)


def _same(table: Table) -> sql.Composed:
    pairs = (sql.SQL("{} = {}").format(_part(part, "t"), _part(part, "s")) for part in table.key)
    return sql.SQL(" AND ").join(pairs)


def _part(part: Any, row: str) -> sql.SQL:
    return sql.SQL(part.replace("{row}", row))


def _columns(row: str, names: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(row, name) for name in names)


def _chosen(table: Table) -> sql.Composed:
    """Of the staged rows of each key the newest, or the first, which others may fill."""
    stage, key = sql.Identifier("pg_temp", stage_name(table)), _key(table, "s")
    if table.repeats == "filled":
        own = " ".join(table.key)
        cells = (
            sql.SQL("s.{0}" if f'"{name}"' in own else _FIRST_VALUE).format(sql.Identifier(name))
            for name in table.columns
        )
        return sql.SQL("SELECT {} FROM {} s GROUP BY {}").format(sql.SQL(", ").join(cells), stage, key)
    newest = [sql.SQL("s.{} DESC").format(sql.Identifier(name)) for name in table.version]
    order = sql.SQL(", ").join([*newest, sql.SQL("s.ctid")])
    return sql.SQL("SELECT DISTINCT ON ({0}) {1} FROM {2} s ORDER BY {0}, {3}").format(
        key, _names(table), stage, order
    )


def _near(times: npt.NDArray[np.int64]) -> sql.Composed:
    """Bounds by which the planner leaves out the partitions that cannot hold the rows.

    Constants, not terms that the server would compute: it would lock every partition before it does.
    """
    moments = np.unique(times)
    gaps = np.diff(moments)
    widest = np.argsort(gaps)[1 - RANGES_MAX :]
    parts = np.split(moments, np.sort(widest[gaps[widest] > APART_US]) + 1)
    whole = _between(moments)
    if len(parts) == 1:
        return whole
    # The whole besides: TimescaleDB looks for no chunks by alternatives.
    return sql.SQL("{} AND ({})").format(whole, sql.SQL(" OR ").join(map(_between, parts)))


def _between(moments: npt.NDArray[np.int64], row: str = "t") -> sql.Composed:
    edges = (_EPOCH + dt.timedelta(microseconds=int(edge)) for edge in (moments[0], moments[-1]))
    return sql.SQL("{} BETWEEN {} AND {}").format(sql.Identifier(row, "time"), *map(sql.Literal, edges))
