"""From a WebSocket on loopback to records that Kafka has acknowledged, beside the usual feed handler.

One producer process (`kandle produce`), frames from another, a real broker, acks=all. The peer, cryptofeed
with its own Kafka backend, gets the same frames from the same server in the same run; it is installed into an
environment of its own below the cache folder.

python -m tests.bench.producers --json
python -m tests.bench.producers --long --json      memory at 1 and at 10 million trades as well
"""

import argparse
import json
import os
import select
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from platformdirs import user_cache_path

from infra.embedded import cluster
from infra.kafka.admin import Admin
from infra.settings import KafkaSettings
from schemas.topics import TRADES
from tests.bench.frame_server import TRADES_A_SECOND, symbol_names

ROOT = Path(__file__).parents[2]
PEER = Path(__file__).with_name("cryptofeed_peer.py")
PEER_TOPIC = "trades-BINANCE-BTC-USDT"
POLL_S = 0.02
TIMEOUT_S = 60.0
"""To wait for a client, and for one more record."""
PEER_VERSION = "cryptofeed==2.4.1"


@contextmanager
def empty_broker() -> Iterator["Broker"]:
    """A broker for one run: a producer skips what the log holds, and asks for what it misses."""
    with tempfile.TemporaryDirectory(prefix="kandle-bench-") as data, cluster.broker(Path(data)) as servers:
        broker = Broker(servers)
        try:
            yield broker
        finally:
            broker.close()


class Broker:
    """A broker of one run."""

    def __init__(self, servers: str) -> None:
        self.servers = servers
        self._consumer = Consumer({"bootstrap.servers": servers, "group.id": "bench"})
        Admin(KafkaSettings(bootstrap_servers=servers)).ensure_topics()

    def close(self) -> None:
        """Leave before the broker goes."""
        self._consumer.close()

    def make(self, topic: str) -> None:
        """Create a topic of one partition."""
        # Held until the answer has come: a client that is let go gives up what it has asked for.
        admin = AdminClient({"bootstrap.servers": self.servers})
        admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(10)

    def end(self, topic: str) -> int:
        """Records that the topic has ever held."""
        while True:
            try:
                partitions = self._consumer.list_topics(topic, timeout=10).topics[topic].partitions
                return sum(
                    self._consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=10)[1]
                    for number in partitions
                )
            except KafkaException:
                # A topic that was just made has no leader for a moment.
                time.sleep(POLL_S)


@contextmanager
def serving(trades: int, symbols: int) -> Iterator[tuple[int, "subprocess.Popen[str]"]]:
    """The frame server; its port, and the process, whose next line says that a client is served."""
    command = [sys.executable, "-m", "tests.bench.frame_server", "--trades", str(trades)]
    with subprocess.Popen(
        [*command, "--symbols", str(symbols)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stdout is not None
            yield int(server.stdout.readline()), server
        finally:
            server.kill()


def await_start(server: "subprocess.Popen[str]", child: "subprocess.Popen[bytes]") -> float:
    """Wait until the server begins to send to the child; when that was, by `time.perf_counter`.

    Raises:
        RuntimeError: The child ended before, and why.
        TimeoutError: It did not subscribe in time.
    """
    assert server.stdout is not None
    deadline = time.perf_counter() + TIMEOUT_S
    while not select.select([server.stdout], [], [], POLL_S)[0]:
        if child.poll() is not None:
            raise RuntimeError(f"{child.args!r} ended with {child.returncode} before it was served")
        if time.perf_counter() > deadline:
            raise TimeoutError(f"{child.args!r} did not subscribe within {TIMEOUT_S:g} s")
    server.stdout.readline()
    return time.perf_counter()


def await_records(
    broker: Broker, topic: str, count: int, process: psutil.Process, began: float
) -> tuple[float, float, float]:
    """Wait until a topic holds so many records; seconds since `began`, CPU seconds and most memory, MB.

    Raises:
        TimeoutError: No record came for `TIMEOUT_S`.
    """
    before, peak = process.cpu_times(), process.memory_info().rss
    held, moved = 0, began
    while time.perf_counter() - moved < TIMEOUT_S:
        now_held = broker.end(topic)
        if now_held > held:
            held, moved = now_held, time.perf_counter()
        peak = max(peak, process.memory_info().rss)
        if held >= count:
            after = process.cpu_times()
            cpu_s = after.user + after.system - before.user - before.system
            return time.perf_counter() - began, cpu_s, peak / 1e6
        time.sleep(POLL_S)
    raise TimeoutError(f"{topic} holds {held} of {count} records, no more for {TIMEOUT_S:g} s")


def measure(trades: int, symbols: int) -> dict[str, float]:
    """One run of our producer."""
    marks = trades // TRADES_A_SECOND * KafkaSettings().partitions
    with empty_broker() as broker, serving(trades, symbols) as (port, server):
        names = [f"{name.removesuffix('USDT')}/USDT" for name in symbol_names(symbols)]
        environment = os.environ | {
            "KAFKA_BOOTSTRAP_SERVERS": broker.servers,
            "KANDLE_PRODUCER__SYMBOLS": ",".join(names),
            "KANDLE_PRODUCER__AGGREGATED_SYMBOLS": ",".join(names),
            "KANDLE_PRODUCER__CHANNELS": "trades",
            "KANDLE_PRODUCER__WEBSOCKET_URL": f"ws://127.0.0.1:{port}",
            "KANDLE_PRODUCER__REST_URL": f"http://127.0.0.1:{port}",
            "KANDLE_PRODUCER__LOSSLESS": "true",
            "KANDLE_PRODUCER__IDLE_MARKS": "false",
            "KANDLE_PRODUCER__EXIT_AT_END": "false",
        }
        command = [sys.executable, "-m", "kandle", "produce"]
        with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL) as child:
            try:
                began = await_start(server, child)
                taken = await_records(broker, TRADES.name, trades + marks, psutil.Process(child.pid), began)
            finally:
                child.kill()
    seconds, cpu_s, rss_mb = taken
    return {
        "trades_per_s": round(trades / seconds),
        "cpu_s_per_million": round(cpu_s / trades * 1e6, 2),
        "rss_mb": round(rss_mb, 1),
    }


def measure_cryptofeed(trades: int) -> dict[str, Any]:
    """One run of cryptofeed, or why there is none."""
    folder = user_cache_path("kandle") / "bench-peers" / PEER_VERSION
    python = folder / "bin" / "python"
    try:
        if not python.exists():
            venv.create(folder, with_pip=True)
        install = [str(python), "-m", "pip", "install", "-q", PEER_VERSION, "aiokafka==0.14.0"]
        subprocess.run(install, check=True, capture_output=True, timeout=600)
    except (OSError, subprocess.SubprocessError) as error:
        return {"unavailable": str(error)}
    with (
        empty_broker() as broker,
        serving(trades, 1) as (port, server),
        tempfile.TemporaryDirectory() as scratch,
    ):
        broker.make(PEER_TOPIC)
        command = [str(python), str(PEER), str(port), broker.servers]
        with subprocess.Popen(
            command, cwd=scratch, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as child:
            try:
                began = await_start(server, child)
                seconds, cpu_s, rss_mb = await_records(
                    broker, PEER_TOPIC, trades, psutil.Process(child.pid), began
                )
            finally:
                child.kill()
    return {
        "trades_per_s": round(trades / seconds),
        "cpu_s_per_million": round(cpu_s / trades * 1e6, 2),
        "rss_mb": round(rss_mb, 1),
    }


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on one line")
    parser.add_argument("--trades", type=int, default=300_000)
    parser.add_argument("--peer-trades", type=int, default=20_000)
    parser.add_argument("--no-peer", action="store_true")
    parser.add_argument("--long", action="store_true", help="also 1 and 10 million trades, for the memory")
    given = parser.parse_args()
    ours = measure(given.trades, 1)
    peers: dict[str, Any] = {}
    if not given.no_peer:
        peers["cryptofeed"] = measure_cryptofeed(given.peer_trades)
    again = measure(given.trades, 1)
    many = measure(given.trades, 1_000)
    best = max(ours, again, key=lambda run: run["trades_per_s"])
    least_cpu_s = min(ours["cpu_s_per_million"], again["cpu_s_per_million"])
    figures: dict[str, Any] = {
        **best,
        "runs": [ours, again],
        "rss_mb": {str(given.trades): best["rss_mb"]},
        "thousand_symbols": many,
        "thousand_symbols_ratio": round(many["cpu_s_per_million"] / least_cpu_s, 2),
        "peers": peers,
    }
    for peer in peers.values():
        if "trades_per_s" in peer:
            peer["ratio"] = round(best["trades_per_s"] / peer["trades_per_s"], 1)
    if given.long:
        for trades in (1_000_000, 10_000_000):
            figures["rss_mb"][str(trades)] = measure(trades, 1)["rss_mb"]
    print(json.dumps(figures) if given.json else json.dumps(figures, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
