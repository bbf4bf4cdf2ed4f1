"""Blocking connections to the tables that sinks write, for those who read or remove them at their leisure."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import psycopg

from infra.settings import DatabaseSettings
from schemas.errors import ConfigurationError, UnavailableError
from schemas.namespace import Namespace, current
from sinks.database import application_name, database_url
from sinks.schema import cursors

Db: TypeAlias = psycopg.Connection[Any]


@contextmanager
def connected(settings: DatabaseSettings, name: str, namespace: Namespace | None = None) -> Iterator[Db]:
    """A connection in autocommit mode whose statements may take their time.

    Args:
        settings: Where the database is.
        name: What the server shows of the connection.
        namespace: Whose tables are meant; None for those of this process.

    Raises:
        UnavailableError: The database does not answer, then or later.
        ConfigurationError: None is configured, or it has no tables of ours.
    """
    try:
        with psycopg.connect(
            database_url(settings),
            autocommit=True,
            connect_timeout=max(2, round(settings.connect_timeout_s)),
            application_name=application_name(name),
            cursor_factory=cursors(namespace or current()),
        ) as db:
            db.execute("SET TIME ZONE 'UTC'")
            db.execute("SET idle_in_transaction_session_timeout = 0")
            yield db
    except psycopg.errors.UndefinedTable as error:
        raise ConfigurationError(
            f"no sink of this version has run on the database: {error.diag.message_primary}"
        ) from error
    except psycopg.ProgrammingError as error:
        raise ConfigurationError(f"the database cannot be used: {error}") from error
    except psycopg.OperationalError as error:
        raise UnavailableError(f"the database does not answer: {error}") from error


@contextmanager
def snapshot(db: Db) -> Iterator[None]:
    """A transaction in which all reads see one moment."""
    with db.transaction():
        db.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield
