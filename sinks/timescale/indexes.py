"""Indexes for partitions that a portion of rows has to be looked up in, before the transaction that asks.

The upkeep makes them when a table is calm; a row without a running number cannot wait for that. Without the
index its look-up reads all of the partition's rows of about its time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt
import psycopg

from infra.logging import get_logger
from sinks.database import Connection

LOCK_TIMEOUT: Final = "2s"
"""Other writers queue up behind us while we wait for those before us."""
BUILD_S: Final = 100
"""A million rows take about a second, while other writers of the partition wait."""
APPLICATION_NAME: Final = "kandle-sink-index"
"""Meanwhile: not one of those that other sinks take for stalled when they wait for us."""
KNOWN_FOR_S: Final = 60.0
"""What is known of a partition is asked again after that: it may have been dropped, or a lock be gone."""
TOO_LONG_FOR_S: Final = 3600.0
_DAY_US: Final = 86_400_000_000
_REFUSED: Final = (
    psycopg.errors.LockNotAvailable,
    psycopg.errors.QueryCanceled,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.InsufficientPrivilege,
    psycopg.errors.UndefinedTable,
)

log = get_logger(__name__)


class Indexes:
    """Knows for a while which days of which tables have the index by instrument and time.

    Args:
        clock: Seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[tuple[str, int], tuple[bool, float]] = {}

    def covers(self, table: str, times: npt.NDArray[np.int64]) -> bool:
        """Whether rows of these times (microseconds since 1970) are found by the index."""
        return all(self._known.get((table, day), (False, 0.0))[0] for day in _days(times))

    async def ensure(self, db: Connection, table: str, times: npt.NDArray[np.int64]) -> None:
        """Make the indexes that rows of these times are to be found by, where they can be had soon.

        Args:
            db: A connection in autocommit mode, outside of any transaction.
            table: Name of the table.
            times: int64[n], microseconds since 1970.
        """
        now = self._clock()
        self._known = {key: known for key, known in self._known.items() if known[1] > now}
        days = [day for day in _days(times) if (table, day) not in self._known]
        if not days:
            return
        cursor = await db.execute(
            "SELECT p.partition::text, p.wants_index, array_agg(d.day) FROM unnest(%s::integer[]) AS d (day) "
            "CROSS JOIN LATERAL (SELECT timestamptz 'epoch' + d.day * interval '24 hours') AS b (begins) "
            "JOIN kandle.partitions() p ON b.begins >= p.starts AND b.begins < p.ends "
            "WHERE p.table_name = %s GROUP BY 1, 2",
            (days, table),
        )
        for partition, wants_index, held in await cursor.fetchall():
            found = await self._made(db, partition) if wants_index else (True, KNOWN_FOR_S)
            until = self._clock() + found[1]
            self._known |= {(table, day): (found[0], until) for day in held}

    async def _made(self, db: Connection, partition: str) -> tuple[bool, float]:
        """Make an index; whether it is there, and for how long (s) that is to be believed."""
        began = self._clock()
        try:
            async with db.transaction():
                await db.execute(
                    "SELECT set_config('lock_timeout', %s, true), set_config('statement_timeout', %s, true), "
                    "set_config('application_name', %s, true)",
                    (LOCK_TIMEOUT, f"{BUILD_S}s", APPLICATION_NAME),
                )
                await db.execute("SELECT kandle.index_partition(%s::regclass)", (partition,))
        except _REFUSED as error:
            took_long = isinstance(error, psycopg.errors.QueryCanceled)
            log.info(
                "a partition without an index is asked piece by piece",
                partition=partition,
                error=str(error).strip(),
            )
            return False, TOO_LONG_FOR_S if took_long else KNOWN_FOR_S
        log.info("partition indexed", partition=partition, seconds=round(self._clock() - began, 1))
        return True, KNOWN_FOR_S


def _days(times: npt.NDArray[np.int64]) -> list[int]:
    """The different days since 1970 of times."""
    found: list[int] = np.unique(times // _DAY_US).tolist()
    return found
