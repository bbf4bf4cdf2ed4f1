"""Clients that do not read, are strangers or many at once; what the command says before it serves anybody."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog
import websockets
from click.testing import CliRunner, Result

from infra.settings import Settings
from kandle.commands.serve import serve as command
from schemas.errors import ConfigurationError, ResourceError
from schemas.records import Record
from schemas.topics import TRADES
from serve import requests
from serve.server import bind
from sinks.migrator import migrate
from tests.bench import serve as bench
from tests.serve_harness import Client, Server, serving, with_serve
from tests.sink_harness import Log, fresh_topics, settings_for, trade

MARKET = {"venue": "binance", "symbol": "BTC/USDT"}
TRADES_SENT = 12_000
"""More than the buffers between the server and a client that does not read can take."""


@pytest.fixture
def settings(kafka: str, postgres: Callable[[], str]) -> Settings:
    url = postgres()
    migrate(url)
    found = settings_for(kafka, url)
    fresh_topics(found.kafka)
    return found


async def test_a_client_that_never_reads_is_cut_off_and_nobody_else_notices(settings: Settings) -> None:
    hurried = with_serve(settings, slow_client_s=1.0)
    with serving(hurried) as server:
        silent = subscribed(server)
        async with server.connected() as client:
            await client.ask(action="subscribe", channel="trades", **MARKET)
            await client.next("snapshot")
            log = Log(settings.kafka.bootstrap_servers or "")
            await until_read(client, log)
            burst: list[Record] = [trade(number) for number in range(1, TRADES_SENT)]
            await asyncio.to_thread(log.put, TRADES, 0, burst)
            last = str(TRADES_SENT - 1)
            await client.until(lambda said: said["type"] == "change" and said["data"]["trade_id"] == last)
        assert await asyncio.to_thread(taken_until_cut, silent) < TRADES_SENT


async def until_read(client: Client, log: Log) -> None:
    """The topics are read from their ends on: a first record is written until it is told."""

    async def publish() -> None:
        while True:
            await asyncio.to_thread(log.put, TRADES, 0, [trade(0)])
            await asyncio.sleep(0.2)

    publishing = asyncio.create_task(publish())
    await client.next("change")
    publishing.cancel()


def subscribed(server: Server) -> socket.socket:
    """A raw client that has asked for trades and reads no further."""
    host, port = server.listening.getsockname()
    silent = socket.socket()
    silent.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    silent.connect((host, port))
    silent.sendall(bench.HANDSHAKE.format(port=port).encode())
    assert silent.recv(4_096).startswith(b"HTTP/1.1 101")
    silent.sendall(bench.question("BTC/USDT"))
    return silent


def taken_until_cut(silent: socket.socket) -> int:
    """How many trades stood in the buffers when the server cut the connection."""
    time.sleep(3)
    silent.settimeout(10)
    taken = b""
    with silent:
        try:
            while data := silent.recv(1 << 20):
                taken += data
        except ConnectionResetError:
            pass
    return taken.count(b'"type":"change"')


async def test_with_a_token_only_who_names_it_is_answered(
    settings: Settings, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Commands of other tests may have set up logs for errors alone.
    written = structlog.wrap_logger(
        structlog.PrintLogger(), [structlog.processors.JSONRenderer()], structlog.BoundLogger
    )
    monkeypatch.setattr(requests, "log", written)
    secured = with_serve(settings, token="geheim", origins=["https://desk.example.com"])
    with serving(secured) as server:
        path = "/api/v1/venues"
        assert server.get(path).status == 401
        assert server.get("/subjects").status == 401
        assert server.get(path, Authorization="Bearer falsch").status == 401
        assert server.get(path, Authorization="Bearer geheim").status == 200
        assert server.get(f"{path}?token=geheim").status == 200
        assert server.get("/subjects", Authorization="Basic dTpnZWhlaW0=").status == 200
        assert server.get("/health").status in {200, 503}
        with pytest.raises(websockets.InvalidStatus):
            async with server.connected():
                pass
        # In a protocol's name, where a page can put it without its standing in an address.
        named = base64.urlsafe_b64encode(b"geheim").decode().rstrip("=")
        protocols = [websockets.Subprotocol(name) for name in ("kandle.v1", f"token.{named}")]
        for query, offered in (("?token=geheim", None), ("", protocols)):
            async with server.connected(query, subprotocols=offered) as client:
                assert client.connection.subprotocol == (offered and "kandle.v1")
                await client.ask(action="subscribe", channel="events")
                await client.next("snapshot")
        with pytest.raises(websockets.InvalidStatus):
            async with server.connected(subprotocols=[websockets.Subprotocol("token.Z2VoZQ")]):
                pass
        allowed = server.get(f"{path}?token=geheim", Origin="https://desk.example.com")
        assert allowed.headers["access-control-allow-origin"] == "https://desk.example.com"
        assert server.get(f"{path}?token=geheim", Origin="https://elsewhere.example.com").status == 403
        preflight = server.get(path, method="OPTIONS", Origin="https://desk.example.com")
        assert (preflight.status, preflight.headers["access-control-allow-methods"]) == (
            204,
            "GET, HEAD, POST",
        )
    logged = "".join(capfd.readouterr())
    assert path in logged
    sockets = re.findall(r'"url.path": "/ws", "http.response.status_code": (\d+)', logged)
    assert sorted(sockets) == ["101", "101", "403", "403"]
    assert "geheim" not in logged


def test_without_a_token_pages_of_other_hosts_learn_nothing(settings: Settings) -> None:
    with serving(settings) as server:
        assert server.get("/api/v1/venues", Origin="https://elsewhere.example.com").status == 403
        assert server.get("/api/v1/venues", Host="rebound.example.com").status == 403
        assert server.get("/api/v1/venues", Origin=server.url).status == 200


def test_a_taken_port_is_told_before_anything_starts(tmp_path: Path) -> None:
    with bind(Settings().serve.model_copy(update={"port": 0})) as taken:
        port = taken.getsockname()[1]
        found = invoke(tmp_path, "--port", str(port))
        assert isinstance(found.exception, ResourceError)
        assert f"port {port} of 127.0.0.1 is taken" in str(found.exception)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_strangers_are_not_served_without_a_token(tmp_path: Path, host: str) -> None:
    found = invoke(tmp_path, "--host", host, "--port", "0")
    assert isinstance(found.exception, ConfigurationError)
    assert "a token is needed" in str(found.exception)


def test_an_address_of_another_machine_is_told(tmp_path: Path) -> None:
    found = invoke(tmp_path, "--host", "192.0.2.1", "--port", "0", KANDLE_SERVE__TOKEN="geheim")
    assert isinstance(found.exception, ConfigurationError)
    assert "cannot listen on 192.0.2.1" in str(found.exception)


def invoke(folder: Path, *arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(command, [*arguments, "--data", str(folder)], env=environment)


@pytest.mark.full
def test_a_thousand_clients_hear_of_a_trade_at_once() -> None:
    figures = bench.run(seconds=45)
    assert figures["clients_lost"] == 0, json.dumps(figures)
    assert figures["deliveries_per_s"] > 9_000, json.dumps(figures)
    assert figures["latency_ms"]["p99"] < 250, json.dumps(figures)
    assert figures["rss_mb"]["after"] - figures["rss_mb"]["before"] < 50, json.dumps(figures)
