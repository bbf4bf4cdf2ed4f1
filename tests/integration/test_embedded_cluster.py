"""Both servers under a supervisor, in processes of their own: kills, users, sharing."""

import asyncio
import os
import pwd
import signal
import subprocess
import sys
import time
from pathlib import Path

import platformdirs
import psutil
import psycopg
import pytest

from infra.embedded import cluster, leash
from infra.embedded.directory_lock import DirectoryLock
from infra.embedded.endpoints import Endpoints, EndpointsFile
from infra.embedded.errors import DirectoryLockedError
from infra.embedded.postgres import PostgresServer
from infra.embedded.supervisor import Supervisor
from schemas.errors import UnavailableError

ROOT = Path(__file__).parents[2]

RUN = """
import asyncio, signal, sys
from pathlib import Path
from infra.embedded.endpoints import KafkaEndpoint, PostgresEndpoint
from infra.embedded.kafka import KafkaServer
from infra.embedded.postgres import PostgresServer
from infra.embedded.postgres import PostgresServer
from infra.embedded.supervisor import Supervisor

async def main():
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    data_dir = Path(sys.argv[1])
    async with Supervisor(data_dir) as supervisor:
        kafka, postgres = KafkaServer.prepare(data_dir), PostgresServer.prepare(data_dir)
        await asyncio.gather(supervisor.start(kafka.spec), supervisor.start(postgres.spec))
        supervisor.publish(
            kafka=KafkaEndpoint(bootstrap_servers=kafka.bootstrap_servers),
            postgres=PostgresEndpoint(dsn=postgres.dsn),
        )
        print("ready", flush=True)
        await stop.wait()

asyncio.run(main())
"""


def launch(data_dir: Path, *, account: tuple[int, int, bool] | None = None) -> subprocess.Popen[str]:
    """Run both servers under a supervisor of its own process; returns when they are ready."""
    command = [sys.executable, "-c", RUN, str(data_dir)]
    if account is not None:
        command = leash.command(
            command, parent=os.getpid(), death_signal=signal.SIGKILL, account=account, cwd=str(ROOT)
        )
    cache = platformdirs.user_cache_path()
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache), "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    said = process.stdout.readline()
    if said != "ready\n":
        with process:
            process.kill()
        pytest.fail(f"it did not start: {said!r}")
    return process


def processes(endpoints: Endpoints) -> list[psutil.Process]:
    """The servers and all that they started."""
    servers = [psutil.Process(stage.pid) for stage in endpoints.stages.values() if stage.pid]
    assert len(servers) == 2
    return servers + [child for server in servers for child in server.children(recursive=True)]


def test_a_killed_supervisor_leaves_no_process_and_its_data_are_found_again(tmp_path: Path) -> None:
    with launch(tmp_path) as supervisor:
        live = EndpointsFile(tmp_path).read_live()
        assert live is not None
        assert live.postgres is not None
        everything = processes(live)
        assert len(everything) > 4
        with cluster.database(tmp_path) as dsn:
            assert dsn == live.postgres.dsn
            with psycopg.connect(dsn) as connection:
                connection.execute("CREATE TABLE kept AS SELECT 1 AS x")
        with pytest.raises(DirectoryLockedError, match=f"process {supervisor.pid}"):
            DirectoryLock(tmp_path).acquire()
        supervisor.kill()
    # At once: who comes next must not stumble over servers that are about to end.
    assert EndpointsFile(tmp_path).read_live() is None
    with cluster.database(tmp_path) as dsn, psycopg.connect(dsn) as connection:
        assert connection.execute("SELECT x FROM kept").fetchone() == (1,)
    _, alive = psutil.wait_procs(everything, timeout=10)
    assert not alive


@pytest.mark.full
def test_a_stopped_supervisor_leaves_no_process(tmp_path: Path) -> None:
    with launch(tmp_path) as supervisor:
        everything = processes(EndpointsFile(tmp_path).read())
        began = time.monotonic()
        supervisor.terminate()
        assert supervisor.wait(20) == 0
        assert time.monotonic() - began < 10
    assert not [each for each in everything if each.is_running()]
    assert "was shut down at" not in (tmp_path / "log" / "postgres.log").read_text().splitlines()[-1]


@pytest.mark.skipif(os.geteuid() != 0, reason="not root: all other tests show it")
def test_an_ordinary_user_can_run_both(tmp_path: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    data_dir = tmp_path / "var"
    data_dir.mkdir()
    os.chown(data_dir, nobody.pw_uid, nobody.pw_gid)
    # The interpreter may lie below /root: let it pass there, it is no other right of root.
    with launch(data_dir, account=(nobody.pw_uid, nobody.pw_gid, True)) as supervisor:
        everything = processes(EndpointsFile(data_dir).read())
        assert {each.uids().effective for each in everything} == {nobody.pw_uid}
        supervisor.terminate()
        assert supervisor.wait(20) == 0
    assert not [each for each in everything if each.is_running()]


@pytest.mark.full
def test_a_directory_may_have_any_name(tmp_path: Path) -> None:
    data_dir = tmp_path / "Jürgens Märkte, 東京"
    with cluster.broker(data_dir) as servers:
        assert servers.startswith("127.0.0.1:")
    with cluster.database(data_dir) as dsn, psycopg.connect(dsn) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_who_only_wants_the_database_is_told_when_the_directory_is_busy_without_one(tmp_path: Path) -> None:
    wanted = cluster.database(tmp_path)
    with DirectoryLock(tmp_path), pytest.raises(UnavailableError, match="has no PostgreSQL there"):
        wanted.__enter__()


async def test_a_server_that_was_killed_comes_back_on_the_same_port(tmp_path: Path) -> None:
    async with Supervisor(tmp_path) as supervisor:
        server = PostgresServer.prepare(tmp_path)
        await supervisor.start(server.spec)
        first = supervisor.endpoints.stages["postgres"].pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        deadline = time.monotonic() + 10
        while True:
            stage = supervisor.endpoints.stages["postgres"]
            if stage.restarts and stage.state == "running":
                break
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)
        with psycopg.connect(server.dsn) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
