"""Who serves a channel: the process whose connection holds the channel's lock in the database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from schemas.namespace import current
from sinks.database import Connection, Database

CONNECTION_NAME = "sink-notifications-ledger"


class ServedElsewhereError(Exception):
    """Another process holds the lock of a channel."""


class ChannelLocks:
    """The one connection over which all channels of a process read and write the ledger.

    The locks belong to it: a killed process gives its channels away at once, and who can write the ledger
    over it still has them. So no message is taken up by two processes.

    Args:
        database: Where the connection comes from.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: Connection | None = None
        self._turn = asyncio.Lock()
        self._held: set[str] = set()

    @asynccontextmanager
    async def holding(self, channel: str) -> AsyncIterator[Connection]:
        """The connection, for short work on a channel that is ours; waits while another channel has it.

        Raises:
            ServedElsewhereError: Another process serves the channel.
            UnavailableError: The database does not answer.
        """
        async with self._turn:
            db = await self._open()
            if channel not in self._held:
                cursor = await db.execute(
                    "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", (f"{current().schema}/{channel}",)
                )
                row = await cursor.fetchone()
                if not (row and row[0]):
                    raise ServedElsewhereError(f"another process serves channel {channel}")
                self._held.add(channel)
            yield db

    async def close(self) -> None:
        """Give up the connection, and all channels with it."""
        self._held.clear()
        if self._connection is not None:
            connection, self._connection = self._connection, None
            await self._database.release(connection)

    async def _open(self) -> Connection:
        if self._connection is not None and self._connection.closed:
            await self.close()
        if self._connection is None:
            self._connection = await self._database.hold(CONNECTION_NAME)
        return self._connection
