"""Brings a database to the newest schema: the plain SQL files of `sinks/migrations/`, in order, each once.

Rules for the files: the name is `NNN_what.sql`; a file that was applied never changes (its checksum is kept
and compared); each runs in a transaction of its own, unless its first line is `-- no-transaction`, for the
commands that refuse one: such a file holds one statement, written so that a second run does no harm, as a
crash between the statement and the record of it makes it run again. Afterwards the groups of rights (file
012) get theirs on what is new. A login that may not migrate can start when nothing is missing.

The files say `kandle.` and `public.`; in a namespace they make the same tables and views in its schema (see
`sinks.schema`). Checksums are of the files as they are.
"""

from __future__ import annotations

import hashlib
import importlib.resources
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import psycopg

from infra.logging import get_logger
from schemas.errors import ConfigurationError, ConflictError, UnavailableError
from schemas.namespace import LIVE, Namespace, current
from sinks.schema import cursors, quoted, rendered_file

NO_TRANSACTION: Final = "-- no-transaction"
LOCK_KEY: Final = 0x6B616E646C65
"""Key of the advisory lock ("kandle" in ASCII): one process at a time migrates."""
LOCK_TIMEOUT_S: Final = 60.0
OWN_WARNING: Final = "KA001"
"""SQLSTATE of warnings that the files raise."""
REFUSALS: Final = ("password authentication failed", "no pg_hba.conf entry", "does not exist")
"""What a server says that waiting does not mend; a refused connection carries no SQLSTATE."""

_FILE_NAME = re.compile(r"(\d{3})_[a-z0-9_]+\.sql")
_LEDGER = """
CREATE SCHEMA IF NOT EXISTS kandle;
COMMENT ON SCHEMA kandle IS 'Internals of Kandle; readers use the views in schema public';
CREATE TABLE IF NOT EXISTS kandle.migrations (
    name     text PRIMARY KEY,
    checksum text NOT NULL,
    applied  timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE kandle.migrations IS 'Files of sinks/migrations that were applied';
COMMENT ON COLUMN kandle.migrations.name IS 'Name of the file';
COMMENT ON COLUMN kandle.migrations.checksum IS 'SHA-256 of the file, hexadecimal';
COMMENT ON COLUMN kandle.migrations.applied IS 'When it was applied';
"""

_OF_A_NAMESPACE = (
    "COMMENT ON SCHEMA kandle IS 'Tables and views of a namespace of Kandle, beside the live ones'"
)

log = get_logger(__name__)
Connection = psycopg.Connection[Any]


@dataclass(frozen=True, slots=True)
class Migration:
    """One file.

    Attributes:
        name: Its name, with the number in front.
        sql: Its text.
    """

    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text, hexadecimal."""
        return hashlib.sha256(self.sql.encode()).hexdigest()

    @property
    def transactional(self) -> bool:
        """Whether it runs in a transaction."""
        return not self.sql.startswith(NO_TRANSACTION)


def shipped() -> list[Migration]:
    """The migrations of this version, in order."""
    folder = importlib.resources.files("sinks").joinpath("migrations")
    files = [entry for entry in folder.iterdir() if _FILE_NAME.fullmatch(entry.name)]
    return sorted((Migration(file.name, file.read_text("utf-8")) for file in files), key=lambda m: m.name)


def migrate(
    url: str,
    *,
    connect_timeout_s: float = 5.0,
    migrations: Sequence[Migration] | None = None,
    namespace: Namespace | None = None,
) -> list[str]:
    """Apply what is missing; blocks, call it in a thread from asynchronous code.

    Args:
        url: libpq connection URL of a role that may create schemas and tables.
        connect_timeout_s: Seconds that connecting may take.
        migrations: What to apply instead of `shipped()`.
        namespace: Whose schema it is; None for that of this process.

    Returns:
        Names of the files that were applied now.

    Raises:
        UnavailableError: The database does not answer.
        ConfigurationError: It does, and refuses the user, the password or the database's name.
        ConflictError: An applied file has changed, the database is newer than this version, another process
            holds the lock for too long, or a statement fails (a view's name is taken in schema public, or a
            right is missing).
    """
    wanted = shipped() if migrations is None else list(migrations)
    place = namespace or current()
    try:
        with psycopg.connect(
            url,
            autocommit=True,
            connect_timeout=max(2, round(connect_timeout_s)),
            cursor_factory=cursors(place),
        ) as db:
            db.add_notice_handler(_log_warning)
            _lock(db)
            if not _exists(db, "to_regclass('kandle.migrations')"):
                db.execute(_LEDGER)
                if place != LIVE:
                    db.execute(_OF_A_NAMESPACE.encode())
            missing = _missing(db, wanted)
            if missing:
                _create_extension(db)
            for migration in missing:
                _apply(db, migration, place)
            _give_rights(db, place, changed=bool(missing))
    except psycopg.OperationalError as error:
        if any(words in str(error) for words in REFUSALS):
            raise ConfigurationError(f"the database refuses us, see DATABASE_URL: {error}") from error
        raise UnavailableError(f"the database does not answer: {error}") from error
    except psycopg.Error as error:
        raise ConflictError(f"the database cannot be prepared: {error}") from error
    return [migration.name for migration in missing]


def _exists(db: Connection, expression: str) -> bool:
    row = db.execute(f"SELECT {expression} IS NOT NULL".encode()).fetchone()
    return bool(row and row[0])


def _log_warning(notice: psycopg.errors.Diagnostic) -> None:
    """Only what our files say: extensions warn of much."""
    if notice.sqlstate == OWN_WARNING:
        log.warning("the database warns", message=notice.message_primary)


def _give_rights(db: Connection, place: Namespace, *, changed: bool) -> None:
    """Give the groups of rights theirs on all there is: after a change, and when a group came later.

    Only the login that owns the schema may; another one, a writer say, finds it done.
    """
    if not _exists(db, "to_regproc('kandle.give_rights')"):
        return
    late = db.execute(
        "SELECT FROM pg_namespace n JOIN pg_roles r ON r.rolname LIKE 'kandle\\_%%' "
        "WHERE n.nspname = 'kandle' AND pg_has_role(n.nspowner, 'USAGE') AND ("
        "r.rolname IN ('kandle_owner', 'kandle_writer') AND NOT has_schema_privilege(r.oid, n.oid, 'USAGE') "
        "OR r.rolname = 'kandle_reader' AND NOT has_table_privilege(r.oid, %s, 'SELECT'))",
        (f"{quoted(place.views_schema)}.trades",),
    ).fetchone()
    if changed or late is not None:
        db.execute("SELECT kandle.give_rights()")


def _lock(db: Connection) -> None:
    deadline = time.monotonic() + LOCK_TIMEOUT_S
    while True:
        row = db.execute("SELECT pg_try_advisory_lock(%s)", (LOCK_KEY,)).fetchone()
        if row and row[0]:
            return
        if time.monotonic() > deadline:
            raise ConflictError(f"another process migrates this database since {LOCK_TIMEOUT_S:.0f} s")
        time.sleep(0.1)


def _missing(db: Connection, wanted: Sequence[Migration]) -> list[Migration]:
    """What has to be applied; refuses a ledger that contradicts the files."""
    applied: dict[str, str] = dict(db.execute("SELECT name, checksum FROM kandle.migrations").fetchall())
    unknown = sorted(applied.keys() - {migration.name for migration in wanted})
    if unknown:
        raise ConflictError(
            f"the database has migrations that this version does not know: {', '.join(unknown)}; "
            "run the version that made it, or use another database"
        )
    for migration in wanted:
        found = applied.get(migration.name, migration.checksum)
        if found != migration.checksum:
            raise ConflictError(
                f"{migration.name} was applied with checksum {found[:12]}, the file now has "
                f"{migration.checksum[:12]}: an applied migration never changes, write a new one"
            )
    return [migration for migration in wanted if migration.name not in applied]


def _apply(db: Connection, migration: Migration, place: Namespace) -> None:
    log.info("migrating the database", file=migration.name, schema=place.schema)
    statement: Any = rendered_file(migration.sql, place).encode()
    record = "INSERT INTO kandle.migrations (name, checksum) VALUES (%s, %s)"
    try:
        if migration.transactional:
            with db.transaction():
                db.execute(statement)
                db.execute(record, (migration.name, migration.checksum))
        else:
            db.execute(statement)
            db.execute(record, (migration.name, migration.checksum))
    except psycopg.OperationalError:
        raise
    except psycopg.Error as error:
        raise ConflictError(f"migration {migration.name} failed and was rolled back: {error}") from error


def _create_extension(db: Connection) -> None:
    """Install TimescaleDB where the server offers it.

    Creating it on a server that has not preloaded it ends the connection, so the loader is asked for first,
    by one of its settings. A role that may not create it goes on with native partitions. The schema is named:
    a role that is called like the schema of the internals would put the extension's functions there.
    """
    known = db.execute(
        "SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb'), "
        "EXISTS (SELECT FROM pg_available_extensions WHERE name = 'timescaledb') "
        "AND current_setting('timescaledb.disable_load', true) IS NOT NULL"
    ).fetchone()
    if known is None or known[0] or not known[1]:
        return
    try:
        db.execute("CREATE EXTENSION IF NOT EXISTS timescaledb SCHEMA public")
    except psycopg.OperationalError:
        raise
    except psycopg.Error as error:
        log.info("TimescaleDB cannot be installed, native partitions are used", reason=str(error).strip())
