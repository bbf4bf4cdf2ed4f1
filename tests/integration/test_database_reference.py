"""The reference of the views is what a migrated database says of itself."""

from collections.abc import Callable
from pathlib import Path

import psycopg

from kandle.reference.database import database_page
from sinks.migrator import migrate

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "database.md"


def test_the_page_is_what_the_database_says(postgres: Callable[[], str]) -> None:
    url = postgres()
    migrate(url)
    with psycopg.connect(url) as db:
        assert PAGE.read_text() == database_page(db), (
            "run: kandle reference database > docs/reference/database.md"
        )
