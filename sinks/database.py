"""Connections to PostgreSQL as the sinks want them: short timeouts, and errors sorted by what to do."""

from __future__ import annotations

from typing import Any, Final

import psycopg

from infra.settings import DatabaseSettings
from schemas.errors import ConfigurationError, UnavailableError

Connection = psycopg.AsyncConnection[Any]

STATEMENT_TIMEOUT_MS: Final = 60_000
"""A statement that waits longer, for a lock say, is cancelled and tried again."""
LOCK_TIMEOUT_MS: Final = 8_000
"""Whoever waits longer for a lock looks who holds it, see `end_stalled`."""
IDLE_IN_TRANSACTION_TIMEOUT_MS: Final = 30_000
"""A process that was stopped in the middle of a transaction must not hold the offset rows for ever."""
STALLED_AFTER_S: Final = 8
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
        ConfigurationError: There is none.
    """
    if settings.url is None:
        raise ConfigurationError(
            "no database is configured: set DATABASE_URL, or run `kandle up`, which brings its own"
        )
    return settings.url.get_secret_value()


def application_name(name: str) -> str:
    """What the server shows of a connection of this name."""
    return f"kandle-{name}"


async def connect(settings: DatabaseSettings, name: str) -> Connection:
    """A new connection in autocommit mode.

    Args:
        settings: Where, and how long connecting may take.
        name: What the server shows as the application's name.

    Raises:
        UnavailableError: The server does not answer, or not in time; or refuses this user.
        ConfigurationError: None is configured, or the URL is not one.
    """
    url = database_url(settings)
    try:
        connection = await psycopg.AsyncConnection.connect(
            url,
            autocommit=True,
            connect_timeout=max(2, round(settings.connect_timeout_s)),
            application_name=application_name(name),
            **_SERVER_LOST,  # type: ignore[arg-type]
        )
        await connection.execute(
            "SELECT set_config('TimeZone', 'UTC', false), set_config('statement_timeout', %s, false), "
            "set_config('lock_timeout', %s, false), "
            "set_config('idle_in_transaction_session_timeout', %s, false)",
            (str(STATEMENT_TIMEOUT_MS), str(LOCK_TIMEOUT_MS), str(IDLE_IN_TRANSACTION_TIMEOUT_MS)),
        )
    except psycopg.ProgrammingError as error:
        raise ConfigurationError(f"DATABASE_URL cannot be used: {error}") from error
    except psycopg.Error as error:
        raise UnavailableError(f"the database does not answer: {error}") from error
    return connection


def is_passing(error: BaseException) -> bool:
    """Whether the same work may succeed later: the server is away, full, locked, or took another side."""
    if isinstance(error, UnavailableError):
        return True
    if isinstance(error, psycopg.Error) and error.sqlstate in _PASSING_STATES:
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
