"""The server ends soon, whoever does not answer it or does not listen to it."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from pydantic import SecretStr

from infra.settings import DatabaseSettings, KafkaSettings, ServeSettings, Settings
from serve.server import bind, run

SOON_S = 8.0
"""Half of what Kafka's client waits for a broker, and much more than the end takes."""
STREAM = "GET /api/v1/stream?channel=events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
SOCKET = (
    "GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@pytest.fixture
def mute() -> Iterator[int]:
    """A port that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def client(port: int, says: str, hears: str) -> socket.socket:
    """A client that reads nothing but the beginning of its answer."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=20)
    connection.sendall(says.encode())
    heard = ""
    while hears not in heard:
        heard += connection.recv(1).decode()
    return connection


@pytest.mark.parametrize("waits", ["health", "clients"])
def test_it_ends_soon_whatever_it_waits_for(waits: str, mute: int, tmp_path: Path) -> None:
    settings = Settings(
        data_dir=tmp_path,
        kafka=KafkaSettings(bootstrap_servers=f"127.0.0.1:{mute}"),
        database=DatabaseSettings(url=SecretStr(f"postgresql://kandle@127.0.0.1:{mute}/kandle")),
        serve=ServeSettings(port=0),
    )
    listening = bind(settings.serve)
    port = listening.getsockname()[1]
    stop, loops = asyncio.Event(), list[asyncio.AbstractEventLoop]()

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        await run(settings, listening, stop)

    # As the command runs it: that waits for the threads of the loop's own executor.
    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    with ExitStack() as clients:
        try:
            clients.enter_context(client(port, "GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", "200"))
            if waits == "health":
                asked = socket.create_connection(("127.0.0.1", port))
                asked.sendall(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
                clients.enter_context(asked)
            else:
                clients.enter_context(client(port, STREAM, "200"))
                clients.enter_context(client(port, SOCKET, "101"))
        finally:
            began = time.monotonic()
            loops[0].call_soon_threadsafe(stop.set)
            thread.join(30)
    assert time.monotonic() - began < SOON_S
