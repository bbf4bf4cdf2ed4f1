"""The archive sink killed, and stalled past its session: each record is in a file that counts, once."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from infra.settings import ArchiveSettings, KafkaSettings
from schemas.records import Record
from schemas.topics import TRADES
from sinks.archive.store import Store, open_store
from tests.archive_harness import (
    ONLY,
    archive_settings,
    archived,
    assert_whole,
    files_by_manifest,
    s3_server,
    s3_settings,
)
from tests.sink_harness import PARTITIONS, Log, fresh_topics, mark, running, trade, until

SENT, SENT_IN_FULL = 10_000, 300_000
KILLS, KILLS_IN_FULL = 1, 30
PUT_AT_ONCE = 250
"""Records of a batch of Kafka's, which is what a sink takes at the least: so that portions are many."""


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    with s3_server() as endpoint:
        yield endpoint


class ArchiveProcess:
    """`kandle sink --only archive` as a process of its own."""

    def __init__(self, kafka: KafkaSettings, archive: ArchiveSettings, folder: Path, instance: str) -> None:
        given = {
            "URL": archive.url,
            "ENDPOINT": archive.endpoint,
            "REGION": archive.region,
            "ACCESS_KEY_ID": "k" if archive.access_key_id else None,
            "SECRET_ACCESS_KEY": "s" if archive.secret_access_key else None,
            "FLUSH_S": "0.05",
            "MAX_ROWS": "1000",
            "TOPICS": TRADES.name,
        }
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("KANDLE_")},
            "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers or "",
            "KANDLE_KAFKA__PARTITIONS": str(kafka.partitions),
            "KANDLE_KAFKA__SESSION_TIMEOUT_MS": str(kafka.session_timeout_ms),
            "KANDLE_KAFKA__HEARTBEAT_INTERVAL_MS": str(kafka.heartbeat_interval_ms),
            "KANDLE_SINK__INSTANCE_ID": instance,
            **{f"KANDLE_ARCHIVE__{name}": value for name, value in given.items() if value is not None},
        }
        self._environment.pop("DATABASE_URL", None)
        self._log = folder / f"{instance}.log"
        self._folder = folder
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "kandle", "sink", "--only", "archive"],
                env=self._environment,
                cwd=self._folder,
                stderr=log,
                stdout=log,
            )

    def kill_and_restart(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process = self._start()

    def stop(self) -> str:
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        try:
            self.process.wait(20)
        finally:
            self.process.kill()
            self.process.wait()
        return self._log.read_text()


def fill(log: Log, count: int, first: int = 0) -> dict[int, list[Record]]:
    """Trades in both partitions over some hours, marks between."""
    sent: dict[int, list[Record]] = {}
    for partition in range(PARTITIONS):
        numbers = range(first + partition, first + count, PARTITIONS)
        records: list[Record] = [
            trade(number, time_us=1_700_000_000_000_000 + number * 200_000) for number in numbers
        ]
        for place in range(len(records) - 1, 0, -500):
            records.insert(place, mark(place))
        for at in range(0, len(records), PUT_AT_ONCE):
            log.put(TRADES, partition, records[at : at + PUT_AT_ONCE])
        sent[partition] = records
    return sent


def rows_archived(store: Store) -> int:
    return sum(archived(store, TRADES).values())


@pytest.mark.parametrize("place", ["disk", "s3"])
async def test_an_archive_killed_again_and_again_holds_each_record_once(
    kafka: str, request: pytest.FixtureRequest, tmp_path: Path, place: str, in_full: bool
) -> None:
    if place == "s3" and not in_full:
        pytest.skip("the same on a disk is enough: make chaos, or --run-chaos")
    where: Path | ArchiveSettings = tmp_path / "archive"
    if place == "s3":
        where = s3_settings(request.getfixturevalue("s3"), tmp_path.name)
    settings = archive_settings(kafka, where)
    store = open_store(settings)
    fresh_topics(settings.kafka)
    kills, count = (KILLS_IN_FULL, SENT_IN_FULL) if in_full else (KILLS, SENT)
    sent = fill(Log(kafka), count)
    whole = sum(map(len, sent.values()))
    chance = random.Random(7)
    sink = ArchiveProcess(settings.kafka, settings.archive, tmp_path, "only")
    stops = []
    try:
        for kill in range(kills):
            goal = whole * (kill + 1) // (kills + 2)
            await until(lambda goal=goal: rows_archived(store) >= goal, 60)  # type: ignore[misc]
            # In the middle of whatever it is at: portions follow each other without a pause.
            await asyncio.sleep(chance.uniform(0, 0.05))
            sink.kill_and_restart()
            stops.append(rows_archived(store))
            if place == "disk":
                assert_no_row_twice(tmp_path / "archive")
        await until(lambda: rows_archived(store) == whole, 120)
        assert stops == sorted(stops)
        assert stops[-1] < whole
    finally:
        said = sink.stop()
    assert "Traceback" not in said
    assert_whole(store, TRADES, sent)
    files = len(files_by_manifest(store, TRADES))
    print(f"{place}: {whole} rows, {kills} kills, {files} files, 0 lost, 0 twice")


def assert_no_row_twice(archive: Path) -> None:
    """Readers by name pattern never see a row that does not count, not even between a kill and a start."""
    with duckdb.connect() as db:
        twice = db.execute(
            f"SELECT count(*) - count(DISTINCT (kafka_partition, kafka_offset)) "
            f"FROM read_parquet('{archive}/{TRADES.name}/record=trade/**/*.parquet')"
        ).fetchone()
    assert twice == (0,)


@pytest.mark.full
async def test_a_stalled_archive_is_refused_after_another_has_taken_over(kafka: str, tmp_path: Path) -> None:
    settings = archive_settings(kafka, tmp_path / "archive", topics=[TRADES.name])
    store = open_store(settings)
    fresh_topics(settings.kafka)
    log = Log(kafka)
    sent = fill(log, 60_000)
    whole = sum(map(len, sent.values()))
    stalled = ArchiveProcess(settings.kafka, settings.archive, tmp_path, "stalled")
    try:
        # In the middle of its work, with portions fetched and files staged perhaps.
        await until(lambda: rows_archived(store) > 5_000, 60)
        os.kill(stalled.process.pid, signal.SIGSTOP)
        before = rows_archived(store)
        assert before < whole
        async with running(settings, ONLY) as task:
            await until(lambda: rows_archived(store) == whole, 60, task)
            os.kill(stalled.process.pid, signal.SIGCONT)
            more = fill(log, 2_000, 60_000)
            whole += sum(map(len, more.values()))
            await until(lambda: rows_archived(store) == whole, 60, task)
            # Time for the stalled one to try what it had in hand.
            began = time.monotonic()
            await until(lambda: time.monotonic() - began > 2, task=task)
    finally:
        said = stalled.stop()
    assert "Traceback" not in said
    assert_whole(store, TRADES, {partition: sent[partition] + more[partition] for partition in sent})
