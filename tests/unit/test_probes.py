"""Probes: what a process says of itself over HTTP."""

import asyncio
import json
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from infra import metrics
from infra.embedded.ports import free_ports
from infra.probes import Readiness, serve, server
from infra.settings import MetricsSettings

SILENCE_S = 0.3


class Port:
    """A port that answers for a process."""

    def __init__(self, readiness: Readiness) -> None:
        self.number = free_ports(1)[0]
        settings = MetricsSettings(port=self.number, loop_silence_s=SILENCE_S)
        server = serve(settings, readiness)
        assert server is not None
        self.server = server

    def get(self, path: str) -> tuple[int, str]:
        """Status and text."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.number}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, refused.read().decode()

    def probe(self, path: str) -> tuple[int, str, dict[str, str]]:
        """Status, word and checks."""
        status, text = self.get(path)
        found = json.loads(text)
        return status, found["status"], found["checks"]


@pytest.fixture
def readiness() -> Readiness:
    return Readiness()


@pytest.fixture
def port(readiness: Readiness) -> Iterator[Port]:
    made = Port(readiness)
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_a_process_is_ready_once_all_that_is_expected_passes(readiness: Readiness, port: Port) -> None:
    assert port.probe("/readyz") == (503, "not ready", {})
    readiness.expect("kafka", "feed")
    readiness.set("kafka")
    assert port.probe("/readyz") == (503, "not ready", {"kafka": "ok", "feed": "not yet"})
    assert port.probe("/startupz")[:2] == (503, "starting")
    readiness.set("feed")
    assert port.probe("/readyz") == (200, "ready", {"kafka": "ok", "feed": "ok"})


def test_it_has_started_for_good_but_is_ready_only_while_checks_pass(
    readiness: Readiness, port: Port
) -> None:
    readiness.set("kafka")
    readiness.set("kafka", "Kafka does not answer")
    assert port.probe("/startupz")[0] == 200
    assert port.probe("/readyz") == (503, "not ready", {"kafka": "Kafka does not answer"})
    readiness.set("kafka")
    assert port.probe("/readyz")[0] == 200


async def until_alive(port: Port) -> None:
    """A question holds the loop up until it is answered, on a busy machine for longer than it may."""
    async with asyncio.timeout(20):
        while port.probe("/livez")[0] != 200:
            await asyncio.sleep(0.02)


async def test_it_lives_while_its_event_loop_moves(readiness: Readiness, port: Port) -> None:
    assert port.probe("/livez") == (200, "alive", {"loop": "ok"}), "before the loop runs nothing hangs"
    beating = asyncio.create_task(readiness.beat())
    await asyncio.sleep(0.05)
    await until_alive(port)
    time.sleep(2 * SILENCE_S)  # noqa: ASYNC251 - the loop is to stand still
    status, word, checks = port.probe("/livez")
    assert (status, word) == (503, "hung")
    assert checks["loop"].startswith("the event loop has not moved for")
    await until_alive(port)
    beating.cancel()


def test_metrics_are_on_the_same_port(port: Port) -> None:
    metrics.stages.READY.labels("probed").set(1)
    status, text = port.get("/metrics")
    assert status == 200
    assert 'kandle_ready{stage="probed"} 1.0' in text


def test_without_a_port_nothing_is_served(readiness: Readiness) -> None:
    assert serve(MetricsSettings(port=0), readiness) is None


def ended_within(connection: socket.socket, seconds: float) -> bool:
    """Whether the other side lets go."""
    connection.settimeout(seconds)
    try:
        return not connection.recv(1_000)
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False


@pytest.mark.parametrize("said", [b"", b"GET /livez HT", b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Slow: "])
def test_who_does_not_say_what_it_wants_is_left(
    said: bytes, port: Port, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(server, "CLIENT_S", 0.2)
    with socket.create_connection(("127.0.0.1", port.number)) as connection:
        connection.sendall(said)
        assert ended_within(connection, 20)
    assert port.get("/livez")[0] == 200
    assert capfd.readouterr().err == ""


def test_a_byte_now_and_then_buys_no_time(port: Port, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "CLIENT_S", 0.3)
    with socket.create_connection(("127.0.0.1", port.number)) as connection:
        deadline = time.monotonic() + 20
        with suppress(BrokenPipeError, ConnectionResetError):
            while True:
                assert time.monotonic() < deadline
                connection.sendall(b"G")
                time.sleep(0.05)


def test_no_more_clients_than_there_may_be_threads(
    readiness: Readiness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "CLIENTS", 2)
    monkeypatch.setattr(server, "CLIENT_S", 60.0)
    port = Port(readiness)
    with ExitStack() as open_ones:
        for _ in range(2):
            open_ones.enter_context(socket.create_connection(("127.0.0.1", port.number)))
        with socket.create_connection(("127.0.0.1", port.number)) as third:
            assert ended_within(third, 20)
    # Those that have gone have left their threads.
    deadline = time.monotonic() + 20
    while True:
        with suppress(OSError):
            assert port.get("/livez")[0] == 200
            break
        assert time.monotonic() < deadline
    port.server.shutdown()
    port.server.server_close()


def test_a_client_for_whom_there_was_no_thread_keeps_no_place(
    readiness: Readiness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(server, "CLIENTS", 1)
    port = Port(readiness)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        with socket.create_connection(("127.0.0.1", port.number)) as unserved:
            assert ended_within(unserved, 20)
    assert port.get("/livez")[0] == 200
    port.server.shutdown()
    port.server.server_close()
