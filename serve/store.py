"""Questions to the database: read only, bounded in time and rows."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from psycopg.rows import dict_row

from infra.settings import DatabaseSettings, ServeSettings
from schemas.records import Micros
from sinks.database import Database

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND: Final = dt.timedelta(microseconds=1)
CLOSE_S: Final = 1.0
MOMENT_ROWS: Final = 50_000
"""Rows of one moment that are given at once, at most: a page never ends within a moment."""

Rows = list[dict[str, Any]]


def epoch_us(column: str, name: str | None = None) -> str:
    """A time column as microseconds since the epoch."""
    return f'(extract(epoch FROM "{column}") * 1000000)::bigint AS "{name or column}"'


@dataclass(frozen=True, slots=True)
class Source:
    """A view that is paged through by time.

    Attributes:
        view: Its name.
        columns: What is read of it, besides the time.
        times: Of these, the columns that are times.
        order: Columns that order rows of one moment.
    """

    view: str
    columns: tuple[str, ...]
    times: frozenset[str] = field(default_factory=frozenset)
    order: tuple[str, ...] = ()

    @property
    def selected(self) -> str:
        """The columns as SQL reads them, the time first."""
        others = [epoch_us(name) if name in self.times else f'"{name}"' for name in self.columns]
        return ", ".join([epoch_us("time"), *others])


@dataclass(frozen=True, slots=True)
class Range:
    """Which rows are wanted: the newest `limit` of [first, end), µs since the epoch; None: no bound."""

    first: Micros | None
    end: Micros | None
    limit: int


class Store:
    """Reads what the sinks have written. Every call raises `UnavailableError` when the database is away.

    Args:
        database: Where it is.
        settings: Bounds.
    """

    def __init__(self, database: DatabaseSettings, settings: ServeSettings) -> None:
        self._database = Database(database, "serve")
        self._timeout = f"{round(settings.query_timeout_s * 1_000)}ms"
        self.largest = settings.rows

    async def close(self) -> None:
        """Close the connections; those that are being made, or are lent, end with the process."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await self._database.close()

    async def rows(self, query: str, values: Sequence[object] = ()) -> Rows:
        """The rows that answer a question.

        Raises:
            UnavailableError: The database is away.
            psycopg.errors.QueryCanceled: It took too long.
        """
        async with self._database.connection() as db, db.transaction():
            await db.execute(
                "SELECT set_config('transaction_read_only', 'on', true), "
                "set_config('statement_timeout', %s, true)",
                (self._timeout,),
            )
            cursor = db.cursor(row_factory=dict_row)
            await cursor.execute(query, values)
            return await cursor.fetchall()

    async def page(
        self, source: Source, wanted: Mapping[str, object], within: Range
    ) -> tuple[Rows, Micros | None]:
        """The newest rows of a range, oldest first, and where older ones end; None where there are none.

        Args:
            source: What is read.
            wanted: Values that columns must have; None: any.
            within: Which of them.
        """
        limit = min(within.limit, self.largest)
        found = await self._newest(source, wanted, within.first, within.end, limit + 1)
        if len(found) <= limit:
            return found[::-1], None
        edge = found[limit]["time"]
        kept = [row for row in found if row["time"] != edge]
        if not kept:
            kept = await self._newest(source, wanted, edge, edge + 1, MOMENT_ROWS)
        return kept[::-1], kept[-1]["time"]

    async def is_known(self, venue: str, symbol: str) -> bool:
        """Whether anything was ever stored of an instrument."""
        found = await self.rows(
            "SELECT FROM kandle.instruments WHERE venue = %s AND symbol = %s", (venue, symbol)
        )
        return bool(found)

    async def _newest(
        self,
        source: Source,
        wanted: Mapping[str, object],
        first: Micros | None,
        end: Micros | None,
        limit: int,
    ) -> Rows:
        conditions: list[str] = []
        values: list[object] = []
        for name, value in wanted.items():
            if value is not None:
                conditions.append(f'"{name}" = %s')
                values.append(value)
        for bound, comparison in ((first, ">="), (end, "<")):
            if bound is not None:
                conditions.append(f'"time" {comparison} %s')
                values.append(_EPOCH + bound * _MICROSECOND)
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        order = "".join(f', "{name}" DESC' for name in source.order)
        return await self.rows(
            # The names are those of `Source`, never a client's.
            f'SELECT {source.selected} FROM {source.view}{where} ORDER BY {source.view}."time" DESC{order} '  # noqa: S608
            "LIMIT %s",
            (*values, limit),
        )
