"""The database as a source: trades, quotes and what else the tables hold, in the order of their times.

The tables know neither partitions nor marks: records go to the partition of their key, and marks are made of
their times (`marked_seconds.py`). All that is yielded follows from the rows of the period alone.

What the tables do not hold cannot be replayed from them: changes of books, gaps, alerts, every state of the
venues' own candles; and a trade comes without the few fields that say how it was read.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncGenerator, Collection, Generator, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
from psycopg import sql

from backtest.replay.source import NOTHING, Partition, Period, Portion, Step
from backtest.replay.sources.marked_seconds import SECOND_US, MarkedSeconds
from backtest.replay.sources.stored_rows import Markets, RowEncoder, StoredRows, query_of
from backtest.replay.sources.threads import in_thread
from infra.settings import DatabaseSettings
from schemas.errors import ConfigurationError, ConflictError
from schemas.namespace import Namespace
from schemas.records import Micros
from schemas.topics import INSTRUMENTS
from sinks.sessions import Db, connected
from sinks.timescale.table import Table
from sinks.timescale.tables import DERIVATIVES, LIQUIDATIONS, LISTINGS, QUOTES, TICKERS, TRADES

MARKET_TABLES: Final = (TRADES, QUOTES, TICKERS, DERIVATIVES, LIQUIDATIONS)
FIRST_WINDOW_US: Final = 60 * SECOND_US
LONGEST_WINDOW_US: Final = 86_400 * SECOND_US
FEW_ROWS: Final = 20_000
MANY_ROWS: Final = 100_000
"""A window with fewer rows is followed by one of twice its length, one with more by one of half of it."""
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class Extent(NamedTuple):
    """Rows of a table in a period, and their first and last time, µs."""

    rows: int
    first: Micros
    last: Micros


class DatabaseSource:
    """Rows of a period; see `Source` for the contract. Positions are the numbers of records in a partition.

    Args:
        settings: Where the database is.
        namespace: Whose tables.
        partitions: Of every keyed topic.
        period: What of the tables; the only one that `streams` gives.
        extents: By topic, what the tables hold of it; topics without rows are left out.
        name: Of the database.
    """

    def __init__(
        self,
        settings: DatabaseSettings,
        namespace: Namespace,
        partitions: int,
        period: Period,
        extents: Mapping[str, Extent],
        name: str,
    ) -> None:
        self._settings = settings
        self._namespace = namespace
        self._period = period
        self._extents = extents
        self.partition_count = partitions
        """See `Source.partition_count`."""
        told = ", ".join(f"{topic} {extent.rows} rows" for topic, extent in sorted(extents.items()))
        self.identity = f"database {name} of {namespace} in {partitions} partitions: {told}"
        """See `Source.identity`: rows that are added to the period later make it another one."""

    @property
    def partitions(self) -> Sequence[Partition]:
        """See `Source.partitions`."""
        names = sorted(self._extents)
        return [Partition(topic, number) for topic in names for number in range(self.partition_count)]

    @classmethod
    def open(
        cls, settings: DatabaseSettings, namespace: Namespace, partitions: int, period: Period
    ) -> DatabaseSource:
        """Look at what there is; blocks.

        Raises:
            ConfigurationError: None is configured, no sink has run on it, or it holds nothing of the period.
            UnavailableError: It does not answer.
        """
        with connected(settings, "replay", namespace) as db:
            name: str = db.execute("SELECT current_database()").fetchone()[0]  # type: ignore[index]
            extents = {}
            for table in (LISTINGS, *MARKET_TABLES):
                since = None if table is LISTINGS else period.since
                if (found := _extent(db, table, Period(since, period.until))) is not None:
                    extents[table.topic.base_name] = found
        if all(topic == INSTRUMENTS.base_name for topic in extents):
            raise ConfigurationError(f"the tables of {namespace} hold nothing of this period")
        return cls(settings, namespace, partitions, period, extents, name)

    async def times(self, period: Period) -> tuple[Micros, Micros] | None:
        """See `Source.times`."""
        held = [extent for topic, extent in self._extents.items() if topic != INSTRUMENTS.base_name]
        return min(extent.first for extent in held), max(extent.last for extent in held)

    def streams(
        self, topics: Collection[str], period: Period, after: Mapping[Partition, int]
    ) -> Sequence[AsyncGenerator[Step, None]]:
        """See `Source.streams`: one for all market topics, since a mark is in each of them."""
        wanted = [name for name in topics if name in self._extents]
        return [in_thread(self._steps(wanted, after))] if wanted else []

    def _steps(self, topics: Sequence[str], after: Mapping[Partition, int]) -> Generator[Step, None, None]:
        tables = [table for table in (LISTINGS, *MARKET_TABLES) if table.topic.base_name in topics]
        with connected(self._settings, "replay", self._namespace) as db:
            markets = _markets(db)
            # What says what holds has no marks, and is asked for apart.
            is_marked = INSTRUMENTS.base_name not in topics
            marked = MarkedSeconds(topics, self.partition_count, markets, is_marked=is_marked)
            encoders = [(table, RowEncoder(table, markets)) for table in tables]
            read = dict.fromkeys(topics, 0)
            reached: Micros | None = None
            for since, until in self._windows(topics, read):
                rows = {
                    table.topic.base_name: _rows(db, encoder, table, since, until)
                    for table, encoder in encoders
                }
                for topic, found in rows.items():
                    read[topic] += len(found)
                reached = until - 1
                yield Step(_after(marked.lay_out(rows), after), reached)
        self._check(read)
        yield Step(_after(marked.end(), after), reached)

    def _windows(self, topics: Sequence[str], read: Mapping[str, int]) -> Iterator[tuple[Micros, Micros]]:
        """Stretches of whole seconds, of a length that the rows read so far suggest."""
        extents = [self._extents[topic] for topic in topics]
        start = min(extent.first for extent in extents) // SECOND_US * SECOND_US
        end = max(extent.last for extent in extents) + 1
        length, before = FIRST_WINDOW_US, 0
        while start < end:
            yield start, min(start + length, end)
            start += length
            count = sum(read.values()) - before
            before += count
            if count < FEW_ROWS:
                length = min(2 * length, LONGEST_WINDOW_US)
            elif count > MANY_ROWS:
                length = max(length // 2 // SECOND_US, 1) * SECOND_US

    def _check(self, read: Mapping[str, int]) -> None:
        for topic, count in read.items():
            if count != self._extents[topic].rows:
                raise ConflictError(
                    f"the rows of {topic} have changed while they were read ({self._extents[topic].rows} "
                    f"before, {count} now): replay a period that is past, and no longer written"
                )


def _after(portions: Sequence[Portion], after: Mapping[Partition, int]) -> list[Portion]:
    found = [portion.after(after.get(portion.partition, NOTHING)) for portion in portions]
    return [portion for portion in found if len(portion)]


def _extent(db: Db, table: Table, period: Period) -> Extent | None:
    query = sql.SQL(
        "SELECT count(*), (extract(epoch FROM min({time})) * 1000000)::bigint, "
        "(extract(epoch FROM max({time})) * 1000000)::bigint FROM {table} "
        "WHERE {time} >= {since} AND {time} < {until}"
    ).format(
        time=sql.Identifier("time"),
        table=sql.Identifier("kandle", table.name),
        since=_moment(period.since, "-infinity"),
        until=_moment(period.until, "infinity"),
    )
    row = db.execute(query).fetchone()
    return None if row is None or not row[0] else Extent(*row)


def _rows(db: Db, encoder: RowEncoder, table: Table, since: Micros, until: Micros) -> StoredRows:
    blocks = bytearray()
    query = query_of(table, _moment(since, ""), _moment(until, ""))
    with db.cursor() as cursor, cursor.copy(query) as copy:
        for block in copy:
            blocks += block
    return encoder.encode(np.frombuffer(bytes(blocks), np.uint8))


def _moment(time: Micros | None, unbound: str) -> sql.Literal:
    """A constant, not a term that the server would compute: it would lock every partition before it does."""
    return sql.Literal(unbound if time is None else _EPOCH + dt.timedelta(microseconds=time))


def _markets(db: Db) -> Markets:
    rows = db.execute("SELECT id, venue, symbol FROM kandle.instruments ORDER BY id").fetchall()
    return Markets(np.array([row[0] for row in rows], np.int64), [(row[1], row[2]) for row in rows])
