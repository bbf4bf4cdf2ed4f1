"""Native partitions, made when rows need them; a hypertable makes its chunks itself, in the same bounds."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
from psycopg import sql

from infra.logging import get_logger
from schemas.errors import ConflictError
from sinks.database import Connection

AT_ONCE_MAX: Final = 1000
"""New partitions that one portion of records may ask of a table: years of days, but no mistake of units.

A transaction locks each that it touches, and the server has room for some thousands of locks.
"""
LOCK_KEY: Final = 0x6B616E646C6570
"""Key of the advisory lock ("kandlep" in ASCII) under which partitions are made."""

log = get_logger(__name__)
Periods = npt.NDArray[np.datetime64]


class Partitions:
    """Knows which partitions exist, and makes the missing ones before the transaction that needs them."""

    def __init__(self) -> None:
        self._widths: dict[str, str] = {}
        self._known: dict[str, set[int]] = {}
        self._hypertables: set[str] = set()

    async def load(self, db: Connection) -> None:
        """Ask how the tables are cut and which partitions exist: other processes make and drop some."""
        cursor = await db.execute("SELECT name, width, hypertable FROM kandle.time_tables")
        found = await cursor.fetchall()
        self._widths = {name: width for name, width, _ in found}
        self._hypertables = {name for name, _, hypertable in found if hypertable}
        self._known = {name: set() for name in self._widths}
        cursor = await db.execute(
            "SELECT p.relname, c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
            "JOIN pg_class p ON p.oid = i.inhparent WHERE p.relnamespace = 'kandle'::regnamespace"
        )
        async for table, partition in cursor:
            stem = partition.rpartition("_")[2]
            if table in self._widths and stem.isdigit():
                self._known[table].add(int(stem))

    async def ensure(self, db: Connection, table: str, times: npt.NDArray[np.int64]) -> None:
        """Make the partitions that rows of these times (microseconds since 1970) need.

        Of a hypertable nothing is made; its chunks of earlier processes count as new, as they are locked too.

        Raises:
            ConflictError: They are scattered over more partitions than any sane portion of records.
        """
        width = self._widths.get(table)
        if width is None or not len(times):
            return
        periods = _periods(times, width)
        known = self._known[table]
        missing = [period for period in periods if _stem(period) not in known]
        if len(missing) > AT_ONCE_MAX:
            raise ConflictError(
                f"records for {table} are scattered from {periods[0]} to {periods[-1]} and ask for "
                f"{len(missing)} new partitions at once, at most {AT_ONCE_MAX} are made: look for wrong "
                "times in the topic"
            )
        for period in missing:
            if table not in self._hypertables:
                await self._make(db, table, period)
            known.add(_stem(period))

    async def _make(self, db: Connection, table: str, period: np.datetime64) -> None:
        # Unlike CREATE TABLE ... PARTITION OF, attaching a finished table does not wait for readers.
        parent = sql.Identifier("kandle", table)
        child_name = f"{table}_{_stem(period)}"
        child = sql.Identifier("kandle", child_name)
        bounds = [sql.Literal(f"{edge.astype('datetime64[D]')} 00:00:00+00") for edge in (period, period + 1)]
        async with db.transaction():
            await db.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK_KEY,))
            cursor = await db.execute("SELECT to_regclass(%s)", (f"kandle.{child_name}",))
            row = await cursor.fetchone()
            if row is None or row[0] is None:
                await db.execute(sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING ALL)").format(child, parent))
                await db.execute(
                    sql.SQL("ALTER TABLE {} ATTACH PARTITION {} FOR VALUES FROM ({}) TO ({})").format(
                        parent, child, *bounds
                    )
                )
                log.debug("partition made", table=table, partition=child_name)


def _periods(times: npt.NDArray[np.int64], width: str) -> Periods:
    """The different days or months of times, ascending."""
    unit = "datetime64[D]" if width == "day" else "datetime64[M]"
    edges: Periods = np.array([times.min(), times.max()]).astype("datetime64[us]").astype(unit)
    if edges[0] == edges[1]:
        return edges[:1]
    found: Periods = np.unique(times.astype("datetime64[us]").astype(unit))
    return found


def _stem(period: np.datetime64) -> int:
    """A period as it stands in a partition's name: 20260130, or 202601."""
    return int(str(period).replace("-", ""))
