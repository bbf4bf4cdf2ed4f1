"""The watch's own way to the database, which outlives the server: it may be killed and come back."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Final

import psycopg

from schemas.errors import UnavailableError
from schemas.namespace import LIVE, Namespace, current
from sinks.schema import SET_SEARCH_PATH, async_cursors, search_path

PATIENCE_S: Final = 60.0
"""A server that was killed recovers what it had not written; who runs it tells when it does not come back."""

PAUSE_S: Final = 0.2


class Database:
    """One connection for small questions, made again when it breaks. Not for transactions.

    Args:
        dsn: Where the server is.
        namespace: Whose tables are asked; None for those of this process.
    """

    def __init__(self, dsn: str, namespace: Namespace | None = None) -> None:
        self._dsn = dsn
        self._namespace = namespace or current()
        self._connection: psycopg.AsyncConnection[Any] | None = None
        self._lock = asyncio.Lock()

    async def rows(self, query: str, arguments: Sequence[object] = ()) -> list[Any]:
        """The rows that answer a question, asked again after a break.

        Raises:
            UnavailableError: The database has not answered for `PATIENCE_S`.
        """
        deadline = time.monotonic() + PATIENCE_S
        async with self._lock:
            while True:
                try:
                    return await self._ask(query, arguments)
                except psycopg.OperationalError as error:
                    await self.close()
                    if time.monotonic() > deadline:
                        raise UnavailableError(f"the database does not answer: {error}") from error
                await asyncio.sleep(PAUSE_S)

    async def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _ask(self, query: str, arguments: Sequence[object]) -> list[Any]:
        if self._connection is None:
            self._connection = await psycopg.AsyncConnection.connect(
                self._dsn,
                autocommit=True,
                connect_timeout=5,
                options="-c timezone=UTC",
                application_name="kandle up",
                cursor_factory=async_cursors(self._namespace),
            )
            if self._namespace != LIVE:
                await self._connection.execute(SET_SEARCH_PATH, (search_path(self._namespace),))
        cursor = await self._connection.execute(query, arguments)
        return await cursor.fetchall()
