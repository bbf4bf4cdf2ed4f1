"""The upkeep of the tables on a real PostgreSQL and a real TimescaleDB."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Callable

import numpy as np
import psycopg
import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from infra.settings import DatabaseSettings, Settings, SinkSettings
from schemas.errors import ConfigurationError
from schemas.topics import TRADES
from sinks.database import Database
from sinks.migrator import migrate
from sinks.timescale.partitions import BULK_ROWS, CALM_AFTER_S, Partitions
from sinks.timescale.upkeep import AHEAD, Upkeep
from tests.sink_harness import (
    BASE_US,
    Log,
    fresh_topics,
    query,
    running,
    settings_for,
    sorted_rows,
    stored_trades,
    totals,
    trade,
    until,
)

Databases = Callable[[], str]
NOW = dt.datetime.now(dt.UTC)


@pytest.fixture
def url(sink_database: Databases) -> str:
    found = sink_database()
    migrate(found)
    return found


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    found = Database(DatabaseSettings(url=SecretStr(url)))
    yield found
    await found.close()


def is_timescale(url: str) -> bool:
    return query(url, "SELECT bool_or(hypertable) FROM kandle.time_tables") == [(True,)]


def put_trades(url: str, times: list[dt.datetime]) -> None:
    with psycopg.connect(url) as db:
        for number, at in enumerate(times):
            db.execute(
                "SELECT kandle.make_partition(name, %s::timestamptz::date) FROM kandle.time_tables "
                "WHERE name = 'market_trades' AND NOT hypertable",
                (at,),
            )
            db.execute(
                'INSERT INTO kandle.market_trades ("time", receive_time, sequence, price, size, '
                "instrument_id) VALUES (%s, %s, %s, 1, 1, 1)",
                (at, at, number),
            )


def wanting(url: str) -> list[str]:
    """Tables with partitions that want an index."""
    found = query(url, "SELECT DISTINCT table_name FROM kandle.partitions() WHERE wants_index ORDER BY 1")
    return [table for (table,) in found]


async def test_partitions_are_made_ahead_and_born_with_their_index(url: str, database: Database) -> None:
    await Upkeep(database, SinkSettings(), Partitions()).once()
    made = query(
        url, "SELECT table_name, count(*)::int, min(starts), max(ends) FROM kandle.partitions() GROUP BY 1"
    )
    tables = {name for (name,) in query(url, "SELECT name FROM kandle.time_tables WHERE NOT hypertable")}
    assert {table for table, *_ in made} == tables
    assert all(count == AHEAD + 1 and starts <= NOW and ends > NOW for _, count, starts, ends in made)
    assert wanting(url) == []


async def test_a_table_gets_its_index_when_nobody_writes_it_in_bulk(url: str, database: Database) -> None:
    now = [1000.0]
    partitions = Partitions(clock=lambda: now[0])
    upkeep = Upkeep(database, SinkSettings(), partitions)
    async with database.connection() as db:
        await partitions.load(db)
        await partitions.ensure(db, "market_trades", np.full(BULK_ROWS, BASE_US))
        await partitions.ensure(db, "market_quotes", np.full(10, BASE_US))
    put_trades(url, [dt.datetime.fromtimestamp(BASE_US / 1e6, dt.UTC)])
    await upkeep.once()
    assert wanting(url) == ["market_trades"]
    now[0] += CALM_AFTER_S
    await upkeep.once()
    assert wanting(url) == []


async def test_an_index_that_was_left_unfinished_is_made_anew(
    url: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sinks.timescale.upkeep.SMALL_BYTES", 0)
    put_trades(url, [dt.datetime.fromtimestamp(BASE_US / 1e6, dt.UTC)])
    upkeep = Upkeep(database, SinkSettings(), Partitions())
    await upkeep.once()
    with psycopg.connect(url) as db:
        db.execute(
            "UPDATE pg_index SET indisvalid = false FROM kandle.partitions() p "
            "WHERE p.table_name = 'market_trades' AND indrelid = p.partition "
            "AND indexrelid::regclass::text LIKE '%\\_instrument'"
        )
    assert wanting(url) == ["market_trades"]
    await upkeep.once()
    assert wanting(url) == []


async def test_after_an_index_beside_the_writers_nobody_waits_for_long_again(
    url: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sinks.timescale.upkeep.SMALL_BYTES", 16_384)
    upkeep = Upkeep(database, SinkSettings(), Partitions())
    await upkeep.once()
    small = dt.datetime.fromtimestamp(BASE_US / 1e6, dt.UTC)
    put_trades(url, [small, *[small + dt.timedelta(days=1)] * 300])
    with psycopg.connect(url) as db:
        db.execute(
            'INSERT INTO kandle.market_trades ("time", receive_time, price, size, instrument_id) '
            "VALUES (%s, %s, 1, 1, 1)",
            (small, small),
        )
        with pytest.raises(psycopg.errors.LockNotAvailable):
            await asyncio.wait_for(upkeep.once(), 20)
    assert len(query(url, "SELECT FROM kandle.partitions() WHERE wants_index")) == 1


async def test_retention_drops_what_is_old_says_so_and_leaves_the_rest(url: str, database: Database) -> None:
    old, young = NOW - dt.timedelta(days=8), NOW - dt.timedelta(days=3)
    put_trades(url, [old, old, young])
    settings = SinkSettings(retention_days={"trades": 5})
    partitions = Partitions({"market_trades": 5})
    async with database.connection() as db:
        await partitions.load(db)
    with capture_logs() as logs:
        await Upkeep(database, settings, partitions).once()
    dropped = [entry for entry in logs if entry["event"].startswith("rows dropped")]
    assert [(entry["table"], entry["log_level"]) for entry in dropped] == [("market_trades", "warning")]
    assert (
        dt.datetime.fromisoformat(dropped[0]["first"]) <= old < dt.datetime.fromisoformat(dropped[0]["until"])
    )
    assert query(url, 'SELECT "time" FROM kandle.market_trades') == [(young,)]

    # A late row of that time finds a partition again, whoever dropped it.
    async with database.connection() as db:
        for _ in range(2):
            await partitions.ensure(db, "market_trades", np.array([int(old.timestamp() * 1e6)]))
            await db.execute(
                'INSERT INTO kandle.market_trades ("time", receive_time, price, size, instrument_id) '
                "VALUES (%s, %s, 1, 1, 1)",
                (old, old),
            )
            await db.execute(
                "SELECT kandle.drop_partition(partition) FROM kandle.partitions() "
                "WHERE table_name = 'market_trades' AND ends < %s",
                (young,),
            )
    assert query(url, 'SELECT "time" FROM kandle.market_trades') == [(young,)]


async def test_retention_of_a_table_that_is_not_there_is_refused(database: Database) -> None:
    upkeep = Upkeep(database, SinkSettings(retention_days={"trade": 5}), Partitions())
    with pytest.raises(ConfigurationError, match=r"retention_days names trade; tables are .*quotes.*trades"):
        await upkeep.run()


async def test_one_process_at_a_time_does_the_upkeep(url: str, database: Database) -> None:
    put_trades(url, [NOW])
    with psycopg.connect(url) as db:
        db.execute("SELECT pg_advisory_lock(%s)", (0x6B616E646C7570,))
        await Upkeep(database, SinkSettings(), Partitions()).once()
        assert wanting(url) == ["market_trades"]


async def test_policies_follow_the_settings(url: str, database: Database) -> None:
    await Upkeep(database, SinkSettings(retention_days={"trades": 30}), Partitions()).once()
    if not is_timescale(url):
        assert query(
            url, "SELECT kandle.keep_columns('market_trades', '1 day'), kandle.keep_aggregates(null)"
        ) == [(False, False)]
        return
    jobs = (
        "SELECT hypertable_name, config ->> 'compress_after', config ->> 'start_offset' "
        "FROM timescaledb_information.jobs WHERE hypertable_schema = 'kandle'"
    )
    found = {name: (after, since) for name, after, since in query(url, jobs)}
    tables = {name for (name,) in query(url, "SELECT name FROM kandle.time_tables")}
    assert {found.pop(table) for table in tables} == {("2 days", None)}
    assert {name.rpartition("_")[2] for name in found} == {"1m", "5m", "15m", "1h", "4h", "1d"}
    assert {since for _, since in found.values()} == {"29 days"}
    await Upkeep(database, SinkSettings(columnstore_after_days=0), Partitions()).once()
    assert {(after, since) for _, after, since in query(url, jobs)} == {(None, None)}


async def test_rows_in_columns_are_the_same_rows_and_repeats_are_known(
    kafka: str, sink_database: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Large portions straight into the columnstore; then the same, and rows without numbers, once more."""
    bulk_rows = 1000
    monkeypatch.setattr("sinks.timescale.sink.BULK_ROWS", bulk_rows)
    settings: Settings = settings_for(
        kafka, sink_database(), sink=SinkSettings(direct_compression=True, flush_ms=1000)
    )
    fresh_topics(settings.kafka)
    assert settings.database.url is not None
    url = settings.database.url.get_secret_value()
    log = Log(kafka)
    bulk = [trade(number) for number in range(2 * bulk_rows)]
    unnumbered = [trade(number, numbered=False) for number in range(100)]
    log.put(TRADES, 0, bulk)
    log.put(TRADES, 0, unnumbered)
    expected = sorted_rows([*bulk, *unnumbered])
    async with running(settings, ["timescale"]) as task:
        await until(lambda: totals(url, "timescale")[0] == len(expected), task=task)
        if is_timescale(url):
            parts = query(
                url, "SELECT in_columns FROM kandle.partitions() WHERE table_name = 'market_trades'"
            )
            assert (True,) in parts
        log.put(TRADES, 0, [*unnumbered, *bulk[:bulk_rows]])
        await until(
            lambda: totals(url, "timescale")[0] == len(expected) + bulk_rows + len(unnumbered), task=task
        )
    assert stored_trades(url) == expected
    assert totals(url, "timescale")[1] == len(expected)
