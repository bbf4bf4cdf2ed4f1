"""What fault tests of the sinks share: what is sent, processes and runners under test, the verdict."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.comparison import Comparison, compare
from infra.kafka.dead_letters import DeadLetters
from infra.kafka.publisher import Publisher
from infra.keyed_rows import Rows
from infra.settings import Settings
from schemas.records import Record
from schemas.topics import TRADES
from sinks.database import Database
from sinks.migrator import migrate
from sinks.registry import Parts, make
from sinks.runner import Runner
from tests.sink_harness import (
    PARTITIONS,
    Log,
    mark,
    row_of,
    stored_trades,
    totals,
    trade,
    until_passed,
)

FIELDS = ("time", "venue", "symbol", "trade_id", "price", "size", "side", "received")


class SinkProcess:
    """`kandle sink` as a process of its own."""

    def __init__(self, servers: str, url: str, folder: Path, instance: str, **more: str) -> None:
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("KANDLE_")},
            "KAFKA_BOOTSTRAP_SERVERS": servers,
            "DATABASE_URL": url,
            "KANDLE_KAFKA__PARTITIONS": str(PARTITIONS),
            "KANDLE_KAFKA__SESSION_TIMEOUT_MS": "6000",
            "KANDLE_KAFKA__HEARTBEAT_INTERVAL_MS": "1000",
            "KANDLE_SINK__INSTANCE_ID": instance,
            "KANDLE_SINK__MAX_ROWS": "2000",
            **more,
        }
        self.name = instance
        self._log = folder / f"{instance}.log"
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "kandle", "sink"], env=self._environment, stderr=log, stdout=log
            )

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def kill_and_restart(self) -> None:
        self.kill()
        self.process = self._start()

    def stop(self) -> str:
        """End it as an operator does; returns what it has logged."""
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        try:
            self.process.wait(20)
        finally:
            self.process.kill()
            self.process.wait()
        return self._log.read_text()


@dataclass(frozen=True, slots=True)
class Running:
    """A runner at work."""

    runner: Runner
    task: asyncio.Task[None]

    @property
    def buffered_bytes(self) -> int:
        return self.runner._intake._bytes

    @property
    def is_paused(self) -> bool:
        return self.runner._intake._paused


@contextlib.asynccontextmanager
async def runner_of(
    settings: Settings, name: str = "timescale", buffer_bytes: int | None = None
) -> AsyncIterator[Running]:
    """One sink in this process, to look into; the database is migrated."""
    assert settings.database.url is not None
    await asyncio.to_thread(migrate, settings.database.url.get_secret_value())
    publisher = Publisher(settings.kafka)
    dead_letters = DeadLetters(publisher, "sink")
    database = Database(settings.database)
    (destination,) = make([name], Parts(settings, database, publisher, dead_letters))
    runner = Runner(settings, destination, dead_letters)
    if buffer_bytes is not None:
        runner._intake._buffer_bytes = buffer_bytes
    stop = asyncio.Event()
    task = asyncio.create_task(runner.run(stop))
    try:
        yield Running(runner, task)
    finally:
        stop.set()
        try:
            await task
        finally:
            await database.close()
            await publisher.close()


def fill(log: Log, count: int, first: int = 0) -> list[Record]:
    """Trades of three markets over both partitions, one in twenty sent twice, marks between."""
    sent = [trade(number, f"S{number % 3}/USDT") for number in range(first, first + count)]
    for partition in range(PARTITIONS):
        own = [item for item in sent if (item.symbol == "S0/USDT") == (partition == 0)]
        records: list[Record] = []
        for number, item in enumerate(own):
            records.append(item)
            if number % 20 == 0:
                records.append(own[max(0, number - 7)])
            if number % 500 == 0:
                records.append(mark(item.event_time))
        log.put(TRADES, partition, records)
    return list(sent)


def end(log: Log) -> None:
    """The final marks of the run."""
    for partition in range(PARTITIONS):
        log.put(TRADES, partition, [mark(0, final=True)])


async def ended(url: str, timeout_s: float = 60, task: asyncio.Task[None] | None = None) -> None:
    """Wait until all trades of the run are stored."""
    await until_passed(url, "timescale", TRADES, timeout_s=timeout_s, task=task)


def verdict(url: str, sent: Sequence[Any]) -> Comparison:
    """What was sent against what the view has."""
    found = stored_trades(url)
    expected = [row_of(item) for item in sent]
    return compare(_rows(expected), _rows(found), ("venue", "symbol", "trade_id"), compared=FIELDS)


def _rows(rows: Sequence[tuple[Any, ...]]) -> Rows:
    columns = zip(*rows, strict=True) if rows else ([] for _ in FIELDS)
    return Rows.of(dict(zip(FIELDS, map(list, columns), strict=True)))


def assert_exact(url: str, sent: Sequence[Any], what: str = "", **figures: object) -> None:
    """Every trade once, with its values; prints the figures of the case."""
    result = verdict(url, sent)
    told = ", ".join(f"{value} {name}" for name, value in figures.items())
    print(
        f"{what}: {result.found:,} rows of {result.expected:,} sent, {told}; lost {result.lost}, "
        f"duplicate {result.duplicate}, differing {result.differing}, unseen {result.unseen}"
    )
    assert result.clean, "\n".join(result.as_lines(what))
    assert result.found == len(sent)
    assert totals(url, "timescale")[1] == len(sent)
