"""The tables of a namespace: the same as the live ones, in a schema of their own, on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from backtest.replay.isolation import remove
from schemas.namespace import LIVE, Namespace
from sinks.migrator import migrate, shipped
from sinks.schema import cursors, quoted
from tests.sink_harness import settings_for

Databases = Callable[[], str]
MINE = Namespace("Re-play_1")

COLUMNS = """
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), col_description(c.oid, a.attnum)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE n.nspname = ANY(%s) AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition ORDER BY 1, a.attnum
"""
EVERYTHING = """
SELECT n.nspname, c.relname, c.relkind::text, obj_description(c.oid, 'pg_class'), pg_get_viewdef(c.oid)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname IN ('kandle', 'public') AND c.relkind IN ('r', 'p', 'v', 'i', 'S') ORDER BY 1, 2
"""
FUNCTIONS = "SELECT proname, prosrc FROM pg_proc WHERE pronamespace = %s::regnamespace ORDER BY 1"


@pytest.fixture(scope="module")
def url(sink_database: Databases) -> str:
    """A database with the live tables and those of a namespace; what is live is as it was before."""
    made = sink_database()
    migrate(made)
    with psycopg.connect(made, autocommit=True) as db:
        before = db.execute(EVERYTHING).fetchall()
        assert migrate(made, namespace=MINE) == [migration.name for migration in shipped()]
        assert db.execute(EVERYTHING).fetchall() == before
    return made


def columns(url: str, *schemas: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as db:
        return [
            (*row[:-1], str(row[-1]).replace(quoted(MINE.schema), "kandle"))
            for row in db.execute(COLUMNS, (list(schemas),)).fetchall()
        ]


def test_a_namespace_has_the_same_tables_and_views_with_the_same_words(url: str) -> None:
    found = columns(url, MINE.schema)
    assert found == columns(url, "kandle", "public")
    assert {"trades", "market_trades", "offsets"} <= {name for name, *_ in found}


def test_nothing_of_a_namespace_names_the_live_schemas(url: str) -> None:
    with psycopg.connect(url) as db:
        own = db.execute(FUNCTIONS, (quoted(MINE.schema),)).fetchall()
        live = db.execute(FUNCTIONS, ("kandle",)).fetchall()
        views = db.execute(
            "SELECT pg_get_viewdef(oid) FROM pg_class WHERE relkind = 'v' "
            "AND relnamespace = %s::regnamespace",
            (quoted(MINE.schema),),
        ).fetchall()
    assert [name for name, _ in own] == [name for name, _ in live]
    for (text,) in [*[(source,) for _, source in own], *views]:
        left = text.replace(quoted(MINE.schema), "").replace(MINE.schema, "")
        assert "kandle." not in left
        assert "'kandle'" not in left
        assert "public." not in left.replace("public.first(", "").replace("public.last(", "").replace(
            "public.time_bucket(", ""
        )


def test_a_second_run_applies_nothing(url: str) -> None:
    assert migrate(url, namespace=MINE) == []
    assert migrate(url) == []


def test_statements_reach_the_tables_of_the_namespace_alone(url: str) -> None:
    insert = "INSERT INTO kandle.instruments (venue, symbol) VALUES (%s, %s)"
    with psycopg.connect(url, autocommit=True, cursor_factory=cursors(MINE)) as db:
        db.execute(insert, ("kandle.venue", "'kandle'"))
        with db.cursor() as cursor:
            cursor.executemany(insert, [("v", "A/B"), ("v", "C/D")])
            with cursor.copy("COPY kandle.instruments (venue, symbol) FROM STDIN") as copy:
                copy.write(b"kandle.x\tkandle.y\n")
        statement = psycopg.sql.SQL("SELECT venue, symbol FROM {} ORDER BY id").format(
            psycopg.sql.Identifier("kandle", "instruments")
        )
        assert db.execute(statement).fetchall() == [
            *(("kandle.venue", "'kandle'"), ("v", "A/B"), ("v", "C/D"), ("kandle.x", "kandle.y"))
        ]
        assert db.execute("SELECT 'kandle'::regnamespace::text").fetchone() == (quoted(MINE.schema),)
    with psycopg.connect(url, cursor_factory=cursors(LIVE)) as db:
        assert db.execute("SELECT count(*) FROM kandle.instruments").fetchone() == (0,)


def test_partitions_of_a_namespace_are_its_own(url: str) -> None:
    with psycopg.connect(url, autocommit=True, cursor_factory=cursors(MINE)) as db:
        hypertable = db.execute("SELECT bool_or(hypertable) FROM kandle.time_tables").fetchone() == (True,)
        if hypertable:
            db.execute(
                'INSERT INTO kandle.market_trades ("time", receive_time, price, size, instrument_id) '
                "VALUES ('2026-01-01', '2026-01-01', 1, 1, 1)"
            )
            assert db.execute("SELECT kandle.keep_columns('market_trades', '1 day')").fetchone() == (True,)
            assert db.execute("SELECT kandle.keep_aggregates(null)").fetchone() == (True,)
        else:
            db.execute("SELECT kandle.make_partition('market_trades', '2026-01-01')")
        found = db.execute("SELECT table_name, starts::date::text FROM kandle.partitions()").fetchall()
        assert found == [("market_trades", "2026-01-01")]
        db.execute("SELECT kandle.index_partition(partition) FROM kandle.partitions()")
        assert db.execute("SELECT wants_index FROM kandle.partitions()").fetchall() == [(False,)]
    with psycopg.connect(url) as db:
        assert db.execute("SELECT count(*) FROM kandle.partitions()").fetchone() == (0,)


def test_readers_may_read_the_views_of_a_namespace(url: str) -> None:
    with psycopg.connect(url) as db:
        if db.execute("SELECT to_regrole('kandle_reader')").fetchone() == (None,):
            pytest.skip("this login may make no roles")
        rights = db.execute(
            "SELECT has_schema_privilege('kandle_reader', %s, 'USAGE'), "
            "has_table_privilege('kandle_reader', %s, 'SELECT'), "
            "has_table_privilege('kandle_reader', %s, 'SELECT')",
            (MINE.schema, *(f"{quoted(MINE.schema)}.{name}" for name in ("trades", "market_trades"))),
        ).fetchone()
    assert rights == (True, True, False)


def test_a_dropped_namespace_leaves_the_live_tables_and_nothing_of_its_own(
    url: str, kafka: str, tmp_path: Path
) -> None:
    settings = settings_for(kafka, url).model_copy(update={"data_dir": tmp_path})
    with psycopg.connect(url, autocommit=True) as db:
        before = db.execute(EVERYTHING).fetchall()
        removed = remove(settings, MINE)
        assert (removed.schema, removed.topics, removed.groups) == (MINE.schema, [], [])
        assert db.execute(EVERYTHING).fetchall() == before
        assert db.execute("SELECT FROM pg_namespace WHERE nspname = %s", (MINE.schema,)).fetchall() == []
        if db.execute("SELECT FROM pg_extension WHERE extname = 'timescaledb'").fetchall():
            found = db.execute(
                "SELECT hypertable_schema FROM timescaledb_information.hypertables UNION ALL "
                "SELECT view_schema FROM timescaledb_information.continuous_aggregates UNION ALL "
                "SELECT hypertable_schema FROM timescaledb_information.jobs "
                "WHERE hypertable_schema IS NOT NULL"
            )
            assert {schema for (schema,) in found.fetchall()} == {"kandle"}
    assert remove(settings, MINE).schema is None
