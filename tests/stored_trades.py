"""How far a running pipeline is, as its database says."""

import json
from pathlib import Path

import psycopg

from tests.kandle_command import endpoints


class StoredTrades:
    """Counts the stored trades of a running pipeline, by a connection of its own."""

    def __init__(self, data: Path) -> None:
        self._data = data

    def count(self) -> int:
        """Rows so far; 0 while the database cannot be asked."""
        try:
            with psycopg.connect(endpoints(self._data)["postgres"]["dsn"]) as connection:
                row = connection.execute("SELECT count(*) FROM public.trades").fetchone()
        except (psycopg.Error, OSError, TypeError, json.JSONDecodeError):
            return 0
        return int(row[0]) if row else 0
