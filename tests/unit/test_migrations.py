"""The shipped migration files keep their own rules."""

from __future__ import annotations

import re

from sinks.migrator import Migration, shipped


def test_numbers_are_unique_and_ascend_from_one() -> None:
    numbers = [int(migration.name[:3]) for migration in shipped()]
    assert numbers == list(range(1, len(numbers) + 1))


def test_every_table_view_and_column_has_a_comment() -> None:
    text = "\n".join(migration.sql for migration in shipped())
    for table, body in re.findall(r"CREATE TABLE (kandle\.\w+) \((.*?)\n\)", text, re.DOTALL):
        assert f"COMMENT ON TABLE {table} IS" in text, table
        columns = re.findall(r'^ {4}("?[a-z_]+"?) +[a-z"]', body, re.MULTILINE)
        assert columns, table
        for column in columns:
            assert f"COMMENT ON COLUMN {table}.{column} IS" in text, f"{table}.{column}"
    for view in re.findall(r"CREATE VIEW (public\.\w+) AS", text):
        assert f"COMMENT ON VIEW {view} IS" in text, view


def test_the_first_line_decides_on_the_transaction() -> None:
    assert Migration("001_a.sql", "SELECT 1").transactional
    assert not Migration("002_b.sql", "-- no-transaction\nCREATE INDEX CONCURRENTLY i ON t (c)").transactional


def test_the_checksum_is_that_of_the_text() -> None:
    assert Migration("001_a.sql", "SELECT 1").checksum != Migration("001_a.sql", "SELECT 2").checksum
