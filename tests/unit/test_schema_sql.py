"""SQL rendered for the schema of a namespace: what it replaces, and what only looks alike."""

from __future__ import annotations

import re

import pytest

from schemas.namespace import LIVE, Namespace
from sinks.migrator import shipped
from sinks.schema import quoted, rendered, rendered_file, search_path

PLAIN, QUOTED = Namespace("r1"), Namespace("Re-1")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT * FROM kandle.offsets o", 'SELECT * FROM "kandle_Re-1".offsets o'),
        ('COPY "kandle"."market_trades" FROM STDIN', 'COPY "kandle_Re-1"."market_trades" FROM STDIN'),
        ("WHERE nspname = 'kandle'", "WHERE nspname = 'kandle_Re-1'"),
        ("= 'kandle'::regnamespace", "= '\"kandle_Re-1\"'::regnamespace"),
        ("hypertable_schema = ''kandle'''", "hypertable_schema = ''kandle_Re-1'''"),
        ("format('kandle.%I', name)", "format('\"kandle_Re-1\".%I', name)"),
        ("'kandle.' || name", "'\"kandle_Re-1\".' || name"),
        ("CREATE SCHEMA IF NOT EXISTS kandle;", 'CREATE SCHEMA IF NOT EXISTS "kandle_Re-1";'),
        ("GRANT ALL ON SCHEMA kandle, public TO x", 'GRANT ALL ON SCHEMA "kandle_Re-1", public TO x'),
        ("SELECT to_regproc('kandle.give_rights')", "SELECT to_regproc('\"kandle_Re-1\".give_rights')"),
    ],
)
def test_the_schema_takes_the_place_of_kandle(text: str, expected: str) -> None:
    assert rendered(text, QUOTED) == expected
    assert rendered(text, PLAIN) == expected.replace('"kandle_Re-1"', "kandle_r1").replace(
        "kandle_Re-1", "kandle_r1"
    )
    assert rendered(text, LIVE) == rendered_file(text, LIVE) == text


@pytest.mark.parametrize(
    "text",
    [
        "GRANT SELECT ON x TO kandle_reader",
        "application_name LIKE 'kandle-sink-%'",
        "SELECT mykandle.x, my.kandle.x, 'kandle_owner'",
        "SELECT * FROM public.mine",
        "-- for schema kandle",
    ],
)
def test_what_looks_alike_is_left(text: str) -> None:
    assert rendered(text, QUOTED) == text


def test_every_migration_names_the_schemas_in_ways_that_are_known() -> None:
    for migration in shipped():
        text = (
            rendered_file(migration.sql, QUOTED).replace(quoted(QUOTED.schema), "").replace(QUOTED.schema, "")
        )
        for line in text.splitlines():
            words = re.sub(r"--.*|\b(schema|view of schema) (kandle|public)\b", "", line)
            assert not re.search(r"\b(kandle|public)\b", words), (migration.name, line)


def test_a_session_looks_into_the_namespace_first() -> None:
    assert search_path(QUOTED) == '"kandle_Re-1", public'
    assert search_path(PLAIN) == "kandle_r1, public"
