"""What is said of a supervised process, by its state and its probe."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from infra.embedded.directory_lock import DirectoryLock
from infra.embedded.endpoints import Endpoints, EndpointsFile, Stage
from infra.embedded.ports import free_ports
from serve.health import processes
from serve.health.processes import Processes


class Probe(HTTPServer):
    """A probe whose answer is set by hand."""

    status = 200
    body = b"{}"


class _Answers(BaseHTTPRequestHandler):
    server: Probe

    def do_GET(self) -> None:
        self.send_response(self.server.status if self.path == "/readyz" else 404)
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def probe() -> Iterator[Probe]:
    with Probe(("127.0.0.1", 0), _Answers) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def stage(state: str, port: int = 0, pid: int = 1) -> dict[str, Stage]:
    return {"sink": Stage(state, pid, 2, port)}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("state", "verdict"),
    [
        ("starting", "unknown"),
        ("running", "healthy"),
        ("restarting", "unhealthy"),
        ("finished", "unhealthy"),
        ("stopped", "unhealthy"),
        ("failed", "unhealthy"),
    ],
)
async def test_the_state_of_the_supervisor_decides_first(tmp_path: Path, state: str, verdict: str) -> None:
    found = await Processes(tmp_path).verdict(stage(state), "sink", "sink-timescale")
    assert found.state == verdict
    assert found.details["restarts"] == 2
    assert (await Processes(tmp_path).verdict(stage(state), "process", "process")).state == "unknown"


async def test_a_probe_that_says_no_is_quoted(tmp_path: Path, probe: Probe) -> None:
    seen, running = Processes(tmp_path), stage("running", probe.server_port)
    assert (await seen.verdict(running, "sink", "sink-timescale")).state == "healthy"
    checks = {"kafka": "ok", "database": "does not answer"}
    probe.status, probe.body = 503, json.dumps({"status": "down", "checks": checks}).encode()
    found = await seen.verdict(running, "sink", "sink-timescale")
    assert found.state == "unhealthy"
    assert found.message == "the process sink is not ready: database: does not answer"
    probe.body = b"<html>"
    assert (await seen.verdict(running, "sink", "sink-timescale")).message.endswith("its probe answers 503")


async def test_a_sink_is_not_blamed_for_another_of_its_process(tmp_path: Path, probe: Probe) -> None:
    seen, running = Processes(tmp_path), stage("running", probe.server_port)
    for service in ("sink-timescale", "sink-notifications"):
        assert (await seen.verdict(running, "sink", service)).state == "healthy"
    checks = {"kafka": "ok", "sink-timescale": "storing fails", "sink-notifications": "ok"}
    probe.status, probe.body = 503, json.dumps({"status": "not ready", "checks": checks}).encode()
    assert (await seen.verdict(running, "sink", "sink-notifications")).state == "healthy"
    found = await seen.verdict(running, "sink", "sink-timescale")
    assert (found.state, found.message) == (
        "unhealthy",
        "the process sink is not ready: sink-timescale: storing fails",
    )


async def test_a_process_that_has_only_begun_has_time_to_become_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (port,) = free_ports(1)
    seen, running = Processes(tmp_path), stage("running", port)
    found = await seen.verdict(running, "sink", "sink-timescale")
    assert found.state == "unknown"
    assert found.message.startswith("is not ready yet: its probe on port")
    monkeypatch.setattr(processes, "START_S", 0.0)
    assert (await seen.verdict(running, "sink", "sink-timescale")).state == "unhealthy"


def test_only_a_pipeline_that_runs_is_looked_at(tmp_path: Path) -> None:
    file = EndpointsFile(tmp_path)
    file.write(Endpoints(pid=os.getpid(), stages=stage("running")))
    assert Processes(tmp_path).supervised() == {}
    with DirectoryLock(tmp_path):
        assert Processes(tmp_path).supervised() == stage("running")
        file.write(Endpoints(pid=os.getpid(), stages={"kafka": Stage("running")}))
        assert Processes(tmp_path).supervised() == {}
