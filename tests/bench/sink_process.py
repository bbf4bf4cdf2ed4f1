"""`kandle sink` as its users start it, on a database of its own, for the measurements of the sinks."""

import contextlib
import os
import re
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import psutil
import psycopg

from tests.bench.bench_broker import PARTITIONS

POLL_S = 0.02
STALL_S = 120.0
TABLE = "kandle.market_trades"
STORED = (
    "SELECT coalesce(sum(o.rows_stored), 0)::bigint FROM kandle.offsets o "
    "JOIN kandle.topics t ON t.id = o.topic_id WHERE o.sink = 'timescale' AND t.name = 'market.trades.v1'"
)


@contextmanager
def fresh_database(server: str) -> Iterator[str]:
    """URL of a new, empty database of a server, dropped at the end."""
    name = f"bench_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server, autocommit=True) as db:
        db.execute(f'CREATE DATABASE "{name}"'.encode())
    try:
        yield f"{server.rpartition('/')[0]}/{name}"
    finally:
        with psycopg.connect(server, autocommit=True) as db:
            db.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


def value_of(db: psycopg.Connection[Any], statement: str) -> Any:
    """The one value that a query gives."""
    row = db.execute(statement.encode()).fetchone()
    assert row is not None
    return row[0]


class SinkProcess:
    """`kandle sink` with the settings that it ships with.

    Args:
        servers: The broker.
        url: The database.
        folder: For its log; a folder without settings.
    """

    def __init__(self, servers: str, url: str, folder: Path) -> None:
        ours = {name: value for name, value in os.environ.items() if not name.startswith("KANDLE_")}
        environment = ours | {
            "KAFKA_BOOTSTRAP_SERVERS": servers,
            "DATABASE_URL": url,
            "KANDLE_KAFKA__PARTITIONS": str(PARTITIONS),
            "KANDLE_METRICS__PORT": "0",
        }
        self._log = folder / "sink.log"
        with self._log.open("wb") as log:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "kandle", "sink"], cwd=folder, env=environment, stderr=log, stdout=log
            )
        self._url = url
        self.process = psutil.Process(self._child.pid)

    @classmethod
    @contextmanager
    def running(cls, servers: str, url: str) -> Iterator[Self]:
        """A sink for as long as it is needed; stopped as users stop it."""
        with tempfile.TemporaryDirectory(prefix="kandle-bench-") as folder:
            sink = cls(servers, url, Path(folder))
            try:
                yield sink
                sink._child.terminate()
                sink._child.wait(30)
            finally:
                sink._child.kill()
                sink._child.wait()

    def raise_if_ended(self) -> None:
        """Raise with its log.

        Raises:
            RuntimeError: It has ended.
        """
        if self._child.poll() is not None:
            raise RuntimeError(f"the sink ended with {self._child.returncode}: {self._log.read_text()}")

    def wait(self, db: psycopg.Connection[Any], wanted: int) -> tuple[int, float]:
        """Wait until so many trades are committed; how many there were then, and when.

        Raises:
            RuntimeError: The sink has ended.
            TimeoutError: No more were committed for `STALL_S`.
        """
        highest, moved = -1, time.perf_counter()
        while True:
            rows = 0
            with contextlib.suppress(psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
                rows = int(value_of(db, STORED))
            now = time.perf_counter()
            if rows >= wanted:
                return rows, now
            if rows > highest:
                highest, moved = rows, now
            if now - moved > STALL_S:
                raise TimeoutError(f"{highest} of {wanted} are stored, no more for {STALL_S:g} s")
            self.raise_if_ended()
            time.sleep(POLL_S)

    @property
    def peak_rss_mb(self) -> float:
        """The most resident memory so far, MB."""
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{self.process.pid}/status").read_text())
        assert found is not None
        return int(found[1]) / 1e3


def until(condition: Callable[[], bool], timeout_s: float) -> None:
    """Wait for a condition.

    Raises:
        TimeoutError: It does not come true.
    """
    deadline = time.perf_counter() + timeout_s
    while not condition():
        if time.perf_counter() > deadline:
            raise TimeoutError(f"not within {timeout_s:g} s")
        time.sleep(POLL_S)
