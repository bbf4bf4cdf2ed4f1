"""Migrations on a real PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Callable

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from schemas.errors import ConfigurationError, ConflictError, UnavailableError
from sinks.migrator import Migration, migrate, shipped

VIEWS = {
    "trades": "time venue symbol trade_id price size side receive_time",
    "quotes": "time venue symbol bid bid_size ask ask_size receive_time",
    "candles": "time venue symbol interval open high low close volume quote_volume trade_count "
    "complete revision taker_buy_volume vwap backfilled",
    "indicators": "time venue symbol interval name value complete revision",
    "ohlcv_data": "timestamp symbol timeframe open high low close volume",
    "trading_pairs": "symbol base exchange active",
    "signals": "time venue symbol interval rule direction strength complete event_time candle_id values",
}
TYPES = {
    "time": "timestamp with time zone",
    "receive_time": "timestamp with time zone",
    "event_time": "timestamp with time zone",
    "values": "jsonb",
    "price": "double precision",
    "size": "double precision",
    "side": "text",
    "interval": "text",
    "direction": "text",
    "trade_id": "text",
    "open": "double precision",
    "volume": "double precision",
    "value": "double precision",
    "complete": "boolean",
}

Databases = Callable[[], str]


def test_a_second_run_applies_nothing(sink_database: Databases) -> None:
    url = sink_database()
    assert migrate(url) == [migration.name for migration in shipped()]
    assert migrate(url) == []


def test_two_processes_at_once_apply_each_file_once(sink_database: Databases) -> None:
    url = sink_database()
    applied: list[str] = []
    threads = [threading.Thread(target=lambda: applied.extend(migrate(url))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(applied) == [migration.name for migration in shipped()]


def test_tables_are_cut_by_what_the_server_has(
    sink_database: Databases, request: pytest.FixtureRequest
) -> None:
    """The extension stays out of schema kandle, even for a role whose search path begins with it."""
    url = sink_database()
    migrate(make_conninfo(url, options="-c search_path=kandle,public"))
    hypertables = request.node.callspec.params["sink_database"] == "timescale"
    with psycopg.connect(url) as db:
        cut = db.execute("SELECT name, hypertable FROM kandle.time_tables").fetchall()
        kinds = db.execute(
            "SELECT relname, relkind = 'r' FROM pg_class JOIN kandle.time_tables ON name = relname "
            "WHERE relnamespace = 'kandle'::regnamespace"
        ).fetchall()
        extension = db.execute(
            "SELECT extnamespace::regnamespace::text FROM pg_extension WHERE extname = 'timescaledb'"
        ).fetchall()
        assert len(cut) == 11
        assert all(found == hypertables for _, found in cut)
        assert sorted(kinds) == sorted(cut)
        assert extension == ([("public",)] if hypertables else [])
        if hypertables:
            made = db.execute(
                "SELECT hypertable_name, true FROM timescaledb_information.hypertables "
                "WHERE hypertable_schema = 'kandle'"
            ).fetchall()
            assert sorted(made) == sorted(cut)


def test_a_changed_file_is_refused(postgres: Databases) -> None:
    url = postgres()
    migrate(url)
    first, *rest = shipped()
    with pytest.raises(ConflictError, match=f"{first.name} was applied with checksum"):
        migrate(url, migrations=[Migration(first.name, first.sql + "\n-- changed"), *rest])


def test_a_database_of_a_newer_version_is_refused(postgres: Databases) -> None:
    url = postgres()
    migrate(url)
    with pytest.raises(ConflictError, match="does not know: 004"):
        migrate(url, migrations=shipped()[:3])


def test_a_failing_file_leaves_nothing_behind_and_names_itself(postgres: Databases) -> None:
    url = postgres()
    sql = "CREATE TABLE kandle.left_behind (a int); SELECT nothing;"
    broken = [*shipped(), Migration("999_broken.sql", sql)]
    with pytest.raises(ConflictError, match=r"999_broken\.sql failed"):
        migrate(url, migrations=broken)
    with psycopg.connect(url) as db:
        assert db.execute("SELECT to_regclass('kandle.left_behind')").fetchone() == (None,)
        assert db.execute("SELECT count(*) FROM kandle.migrations").fetchone() == (len(shipped()),)


def test_a_file_without_a_transaction_may_do_what_transactions_cannot(postgres: Databases) -> None:
    url = postgres()
    sql = "-- no-transaction\nCREATE INDEX CONCURRENTLY IF NOT EXISTS late ON kandle.instruments (symbol)"
    assert migrate(url, migrations=[*shipped(), Migration("999_late.sql", sql)])[-1] == "999_late.sql"


def test_readers_find_exactly_the_promised_columns(sink_database: Databases) -> None:
    url = sink_database()
    migrate(url)
    with psycopg.connect(url) as db:
        for view, columns in VIEWS.items():
            found = db.execute(
                "SELECT column_name::text, data_type::text FROM information_schema.columns "
                "WHERE table_schema = 'public' AND table_name = %s ORDER BY ordinal_position",
                (view,),
            ).fetchall()
            assert " ".join(name for name, _ in found) == columns
            if view not in ("ohlcv_data", "trading_pairs"):  # these have the types of their document
                assert all(TYPES.get(name, kind) == kind for name, kind in found)


def test_a_role_named_like_the_schema_reads_the_views(postgres: Databases) -> None:
    """Its search path begins with schema kandle, so no table there may have the name of a view."""
    url = postgres()
    migrate(url)
    with psycopg.connect(url) as db:
        clash = db.execute(
            "SELECT a.relname FROM pg_class a JOIN pg_class b USING (relname) "
            "WHERE a.relnamespace = 'kandle'::regnamespace AND b.relnamespace = 'public'::regnamespace"
        ).fetchall()
        assert clash == []


def test_a_database_that_is_away_is_called_away() -> None:
    with pytest.raises(UnavailableError, match="does not answer"):
        migrate("postgresql://nobody@127.0.0.1:1/none", connect_timeout_s=1)


@pytest.mark.parametrize("part", ["password", "database"])
def test_a_wrong_password_or_name_is_no_outage(postgres: Callable[[], str], part: str) -> None:
    url = make_conninfo(postgres(), **{"password": "wrong"} if part == "password" else {"dbname": "absent"})
    with pytest.raises(ConfigurationError, match="DATABASE_URL"):
        migrate(url)
