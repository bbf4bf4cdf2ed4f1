"""Connections to PostgreSQL as the sinks want them: short timeouts, and errors sorted by what to do."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Final, Self

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout

from infra.settings import DatabaseSettings
from schemas.errors import ConfigurationError, UnavailableError
from schemas.namespace import LIVE, current
from sinks.schema import SET_SEARCH_PATH, async_cursors, search_path

Connection = psycopg.AsyncConnection[Any]

STATEMENT_TIMEOUT_MS: Final = 60_000
"""A statement that waits longer, for a lock say, is cancelled and tried again."""
LOCK_TIMEOUT_MS: Final = 8_000
"""Whoever waits longer for a lock looks who holds it, see `end_stalled`."""
IDLE_IN_TRANSACTION_TIMEOUT_MS: Final = 30_000
"""A process that was stopped in the middle of a transaction must not hold the offset rows for ever."""
STALLED_AFTER_S: Final = 8
SHORT_ANSWER_S: Final = 5.0
"""For what a server does at once; one that has not answered by then is gone without a word."""
RECONNECT_S: Final = 3.0
"""The pool's pauses between attempts to connect grow up to here, then begin anew: a second, then two."""
_SERVER_LOST: Final = {
    # A link that went half open is noticed after 10 + 3 * 5 s, one that takes no bytes after 20 s.
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
_PASSING_STATES: Final = frozenset({"25006", "25P03", "25P04", "40001", "40P01"})
"""Read-only (a failover), timeouts of idle transactions and of transactions, serialization, deadlock."""


def database_url(settings: DatabaseSettings) -> str:
    """The configured URL.

    Raises:
        ConfigurationError: There is none, or it is not one.
    """
    if settings.url is None:
        raise ConfigurationError(
            "no database is configured: set DATABASE_URL, or run `kandle up`, which brings its own"
        )
    url = settings.url.get_secret_value()
    try:
        conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        # What libpq says of it may hold the password.
        raise ConfigurationError(
            "DATABASE_URL cannot be used: one is postgresql://user:password@host:5432/name, with what is "
            "not a letter or digit in the password written as %XX"
        ) from None
    return url


def application_name(name: str) -> str:
    """What the server shows of a connection of this name in the namespace of this process."""
    prefix = current().prefix
    return f"kandle-{name}@{prefix}" if prefix else f"kandle-{name}"


@contextmanager
def broken_after(connection: Connection, timeout_s: float) -> Iterator[None]:
    """End a connection whose work is not done in time: its link may be half open, or the server stopped.

    Who waits for an answer then gets an `OperationalError`. A cancelled task would not do: it waits for the
    server's answer to the cancellation.
    """

    def end() -> None:
        with suppress(OSError), socket.socket(fileno=os.dup(connection.fileno())) as link:
            link.shutdown(socket.SHUT_RDWR)

    timer = asyncio.get_running_loop().call_later(timeout_s, end)
    try:
        yield
    finally:
        timer.cancel()


class Database:
    """The connections of one process, at most `pool_max` of them; opened when the first one is asked for.

    `connection` lends one for short work. A sink's transactions go over one that it holds for as long as it
    works (`hold`): its temporary tables and prepared statements stay with it, and it has a name by which the
    server's other users, and `end_stalled`, tell the sinks apart.

    Args:
        settings: Where, how many, and how long to wait.
        name: What the server shows of connections that are not held.
    """

    def __init__(self, settings: DatabaseSettings, name: str = "sink") -> None:
        self._settings = settings
        self._name = name
        self._pool: AsyncConnectionPool[Connection] | None = None
        self._checking: asyncio.Task[None] | None = None
        self._failure: psycopg.Error | None = None
        self._lent = 0

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lend a connection in autocommit mode that was just tried; leave nothing behind in its session.

        Raises:
            UnavailableError: The server does not answer, or all connections are in use for too long.
            ConfigurationError: None is configured, or the URL is not one.
        """
        connection = await self._take()
        try:
            yield connection
        finally:
            await self._give_back(connection)

    async def hold(self, name: str) -> Connection:
        """A connection to keep until `release`, which the server shows under a name of its own.

        Raises:
            UnavailableError, ConfigurationError: As `connection`.
        """
        connection = await self._take()
        try:
            with broken_after(connection, SHORT_ANSWER_S):
                await connection.execute(
                    "SELECT set_config('application_name', %s, false)", (application_name(name),)
                )
        except BaseException as error:
            await self.release(connection)
            if isinstance(error, psycopg.OperationalError):
                raise UnavailableError(f"the database does not answer: {error}") from error
            raise
        return connection

    async def release(self, connection: Connection) -> None:
        """Close a connection that was held: nothing of its session comes to others."""
        await connection.close()
        await self._give_back(connection)

    async def close(self) -> None:
        """Close all that are not lent out."""
        if self._checking is not None:
            self._checking.cancel()
            await asyncio.gather(self._checking, return_exceptions=True)
        if self._pool is not None:
            await self._pool.close()

    async def _take(self) -> Connection:
        pool = self._opened()
        await pool.open()
        if self._checking is None:
            self._checking = asyncio.create_task(self._check(pool))
        self._failure = None
        try:
            connection = await pool.getconn()
        except PoolTimeout as error:
            raise UnavailableError(f"the database does not answer: {self._reason(pool)}") from error
        except PoolClosed as error:
            raise UnavailableError("the process gives up its connections") from error
        self._lent += 1
        return connection

    def _reason(self, pool: AsyncConnectionPool[Connection]) -> str:
        if self._lent >= pool.max_size:
            return f"{pool.max_size} connections are all in use"
        if self._failure is not None:
            return str(self._failure)
        return (
            f"no connection could be made or made sure of within {self._settings.acquire_timeout_s:g} s "
            f"({self._lent} of {pool.max_size} are in use)"
        )

    async def _give_back(self, connection: Connection) -> None:
        self._lent -= 1
        # Whoever is cancelled meanwhile waits no more; the pool would lose count of it if it stopped halfway.
        await asyncio.shield(self._opened().putconn(connection))

    def _opened(self) -> AsyncConnectionPool[Connection]:
        if self._pool is None:
            settings = self._settings
            self._pool = AsyncConnectionPool(
                database_url(settings),
                connection_class=_Connection,
                kwargs=_parameters(settings, self._name) | {"on_failure": self._note},
                configure=_set_up,
                check=_try,
                min_size=settings.pool_min,
                max_size=max(settings.pool_min, settings.pool_max),
                timeout=settings.acquire_timeout_s,
                max_idle=settings.idle_s,
                # It gives up then, and `check` makes it begin anew.
                reconnect_timeout=RECONNECT_S,
                reconnect_failed=AsyncConnectionPool.check,
                name=application_name(self._name),
                open=False,
            )
        return self._pool

    def _note(self, failure: psycopg.Error) -> None:
        self._failure = failure

    async def _check(self, pool: AsyncConnectionPool[Connection]) -> None:
        while True:
            await asyncio.sleep(self._settings.health_check_s)
            await pool.check()


class _Connection(psycopg.AsyncConnection[Any]):
    """Tells why it could not be made; the pool itself only says that there is none."""

    @classmethod
    async def connect(cls, conninfo: str = "", **kwargs: Any) -> Self:
        on_failure = kwargs.pop("on_failure")
        try:
            return await super().connect(conninfo, **kwargs)
        except psycopg.Error as error:
            on_failure(error)
            raise


def _parameters(settings: DatabaseSettings, name: str) -> dict[str, Any]:
    return {
        "autocommit": True,
        "connect_timeout": max(2, round(settings.connect_timeout_s)),
        "application_name": application_name(name),
        "cursor_factory": async_cursors(current()),
        **_SERVER_LOST,
    }


async def _set_up(connection: Connection) -> None:
    """Settings of a session; what is compiled takes a second, and wins nothing in statements like ours."""
    with broken_after(connection, SHORT_ANSWER_S):
        await connection.execute(
            "SELECT set_config('TimeZone', 'UTC', false), set_config('statement_timeout', %s, false), "
            "set_config('lock_timeout', %s, false), set_config('jit', 'off', false), "
            "set_config('idle_in_transaction_session_timeout', %s, false)",
            (str(STATEMENT_TIMEOUT_MS), str(LOCK_TIMEOUT_MS), str(IDLE_IN_TRANSACTION_TIMEOUT_MS)),
        )
        if current() != LIVE:
            await connection.execute(SET_SEARCH_PATH, (search_path(current()),))


async def _try(connection: Connection) -> None:
    """Whether a connection of the pool still answers."""
    with broken_after(connection, SHORT_ANSWER_S):
        await AsyncConnectionPool.check_connection(connection)


async def connect(settings: DatabaseSettings, name: str) -> Connection:
    """A connection beside the pool, in autocommit mode.

    Args:
        settings: Where, and how long connecting may take.
        name: What the server shows as the application's name.

    Raises:
        UnavailableError: The server does not answer, or not in time; or refuses this user.
        ConfigurationError: None is configured, or the URL is not one.
    """
    url = database_url(settings)
    try:
        connection: Connection = await psycopg.AsyncConnection.connect(url, **_parameters(settings, name))
        await _set_up(connection)
    except psycopg.Error as error:
        raise UnavailableError(f"the database does not answer: {error}") from error
    return connection


def is_passing(error: BaseException) -> bool:
    """Whether the same work may succeed later: the server is away, full, locked, or took another side."""
    if isinstance(error, UnavailableError):
        return True
    if isinstance(error, psycopg.Error) and error.sqlstate in _PASSING_STATES:
        return True
    if isinstance(error, psycopg.errors.CheckViolation) and error.diag.constraint_name is None:
        # No partition for a row: retention has dropped it between our looking and our writing.
        return True
    return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)


async def end_stalled(db: Connection, name: str) -> int:
    """End transactions of other processes of this name that have been open for long; returns how many.

    A process that was stopped in the middle of COPY holds the offset rows, and no timeout of the server ends
    it while it waits for the client's bytes. Ending a transaction of another sink never does harm: its
    offsets have not moved, it begins again, and the rows say who is first.
    """
    cursor = await db.execute(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() "
        "AND application_name = %s AND pid <> pg_backend_pid() "
        "AND xact_start < clock_timestamp() - make_interval(secs => %s)",
        (application_name(name), STALLED_AFTER_S),
    )
    row = await cursor.fetchone()
    return row[0] if row else 0
