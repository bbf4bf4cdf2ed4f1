"""The embedded database: what it keeps over stops and kills, and whom it lets in."""

import os
import signal
import stat
from pathlib import Path

import psutil
import psycopg
import pytest

from infra.embedded import cluster
from infra.embedded.child import Child
from infra.embedded.errors import ServerNotInstalledError
from infra.embedded.postgres import PostgresServer
from infra.embedded.stage_log import StageLog
from schemas.errors import ConfigurationError


def count(dsn: str) -> int:
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SELECT count(*) FROM kept").fetchone()
    assert row is not None
    return int(row[0])


def test_rows_survive_a_stop_a_kill_and_other_ports(tmp_path: Path) -> None:
    with cluster.database(tmp_path) as first, psycopg.connect(first) as connection:
        connection.execute("CREATE TABLE kept (x int)")
        connection.execute("INSERT INTO kept VALUES (1)")

    server = PostgresServer.prepare(tmp_path)
    assert server.dsn != first
    child = Child.start(server.spec, StageLog.of(tmp_path, "postgres"))
    try:
        child.wait_until_ready()
        with psycopg.connect(server.dsn) as connection:
            connection.execute("INSERT INTO kept VALUES (2)")
        backends = psutil.Process(child.pid).children(recursive=True)
        os.kill(child.pid, signal.SIGKILL)
    finally:
        child.kill()

    with cluster.database(tmp_path) as third:
        assert count(third) == 2
    _, alive = psutil.wait_procs(backends, timeout=5)
    assert not alive


def test_it_is_durable_closed_and_for_this_machine_alone(tmp_path: Path) -> None:
    with cluster.database(tmp_path) as dsn:
        with psycopg.connect(dsn) as connection:
            for name, value in {
                "fsync": "on",
                "synchronous_commit": "on",
                "unix_socket_directories": "",
                "listen_addresses": "127.0.0.1",
                "server_encoding": "UTF8",
            }.items():
                assert connection.execute(f"SHOW {name}".encode()).fetchone() == (value,)
        wrong = psycopg.conninfo.make_conninfo(dsn, password="guess")
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(wrong)
        assert stat.S_IMODE((tmp_path / "postgres").stat().st_mode) == 0o700
        assert stat.S_IMODE((tmp_path / "postgres.password").stat().st_mode) == 0o600


def test_a_file_of_a_killed_server_that_names_an_innocent_process_is_no_obstacle(tmp_path: Path) -> None:
    with cluster.database(tmp_path) as dsn:
        port = psycopg.conninfo.conninfo_to_dict(dsn)["port"]
    lines = [
        str(os.getpid()),
        str(tmp_path / "postgres"),
        "1700000000",
        str(port),
        "",
        "127.0.0.1",
        "",
        "ready",
    ]
    (tmp_path / "postgres" / "postmaster.pid").write_text("\n".join(lines) + "\n")
    with cluster.database(tmp_path) as dsn, psycopg.connect(dsn) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_an_interrupted_first_start_is_done_again(tmp_path: Path) -> None:
    draft = tmp_path / "postgres.draft"
    draft.mkdir()
    (draft / "PG_VERSION").write_text("18\n")
    PostgresServer.prepare(tmp_path)
    assert not draft.exists()
    assert (tmp_path / "postgres" / "global").is_dir()


def test_data_of_another_major_version_are_refused(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "PG_VERSION").write_text("12\n")
    with pytest.raises(ServerNotInstalledError, match="written by PostgreSQL 12, installed is 18"):
        PostgresServer.prepare(tmp_path)


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "diary").write_text("mine")
    with pytest.raises(ConfigurationError, match="something else"):
        PostgresServer.prepare(tmp_path)
    assert (tmp_path / "postgres" / "diary").read_text() == "mine"
