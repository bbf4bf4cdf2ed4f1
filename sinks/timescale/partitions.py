"""Native partitions, made when rows need them; a hypertable makes its chunks itself, in the same bounds."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from infra.logging import get_logger
from schemas.errors import ConflictError
from sinks.database import Connection

AT_ONCE_MAX: Final = 1000
"""New partitions that one portion of records may ask of a table: years of days, but no mistake of units.

A transaction locks each that it touches, and the server has room for some thousands of locks.
"""
BULK_ROWS: Final = 10_000
"""Rows of one portion from which on a table is being caught up, not followed."""
CALM_AFTER_S: Final = 10.0

log = get_logger(__name__)
Periods = npt.NDArray[np.datetime64]


class Partitions:
    """Knows which partitions exist, and makes the missing ones before the transaction that needs them.

    Args:
        retention_days: Days that rows are kept, by table; what ended before may be dropped at any time.
        clock: Seconds, for how long ago a table was written in bulk.
    """

    def __init__(
        self, retention_days: Mapping[str, int] | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._retention_days = retention_days or {}
        self._clock = clock
        self._widths: dict[str, str] = {}
        self._known: dict[str, set[int]] = {}
        self._hypertables: set[str] = set()
        self._bulk_at: dict[str, float] = {}

    @property
    def tables(self) -> Mapping[str, str]:
        """Widths of the tables cut by time: day, month."""
        return self._widths

    @property
    def hypertables(self) -> set[str]:
        """Those that TimescaleDB cuts."""
        return self._hypertables

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
        if len(times) >= BULK_ROWS:
            self._bulk_at[table] = self._clock()
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
            if not self._passes(table, period):
                known.add(_stem(period))

    async def make_ahead(self, db: Connection, now: dt.datetime, count: int) -> None:
        """Make the native partitions of now and of the next periods."""
        for table, width in self._widths.items():
            if table not in self._hypertables:
                current = np.datetime64(now.astimezone(dt.UTC).replace(tzinfo=None), "us")
                first = current.astype("datetime64[D]" if width == "day" else "datetime64[M]")
                for period in (first + step for step in range(count + 1)):
                    if _stem(period) not in self._known[table]:
                        await self._make(db, table, period)
                        self._known[table].add(_stem(period))

    def forget(self, table: str, starts: dt.datetime) -> None:
        """A partition is dropped; rows of its time need a new one."""
        if table in self._known:  # else the first load is still to come
            unit = "datetime64[D]" if self._widths[table] == "day" else "datetime64[M]"
            self._known[table].discard(_stem(np.datetime64(starts.astimezone(dt.UTC).date()).astype(unit)))

    def is_calm(self, table: str) -> bool:
        """Whether this process has not written the table in bulk for a while."""
        return self._clock() - self._bulk_at.get(table, -CALM_AFTER_S) >= CALM_AFTER_S

    def _passes(self, table: str, period: np.datetime64) -> bool:
        """Whether another process may drop the partition, so that its being there is asked each time."""
        days = self._retention_days.get(table)
        if days is None:
            return False
        return bool((period + 1).astype("datetime64[D]") <= np.datetime64("today", "D") - days + 1)

    async def _make(self, db: Connection, table: str, period: np.datetime64) -> None:
        first = str(period.astype("datetime64[D]"))
        cursor = await db.execute("SELECT kandle.make_partition(%s, %s::date)", (table, first))
        row = await cursor.fetchone()
        if row and row[0]:
            log.debug("partition made", table=table, first=first)


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
