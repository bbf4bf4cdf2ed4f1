"""What the groups of rights may do, and may not: a writer, a reader, an owner that is no administrator."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import psycopg
import pytest
from click.testing import CliRunner
from psycopg.conninfo import conninfo_to_dict
from pydantic import SecretStr

from infra.settings import DatabaseSettings, SinkSettings
from kandle.commands.sink import sink
from schemas.topics import TRADES
from sinks.database import Database
from sinks.migrator import migrate, shipped
from sinks.timescale.partitions import Partitions
from sinks.timescale.upkeep import Upkeep
from tests.sink_harness import (
    Log,
    fresh_topics,
    mark,
    query,
    running,
    settings_for,
    sorted_rows,
    stored_trades,
    trade,
    until_passed,
)

Databases = Callable[[], str]
Logins = Callable[[str, str], str]


@pytest.fixture
def logins() -> Iterator[Logins]:
    """Makes a login beside that of a URL, given what follows CREATE ROLE; gives its URL."""
    made: list[tuple[str, str]] = []

    def make(url: str, kind: str) -> str:
        name = f"login_{uuid.uuid4().hex[:12]}"
        with psycopg.connect(url, autocommit=True) as db:
            db.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'x' {kind}".encode())
        made.append((url, name))
        parts = conninfo_to_dict(url)
        return f"postgresql://{name}:x@{parts['host']}:{parts['port']}/{parts['dbname']}"

    yield make
    for url, name in made:
        with psycopg.connect(url, autocommit=True) as db:
            db.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", (name,))
            db.execute(f"REASSIGN OWNED BY {name} TO CURRENT_USER".encode())
            db.execute(f"DROP OWNED BY {name} CASCADE".encode())
            db.execute(f"DROP ROLE {name}".encode())


def test_a_reader_reads_every_view_and_writes_nothing(sink_database: Databases, logins: Logins) -> None:
    url = sink_database()
    migrate(url)
    views = [
        name
        for (name,) in query(
            url,
            "SELECT quote_ident(relname) FROM pg_class c WHERE relnamespace = 'public'::regnamespace "
            "AND relkind = 'v' AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = c.oid AND deptype = 'e')",
        )
    ]
    assert {"trades", "candles", "trades_1m", "trades_1d", "ohlcv_data"} < set(views)
    forbidden = [
        *(
            "INSERT INTO public.trades DEFAULT VALUES",
            "DELETE FROM public.candles",
            "TABLE kandle.market_trades",
        ),
        *("CREATE TABLE public.mine (a int)", "SELECT * FROM kandle.offsets", "CREATE SCHEMA mine"),
        "SELECT kandle.make_partition('market_trades', '2026-01-01')",
    ]
    with psycopg.connect(logins(url, "IN ROLE kandle_reader"), autocommit=True) as db:
        for view in views:
            assert db.execute(f"SELECT count(*) FROM public.{view}".encode()).fetchone() is not None
        for statement in forbidden:
            with pytest.raises(
                (psycopg.errors.InsufficientPrivilege, psycopg.errors.ObjectNotInPrerequisiteState)
            ):
                db.execute(statement.encode())


async def test_the_sink_runs_as_a_writer_that_may_not_migrate(
    kafka: str, sink_database: Databases, logins: Logins
) -> None:
    url = sink_database()
    migrate(url)
    writer = logins(url, "IN ROLE kandle_writer")
    settings = settings_for(kafka, writer)
    fresh_topics(settings.kafka)
    log = Log(kafka)
    items = [trade(number, numbered=number % 2 == 0) for number in range(300)]
    for partition in (0, 1):
        log.put(TRADES, partition, [*(items if partition == 0 else ()), mark(0, final=True)])
    async with running(settings, ["timescale"]) as task:
        await until_passed(url, "timescale", TRADES, task=task)
    assert stored_trades(url) == sorted_rows(items)

    database = Database(DatabaseSettings(url=SecretStr(writer)))
    try:
        await Upkeep(database, SinkSettings(retention_days={"trades": 4}), Partitions()).once()
    finally:
        await database.close()
    assert stored_trades(url) == []
    assert query(url, "SELECT count(*) FROM kandle.partitions() WHERE wants_index") == [(0,)]
    with psycopg.connect(writer, autocommit=True) as db:
        for statement in (
            "DROP TABLE kandle.market_trades",
            "DELETE FROM kandle.migrations",
            "ALTER TABLE kandle.market_trades ADD COLUMN a int",
            "CREATE TABLE kandle.mine (a int)",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                db.execute(statement.encode())


def test_an_owner_that_is_no_administrator_migrates(
    sink_database: Databases, logins: Logins, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate(sink_database())  # makes the groups, as an administrator
    url = sink_database()
    owner = logins(url, "")
    name, login = conninfo_to_dict(url)["dbname"], conninfo_to_dict(owner)["user"]
    with psycopg.connect(url, autocommit=True) as db:
        db.execute(f"ALTER DATABASE {name} OWNER TO {login}".encode())
    monkeypatch.setenv("DATABASE_URL", owner)
    told = [CliRunner().invoke(sink, ["migrate"], catch_exceptions=False).stdout for _ in range(2)]
    assert told[0].endswith(f"applied: {', '.join(migration.name for migration in shipped())}\n")
    assert told[1] == "the database is up to date\n"
    with psycopg.connect(logins(url, "IN ROLE kandle_writer"), autocommit=True) as db:
        assert (
            db.execute(
                "SELECT kandle.make_partition(name, '2026-01-01') FROM kandle.time_tables "
                "WHERE NOT hypertable"
            ).fetchall()
            is not None
        )
        assert db.execute("SELECT count(*) FROM kandle.market_trades").fetchone() == (0,)
    with psycopg.connect(url, autocommit=True) as db:
        db.execute(f"ALTER DATABASE {name} OWNER TO CURRENT_USER".encode())


def test_groups_that_come_later_get_their_rights_at_the_next_start(sink_database: Databases) -> None:
    url = sink_database()
    migrate(url)
    with psycopg.connect(url, autocommit=True) as db:
        db.execute("REVOKE ALL ON ALL TABLES IN SCHEMA public FROM kandle_reader")
        db.execute("REVOKE ALL ON SCHEMA kandle FROM kandle_writer")
    assert migrate(url) == []
    assert query(
        url,
        "SELECT has_table_privilege('kandle_reader', 'public.candles', 'SELECT'), "
        "has_schema_privilege('kandle_writer', 'kandle', 'USAGE')",
    ) == [(True, True)]
