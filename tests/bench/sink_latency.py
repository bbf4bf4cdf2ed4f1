"""How long a trade takes until it is seen in its table, at a steady rate that waits for nobody."""

import asyncio
import os
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psycopg

from infra.embedded import cluster
from infra.kafka.admin import Admin
from infra.kafka.publisher import Publisher
from infra.settings import KafkaSettings
from schemas.records import Trade
from schemas.topics import TRADES
from tests.bench.bench_broker import PARTITIONS
from tests.bench.latency import stopwatch
from tests.bench.sink_process import TABLE, SinkProcess, fresh_database, until

RATE = 5_000
SYMBOLS = 200
WARM_UP_S = 5
TICK_S = 0.001
LOOK_EVERY_S = 0.003
LOOK_FOR_CHILDREN_S = 0.5
DRAIN_TIMEOUT_S = 30.0
CHILDREN = f"SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = '{TABLE}'::regclass"


@dataclass(slots=True)
class Seen:
    """What a reader has found, by the wall clock of this machine, microseconds.

    Attributes:
        received: Receive times of the trades.
        found: When each was found.
    """

    received: list[int] = field(default_factory=list)
    found: list[int] = field(default_factory=list)


class Reader(threading.Thread):
    """Looks for new rows all the time, as a reader of the table with a connection of its own.

    Rows stand in the order of their coming; so it asks each partition from its last known page on.
    """

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.seen = Seen()
        self.ending = threading.Event()
        self._url = url
        self._last: dict[str, tuple[int, int]] = {}

    def run(self) -> None:
        """Look until `ending` is set."""
        with psycopg.connect(self._url, autocommit=True) as db:
            children: list[str] = []
            listed = 0.0
            while not self.ending.is_set():
                if time.monotonic() - listed > LOOK_FOR_CHILDREN_S:
                    listed = time.monotonic()
                    children = [name for (name,) in db.execute(CHILDREN.encode()).fetchall()]
                for child in children:
                    self._look(db, child)
                time.sleep(LOOK_EVERY_S)

    def _look(self, db: psycopg.Connection[Any], child: str) -> None:
        last = self._last.get(child, (0, 0))
        rows = db.execute(
            "SELECT ctid::text, (extract(epoch FROM receive_time) * 1000000)::bigint "
            f"FROM {child} WHERE ctid > '({last[0]},{last[1]})'::tid".encode()
        ).fetchall()
        now = time.time_ns() // 1_000
        for place, received in rows:
            page, item = place[1:-1].split(",")
            self._last[child] = max(self._last.get(child, last), (int(page), int(item)))
            self.seen.received.append(received)
            self.seen.found.append(now)


async def feed(kafka: KafkaSettings, seconds: float, first: int = 0) -> tuple[int, float, list[float]]:
    """Send trades at fixed times, each with the time of its sending as its receive time.

    Args:
        kafka: Where to.
        seconds: How long.
        first: Number of the first trade.

    Returns:
        Number of the next one, the most that one was sent too late (seconds), and what the broker took to
        acknowledge one in fifty (milliseconds).
    """
    publisher = Publisher(kafka, "bench")
    number, late = first, 0.0
    began = time.time() + 0.2 - first / RATE
    acknowledged_ms: list[float] = []
    while (now := time.time()) < began + first / RATE + seconds:
        while (due := began + number / RATE) <= now:
            late = max(late, now - due)
            at = time.time_ns() // 1_000
            symbol, sequence = number % SYMBOLS, number // SYMBOLS
            trade = Trade(
                *("binance", f"S{symbol}/USDT", str(sequence), sequence, 100.0 + number % 7, 1.0, "buy"),
                *(round(due * 1e6), at),
            )
            on_stored = stopwatch(acknowledged_ms) if number % 50 == 0 else None
            await publisher.publish(TRADES.name, trade, on_acknowledged=on_stored)
            number += 1
        publisher.poll()
        await asyncio.sleep(TICK_S)
    await publisher.flush()
    await publisher.close()
    return number, late, acknowledged_ms


def percentiles(values_ms: list[float]) -> dict[str, float]:
    """Of milliseconds."""
    p50, p90, p99 = np.percentile(values_ms, [50, 90, 99]).round(1).tolist()
    return {"p50_ms": p50, "p90_ms": p90, "p99_ms": p99, "max_ms": round(max(values_ms), 1)}


def measure(server: str, seconds: float) -> dict[str, Any]:
    """Latency with the sink that users run, on a new database of a server and a broker of its own."""
    with (
        tempfile.TemporaryDirectory(prefix="kandle-bench-") as folder,
        cluster.broker(Path(folder)) as servers,
        fresh_database(server) as url,
    ):
        kafka = KafkaSettings(bootstrap_servers=servers, partitions=PARTITIONS)
        Admin(kafka).ensure_topics()
        with SinkProcess.running(servers, url) as sink, psycopg.connect(url, autocommit=True) as db:
            warm, _, _ = asyncio.run(feed(kafka, WARM_UP_S))
            sink.wait(db, warm)
            reader = Reader(url)
            reader.start()
            load_before = os.getloadavg()[0]
            sent, late, acknowledged_ms = asyncio.run(feed(kafka, seconds, warm))
            load = os.getloadavg()[0]
            sink.wait(db, sent)
            until(lambda: len(reader.seen.received) >= sent, DRAIN_TIMEOUT_S)
            reader.ending.set()
            reader.join()
    # The first look finds all of the warm-up.
    taken_ms = [
        (f - r) / 1e3 for f, r in zip(reader.seen.found[warm:], reader.seen.received[warm:], strict=True)
    ]
    return {
        "visible": percentiles(taken_ms),
        "broker": percentiles(acknowledged_ms),
        "trades_per_s": RATE,
        "trades": len(taken_ms),
        "sent_late_ms_max": round(late * 1e3, 1),
        "load_before": round(load_before, 2),
        "load_after": round(load, 2),
    }
