"""What keeps the tables in shape beside the writing: partitions ahead, indexes, columns, retention.

One process at a time does it, under an advisory lock, again and again. With TimescaleDB its own jobs turn
chunks into columns and refresh the aggregates; what is dropped is dropped from here on either kind of
database, as that is to stand in the log.

A table of trades has no index while it is written in bulk: that would cost two thirds of the speed. A
partition gets one, by instrument and time, as soon as its table is calm; one that is made ahead is born
with it.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import Any, Final

import psycopg
from psycopg import sql

from infra.logging import get_logger
from infra.settings import SinkSettings
from schemas.errors import ConfigurationError, UnavailableError
from schemas.namespace import LIVE, current
from sinks.database import STATEMENT_TIMEOUT_MS, Connection, Database, is_passing
from sinks.schema import lock_key
from sinks.timescale.partitions import Partitions

AHEAD: Final = 2
"""Partitions made ahead of the running one."""
LOCK_KEY: Final = 0x6B616E646C7570
"""Key of the advisory lock ("kandlup" in ASCII)."""
LOCK_TIMEOUT: Final = "2s"
"""Nobody waits for long behind upkeep that waits for a lock; it is tried again in the next round."""
SMALL_BYTES: Final = 64 * 1024 * 1024
"""A smaller partition is indexed in half a second; beside the writers it waits for the longest reader."""
TABLE_PREFIX: Final = "market_"
NAME: Final = "upkeep"

log = get_logger(__name__)


def retention(settings: SinkSettings) -> dict[str, int]:
    """Days that rows are kept, by full names of tables; a namespace keeps all, as what it replays is old."""
    if current() != LIVE:
        return {}
    return {TABLE_PREFIX + name: days for name, days in settings.retention_days.items()}


class Upkeep:
    """Keeps the tables of market data in shape.

    Args:
        database: Where they are.
        settings: How often, for how long rows are kept, when they go into columns.
        partitions: Of the sink of this process.
    """

    def __init__(self, database: Database, settings: SinkSettings, partitions: Partitions) -> None:
        self._database = database
        self._settings = settings
        self._partitions = partitions
        self._has_policies = False

    async def run(self) -> None:
        """Round after round, until cancelled; a database that is away is waited for.

        Raises:
            ConfigurationError: Retention is asked for a table that there is not.
        """
        while True:
            try:
                await self.once()
            except (psycopg.Error, UnavailableError) as error:
                # Whatever it was, the rows are stored by others; nothing here is worth stopping them.
                say = log.info if is_passing(error) else log.warning
                say("the upkeep of the tables is tried again later", error=str(error).strip())
            await asyncio.sleep(self._settings.upkeep_s)

    async def once(self) -> None:
        """One round, unless another process is at it."""
        db = await self._database.hold(NAME)
        try:
            if not await _one(db, "SELECT pg_try_advisory_lock(%s)", (lock_key(LOCK_KEY),)):
                return
            await _wait_shortly(db)
            known = Partitions()
            await known.load(db)
            self._check_names(known)
            await self._set_policies(db, known)
            await known.make_ahead(db, dt.datetime.now(dt.UTC), AHEAD)
            await self._drop_old(db)
            await self._make_indexes(db)
        finally:
            await self._database.release(db)

    def _check_names(self, known: Partitions) -> None:
        wrong = sorted(retention(self._settings).keys() - known.tables.keys())
        if wrong:
            names, tables = (
                ", ".join(sorted(table.removeprefix(TABLE_PREFIX) for table in found))
                for found in (wrong, known.tables)
            )
            raise ConfigurationError(f"sink.retention_days names {names}; tables are {tables}")

    async def _set_policies(self, db: Connection, known: Partitions) -> None:
        """Tell TimescaleDB the settings; once for each process, as settings do not change while it runs."""
        if self._has_policies:
            return
        after = self._settings.columnstore_after_days or None
        for table in sorted(known.hypertables):
            changed = await _one(
                db, "SELECT kandle.keep_columns(%s, make_interval(days => %s))", (table, after)
            )
            if changed:
                log.info("chunks go into the columnstore", table=table, after_days=after)
        kept = retention(self._settings).get(f"{TABLE_PREFIX}trades")
        # Refreshing what was dropped would empty the aggregates too.
        since = None if kept is None else kept - 1
        await _one(db, "SELECT kandle.keep_aggregates(make_interval(days => %s))", (since,))
        self._has_policies = True

    async def _drop_old(self, db: Connection) -> None:
        now = dt.datetime.now(dt.UTC)
        for table, days in retention(self._settings).items():
            cursor = await db.execute(
                "SELECT partition::text, starts, ends, row_estimate FROM kandle.partitions() "
                "WHERE table_name = %s AND ends <= %s",
                (table, now - dt.timedelta(days=days)),
            )
            for partition, starts, ends, rows in await cursor.fetchall():
                if await _one(db, "SELECT kandle.drop_partition(%s::regclass)", (partition,)):
                    self._partitions.forget(table, starts)
                    log.warning(
                        "rows dropped as sink.retention_days says; only topics and archive may have them",
                        table=table,
                        partition=partition,
                        first=starts.isoformat(),
                        until=ends.isoformat(),
                        rows_estimated=rows,
                    )

    async def _make_indexes(self, db: Connection) -> None:
        cursor = await db.execute(
            "SELECT p.table_name, p.partition::text, c.relname, n.nspname, "
            "pg_has_role(c.relowner, 'USAGE') AND pg_relation_size(c.oid) >= %s "
            "FROM kandle.partitions() p JOIN pg_class c ON c.oid = p.partition "
            "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE p.wants_index ORDER BY p.starts DESC",
            (SMALL_BYTES,),
        )
        for table, partition, name, schema, beside in await cursor.fetchall():
            if self._partitions.is_calm(table):
                await _wait_shortly(db)
                if beside:
                    await _index_beside_writers(db, schema, name)
                else:
                    await db.execute("SELECT kandle.index_partition(%s::regclass)", (partition,))
                log.info("partition indexed", table=table, partition=partition)


async def _index_beside_writers(db: Connection, schema: str, partition: str) -> None:
    """Make the index of a partition while others write it; one that a crash left unfinished is made anew."""
    index = f"{partition}_instrument"
    await db.execute(sql.SQL("DROP INDEX IF EXISTS {}").format(sql.Identifier(schema, index)))
    # It waits for every older transaction of the database, and nobody waits for it.
    await db.execute(
        "SELECT set_config('statement_timeout', '0', false), set_config('lock_timeout', '0', false)"
    )
    await db.execute(
        sql.SQL('CREATE INDEX CONCURRENTLY {} ON {} (instrument_id, "time")').format(
            sql.Identifier(index), sql.Identifier(schema, partition)
        )
    )


async def _wait_shortly(db: Connection) -> None:
    await db.execute(
        "SELECT set_config('lock_timeout', %s, false), set_config('statement_timeout', %s, false)",
        (LOCK_TIMEOUT, str(STATEMENT_TIMEOUT_MS)),
    )


async def _one(db: Connection, statement: str, values: tuple[Any, ...]) -> Any:
    cursor = await db.execute(statement.encode(), values)
    row = await cursor.fetchone()
    return row[0] if row else None
