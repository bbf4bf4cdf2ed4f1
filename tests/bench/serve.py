"""How soon a thousand WebSocket clients hear of a trade, and what the server takes for it.

A real broker, the server as a process of its own, clients on real sockets: 1,000 on 100 symbols, 10 a symbol,
and one more that asks for everything and reads nothing. 1,000 trades/s are published at fixed times (open
loop), so that 10,000 messages/s are delivered. A latency runs from the moment at which a trade is handed to
the Kafka client to the moment at which a client has the frame.

python -m tests.bench.serve --json
"""

import argparse
import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import psutil
from confluent_kafka import Producer

from infra.embedded import cluster
from infra.embedded.ports import free_ports, is_listening
from infra.kafka.admin import Admin
from infra.settings import KafkaSettings
from schemas import rows
from schemas.identity import market_key
from schemas.records import Trade
from schemas.topics import TRADES
from sinks.migrator import migrate
from tests.bench.logs import warnings_alone

CLIENTS = 1_000
SYMBOLS = 100
RATE = 1_000
SECONDS = 20
WARM_UP_S = 5
START_TIMEOUT_S = 120.0
TICK_S = 0.005
STAMP = b'"receive_time":'
HANDSHAKE = (
    "GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def question(symbol: str) -> bytes:
    """A frame that subscribes to the trades of a symbol; masked by zeros, so that it can be read."""
    asked = {"action": "subscribe", "channel": "trades", "venue": "binance", "symbol": symbol}
    body = json.dumps(asked).encode()
    return bytes([0x81, 0x80 | len(body)]) + bytes(4) + body


class Client(asyncio.Protocol):
    """Reads frames, and notes for each change when it came.

    Args:
        port: Of the server.
        symbol: What is subscribed to.
        latencies: Takes seconds.
    """

    def __init__(self, port: int, symbol: str, latencies: list[float]) -> None:
        self._port = port
        self._symbol = symbol
        self._latencies = latencies
        self._rest = b""
        self._upgraded = False
        self.snapshot = False
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(HANDSHAKE.format(port=self._port).encode())

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        if not self._upgraded:
            head, found, data = data.partition(b"\r\n\r\n")
            if not found:
                self._rest = head
                return
            self._upgraded = True
            self._transport.write(question(self._symbol))
        now = time.time()
        position = 0
        while len(data) - position >= 2:
            length, start = data[position + 1] & 0x7F, position + 2
            if length == 126:
                length, start = int.from_bytes(data[position + 2 : position + 4], "big"), position + 4
            elif length == 127:
                length, start = int.from_bytes(data[position + 2 : position + 10], "big"), position + 10
            if len(data) < start + length:
                break
            self._frame(data[position] & 0x0F, data[start : start + length], now)
            position = start + length
        self._rest = data[position:]

    def _frame(self, kind: int, body: bytes, now: float) -> None:
        if kind == 9:
            self._transport.write(bytes([0x8A, 0x80 | len(body)]) + bytes(4) + body)
        elif body.startswith(b'{"type":"change"'):
            at = body.rindex(STAMP) + len(STAMP)
            self._latencies.append(now - int(body[at:].rstrip(b"}")) / 1e6)
        elif body.startswith(b'{"type":"snapshot"'):
            self.snapshot = True


def publish(servers: str, until: threading.Event) -> None:
    """Trades at fixed times until told to stop."""
    producer = Producer({"bootstrap.servers": servers, "linger.ms": 5, "acks": "all"})
    symbols = [f"S{number}/USDT" for number in range(SYMBOLS)]
    sent, began = 0, time.perf_counter()
    while not until.is_set():
        due = int((time.perf_counter() - began) * RATE)
        for number in range(sent, due):
            symbol, now = symbols[number % SYMBOLS], time.time_ns() // 1_000
            trade = Trade("binance", symbol, str(number), number, 100.0, 1.0, "buy", now - 50, now)
            key = market_key("binance", symbol)
            producer.produce(TRADES.name, rows.encode(trade), key, partition=number % SYMBOLS % 4)
        sent = due
        producer.poll(0)
        time.sleep(TICK_S)
    producer.flush(10)


@contextmanager
def server(servers: str, url: str, folder: Path) -> Iterator[tuple[int, psutil.Process]]:
    """`kandle serve` as a process; its port."""
    port = free_ports(1)[0]
    environment = os.environ | {
        "KAFKA_BOOTSTRAP_SERVERS": servers,
        "DATABASE_URL": url,
        "KANDLE_SERVE__PORT": str(port),
        "KANDLE_LOGGING__LEVEL": "warning",
    }
    with (folder / "serve.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "kandle", "serve"], env=environment, stdout=log, stderr=log, cwd=folder
        )
        try:
            deadline = time.monotonic() + START_TIMEOUT_S
            while not is_listening(port) and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.1)
            yield port, psutil.Process(process.pid)
        finally:
            process.terminate()
            process.wait(30)


async def measure(
    port: int, servers: str, process: psutil.Process, clients: int, seconds: float
) -> dict[str, Any]:
    """Connect, warm up, and take the figures of some seconds."""
    loop = asyncio.get_running_loop()
    latencies: list[float] = []
    connected: list[Client] = []
    for number in range(clients):
        client = Client(port, f"S{number % SYMBOLS}/USDT", latencies)
        await loop.create_connection(partial(_same, client), "127.0.0.1", port)
        connected.append(client)
    silent = await asyncio.to_thread(connect_silent, port)
    deadline = time.monotonic() + START_TIMEOUT_S
    while not all(client.snapshot for client in connected) and time.monotonic() < deadline:
        await asyncio.sleep(0.1)
    stop = threading.Event()
    publishing = asyncio.create_task(asyncio.to_thread(publish, servers, stop))
    await asyncio.sleep(WARM_UP_S)
    before, cpu, began = process.memory_info().rss, process.cpu_times(), time.perf_counter()
    latencies.clear()
    await asyncio.sleep(seconds)
    took = time.perf_counter() - began
    found, used, after = np.array(latencies), process.cpu_times(), process.memory_info().rss
    stop.set()
    await publishing
    silent.close()
    cpu_s = used.user + used.system - cpu.user - cpu.system
    return {
        "clients": clients,
        "clients_lost": sum(client.lost for client in connected),
        "deliveries_per_s": round(found.size / took),
        "latency_ms": {
            name: round(float(np.quantile(found, share)) * 1_000, 1)
            for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0))
        },
        "server_cores": round(cpu_s / took, 2),
        "server_us_per_delivery": round(cpu_s / max(found.size, 1) * 1e6, 1),
        "rss_mb": {"before": round(before / 1e6), "after": round(after / 1e6)},
        "load_average": os.getloadavg()[0],
    }


def _same(client: Client) -> Client:
    return client


def connect_silent(port: int) -> socket.socket:
    """A client that asks for everything and never reads."""
    silent = socket.socket()
    silent.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    silent.connect(("127.0.0.1", port))
    silent.sendall(HANDSHAKE.format(port=port).encode())
    silent.recv(4_096)
    for number in range(SYMBOLS):
        silent.sendall(question(f"S{number}/USDT"))
    return silent


def run(clients: int = CLIENTS, seconds: float = SECONDS) -> dict[str, Any]:
    """The figures of one measurement."""
    with (
        tempfile.TemporaryDirectory(prefix="kandle-bench-") as folder,
        cluster.servers(Path(folder)) as (servers, url),
    ):
        Admin(KafkaSettings(bootstrap_servers=servers)).ensure_topics()
        migrate(url)
        with server(servers, url, Path(folder)) as (port, process):
            return asyncio.run(measure(port, servers, process, clients, seconds))


def main() -> int:
    """Measure and print."""
    warnings_alone()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--clients", type=int, default=CLIENTS)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    given = parser.parse_args()
    figures = run(given.clients, given.seconds)
    print(json.dumps(figures) if given.json else json.dumps(figures, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
