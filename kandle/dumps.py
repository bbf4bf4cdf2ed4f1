"""The database to a file and back, by pg_dump and pg_restore.

A dump is one snapshot: rows and the offsets that they were read up to agree, so the sinks of a restored
database read on from there and store what is missing, each record once. Passwords are given to the programs
in a file that only this user can read, never in their arguments.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from infra.embedded.errors import ServerNotInstalledError
from infra.embedded.postgres import server_programs
from schemas.errors import ConfigurationError, ConflictError, KandleError, ResourceError, UnavailableError

SERVICE: Final = "kandle"
MAINTENANCE: Final = "postgres"
"""The database that commands over databases are given in."""
LOOK_EVERY_S: Final = 0.2
RENAME_ATTEMPTS: Final = 10
_VERSION: Final = re.compile(r"\(PostgreSQL\) (\d+)")
_TOLD: Final = 2_000
"""Characters of what a program says that are passed on."""
_SINKS: Final = "kandle-sink-%"
_OURS: Final = (
    "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
    "WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND n.nspname NOT LIKE 'pg\\_%' "
    "AND n.nspname NOT IN ('information_schema') "
    "AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')"
)
"""Tables, views and the like that no extension has brought."""

Progress = Callable[[int], None]
"""Called now and then with the bytes of the file so far."""
Db = psycopg.Connection[Any]


class DumpError(KandleError):
    """pg_dump or pg_restore has failed; the message holds what it said."""

    code = "DUMP"


def backup(url: str, file: Path, progress: Progress) -> int:
    """Write the whole database to a file, which is there when all of it is.

    Sinks may run meanwhile.

    Args:
        url: Connection URL of the database.
        file: Does not exist yet; only this user will be able to read it.
        progress: Is told of the size.

    Returns:
        Bytes of the file.

    Raises:
        ConfigurationError: The file exists, or there is no pg_dump that is new enough.
        UnavailableError: The database does not answer.
        DumpError: pg_dump has failed; no file is left.
        ResourceError: The file cannot be written.
    """
    if file.exists():
        raise ConfigurationError(f"{file} exists; a backup replaces none: choose another name")
    with _connected(url) as db:
        program = _program("pg_dump", _server_version(db))
    partial = file.with_name(f"{file.name}.partial")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(partial, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600))
        _run(url, [program, "--format=custom", f"--file={partial}"], lambda: progress(partial.stat().st_size))
        with partial.open("rb+") as written:
            os.fsync(written.fileno())
        partial.replace(file)
    except OSError as error:
        raise ResourceError(f"{file} cannot be written: {error}") from error
    finally:
        partial.unlink(missing_ok=True)
    return file.stat().st_size


def restore(url: str, file: Path, *, replace: bool) -> str | None:
    """Make the database what a backup holds.

    Args:
        url: Connection URL of a database without tables.
        file: What `backup` has written.
        replace: Whether the database may hold something: then the backup is restored into a new one beside
            it, which takes its name once it is whole. The old one is kept under another name.

    Returns:
        The name under which the old database is kept; None if there was nothing in it.

    Raises:
        ConfigurationError: The file is no backup; no pg_restore is new enough; the
            backup needs TimescaleDB, which the server does not have; or the database cannot be replaced.
        ConflictError: The database is not empty, or sinks are at work on it.
        UnavailableError: The database does not answer.
        DumpError: pg_restore has failed. An empty database may then hold a part.
    """
    with _connected(url) as db:
        # A URL need not name it; then it is called as the user is.
        name = db.info.dbname
        if replace and name == MAINTENANCE:
            raise ConfigurationError(
                f"--replace is not for the database {MAINTENANCE}, in which others are made and renamed: "
                "restore into one of another name, and let DATABASE_URL name that"
            )
        program = _program("pg_restore", _server_version(db))
        hypertables = _needs_timescale(program, file)
        if hypertables and not _offers_timescale(db):
            raise ConfigurationError(f"{file} is of a TimescaleDB, and the server has no such extension")
        _check_idle(db)
        if not _count(db, _OURS):
            _fill(url, program, file, hypertables)
            return None
        if not replace:
            raise ConflictError(
                "the database is not empty: nothing was changed. Name an empty one, or say --replace, which "
                "keeps this one under another name"
            )
    return _beside(url, name, program, file, hypertables)


def _beside(url: str, name: str, program: str, file: Path, hypertables: bool) -> str:
    """Restore into a new database, and let it take the name of the old one."""
    stamp = time.strftime("%Y%m%d_%H%M%S", time.gmtime())
    fresh, kept = f"{name[:40]}_restored_{stamp}", f"{name[:40]}_before_{stamp}"
    with _connected(make_conninfo(url, dbname=MAINTENANCE)) as db:
        _command(db, "CREATE DATABASE {}", fresh)
        try:
            _fill(make_conninfo(url, dbname=fresh), program, file, hypertables)
            _rename(db, ((name, kept), (fresh, name)))
        except (psycopg.Error, KandleError):
            with contextlib.suppress(psycopg.Error):
                _command(db, "DROP DATABASE IF EXISTS {} WITH (FORCE)", fresh)
            raise
    return kept


def _rename(db: Db, names: Sequence[tuple[str, str]]) -> None:
    """Give databases other names, all at once; whoever is connected to them is cut off."""
    for attempt in range(RENAME_ATTEMPTS):
        try:
            with db.transaction():
                for old, new in names:
                    db.execute(
                        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s",
                        (old,),
                    )
                    _command(db, "ALTER DATABASE {} RENAME TO {}", old, new)
        except psycopg.errors.ObjectInUse:
            # Somebody was quicker to come back: a scheduler of TimescaleDB, or a dashboard.
            if attempt == RENAME_ATTEMPTS - 1:
                raise
        else:
            return


def _fill(url: str, program: str, file: Path, hypertables: bool) -> None:
    # Owners and rights are of the server that the backup was made on: they are given anew here.
    arguments = [program, "--no-owner", "--no-acl", "--exit-on-error"]
    if not hypertables:
        _run(url, [*arguments, "--single-transaction", "--dbname=service=" + SERVICE, str(file)])
    else:
        with _connected(url) as db:
            db.execute("CREATE EXTENSION IF NOT EXISTS timescaledb SCHEMA public")
            db.execute("SELECT timescaledb_pre_restore()")
        try:
            _run(url, [*arguments, "--dbname=service=" + SERVICE, str(file)])
        finally:
            with _connected(url) as db:
                db.execute("SELECT timescaledb_post_restore()")
    with _connected(url) as db:
        for function in ("kandle.make_roles", "kandle.give_rights"):
            if _count(db, f"SELECT count(to_regproc('{function}'))"):
                db.execute(f"SELECT {function}()".encode())
        db.execute("ANALYZE")


@contextlib.contextmanager
def _connected(url: str) -> Iterator[Db]:
    try:
        with psycopg.connect(url, autocommit=True, connect_timeout=5) as db:
            yield db
    except psycopg.errors.InsufficientPrivilege as error:
        raise ConfigurationError(f"this user may not do it: {error}") from error
    except psycopg.OperationalError as error:
        raise UnavailableError(f"the database does not answer: {error}") from error
    except psycopg.ProgrammingError as error:
        raise ConfigurationError(f"the database cannot be used: {error}") from error


def _server_version(db: Db) -> int:
    return db.info.server_version // 10_000


def _count(db: Db, query: str) -> int:
    row = db.execute(query.encode()).fetchone()
    return int(row[0]) if row else 0


def _command(db: Db, command: str, *names: str) -> None:
    parts: Any = command
    db.execute(sql.SQL(parts).format(*map(sql.Identifier, names)))


def _check_idle(db: Db) -> None:
    found = db.execute(
        "SELECT DISTINCT application_name FROM pg_stat_activity WHERE datname = current_database() "
        "AND application_name LIKE %s",
        (_SINKS,),
    ).fetchall()
    if found:
        names = ", ".join(name for (name,) in found)
        raise ConflictError(f"sinks are at work on the database ({names}): stop them first")


def _offers_timescale(db: Db) -> bool:
    return bool(_count(db, "SELECT count(*) FROM pg_available_extensions WHERE name = 'timescaledb'"))


def _needs_timescale(program: str, file: Path) -> bool:
    listed = subprocess.run([program, "--list", str(file)], capture_output=True, text=True, check=False)  # noqa: S603
    if listed.returncode:
        raise ConfigurationError(f"{file} is no backup of a database: {listed.stderr.strip()[:_TOLD]}")
    return any("EXTENSION - timescaledb" in line for line in listed.stdout.splitlines())


def _program(name: str, server: int) -> str:
    """The program of this name from the path, else of the package, that knows the server's version.

    Raises:
        ConfigurationError: There is none.
    """
    found = [path] if (path := shutil.which(name)) else []
    with contextlib.suppress(ServerNotInstalledError):
        found.append(str(server_programs() / name))
    versions = []
    for path in found:
        said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)  # noqa: S603
        version = _VERSION.search(said.stdout)
        if version is not None and int(version[1]) >= server:
            return path
        versions.append(f"{path} ({version[1] if version else 'broken'})")
    raise ConfigurationError(
        f"the server is PostgreSQL {server}, and {name} must not be older; found: "
        f"{', '.join(versions) or 'none'}. Put one of version {server} or later into the PATH"
    )


def _run(url: str, command: Sequence[str], look: Callable[[], None] = lambda: None) -> None:
    """Run a program with a service file that tells it where the database is."""
    parameters = "".join(f"{name}={value}\n" for name, value in conninfo_to_dict(url).items())
    with tempfile.TemporaryDirectory(prefix="kandle-dump-") as folder:
        service = Path(folder) / "service"
        service.touch(0o600)
        service.write_text(f"[{SERVICE}]\n{parameters}")
        environment = {**os.environ, "PGSERVICEFILE": str(service), "PGSERVICE": SERVICE}
        with (Path(folder) / "said").open("w+") as said:
            with subprocess.Popen(  # noqa: S603 - our own arguments
                [*command, "--no-password"],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
            ) as process:
                try:
                    while process.poll() is None:
                        look()
                        time.sleep(LOOK_EVERY_S)
                except BaseException:
                    process.terminate()
                    raise
            said.seek(0)
            text = said.read(_TOLD)
    if process.returncode:
        raise DumpError(f"{Path(command[0]).name} has failed with code {process.returncode}: {text.strip()}")
