"""A database that is killed in mid-COPY, full, or locked: what is stored stays exact; the sink goes on."""

from __future__ import annotations

import asyncio
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from infra.embedded.child import Child
from infra.embedded.errors import ChildFailedError
from infra.embedded.postgres import PostgresServer
from infra.embedded.stage_log import StageLog
from infra.kafka.admin import Admin
from infra.kafka.reader import PARTITION_BYTES
from infra.metrics.sinks import SINK_BLOCKED
from infra.settings import SinkSettings
from schemas.topics import TRADES
from tests.sink_faults import assert_exact, end, ended, fill, runner_of
from tests.sink_harness import (
    PARTITIONS,
    Log,
    fresh_topics,
    query,
    rows_stored,
    running,
    settings_for,
    totals,
    until,
    until_stored,
)
from tests.tcp_proxy import TcpProxy

COPY_DATA = b"PGCOPY\n\xff\r\n\0"
"""How the data of a binary COPY begin."""
MEGABYTE = 1024 * 1024
BUFFER_BYTES = 64 * 1024
SINK_BYTES = 150 * MEGABYTE
"""More than a sink may grow by while its database does not take anything."""


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="kandle-chaos-") as made:
        yield Path(made)


def blocked() -> float:
    return float(SINK_BLOCKED.labels("timescale")._value.get())


def start(server: PostgresServer, folder: Path) -> Child:
    return Child.start(server.spec, StageLog.of(folder, server.spec.name))


def kill_all(child: Child) -> int:
    """kill -9 the server with all its processes; returns how many."""
    main = psutil.Process(child._process.pid)
    family = [main, *main.children(recursive=True)]
    for each in family:
        each.kill()
    psutil.wait_procs(family[1:], 10)
    child._process.wait(10)
    return len(family)


async def start_again(server: PostgresServer, folder: Path) -> Child:
    """A server that is ready; one that finds memory of the killed one still in use is started once more."""
    for attempt in range(10):
        child = start(server, folder)
        try:
            await asyncio.to_thread(child.wait_until_ready)
        except ChildFailedError:
            assert attempt < 9
            await asyncio.sleep(0.2)
        else:
            return child
    raise AssertionError("unreachable")


async def test_a_database_killed_in_mid_copy_is_written_again_within_5_s(
    kafka: str, folder: Path, in_full: bool
) -> None:
    kills = 10 if in_full else 1
    server = PostgresServer.prepare(folder)
    child = start(server, folder)
    try:
        await asyncio.to_thread(child.wait_until_ready)
        async with TcpProxy.before(server.dsn) as proxy:
            settings = settings_for(kafka, proxy.url, sink=SinkSettings(max_rows=500))
            fresh_topics(settings.kafka)
            log = Log(kafka)
            sent = fill(log, 2_000)
            back_s = []
            async with running(settings, ["timescale"]) as task:
                await until_stored(server.dsn, 2_000, 30, task)
                for kill in range(kills):
                    holding = asyncio.create_task(proxy.hold_after(COPY_DATA))
                    sent += fill(log, 2_000, 2_000 * (kill + 1))
                    await holding
                    before = rows_stored(server.dsn)
                    copying = query(server.dsn, "SELECT count(*) FROM pg_stat_progress_copy")
                    assert copying == [(1,)]
                    assert kill_all(child) > 1
                    child = await start_again(server, folder)
                    returned = time.monotonic()
                    await until(lambda known=before: rows_stored(server.dsn) > known, 15, task)  # type: ignore[misc]
                    back_s.append(time.monotonic() - returned)
                end(log)
                await ended(server.dsn, task=task)
            assert_exact(
                server.dsn,
                sent,
                "PostgreSQL killed in mid-COPY",
                kills=kills,
                seconds_to_write_again=f"{max(back_s):.1f}",
            )
            # What the machine does beside this test must not decide: in full it has the machine alone.
            assert max(back_s) < (5 if in_full else 10)
    finally:
        child.stop()


@contextmanager
def small_disk(megabytes: int) -> Iterator[Path]:
    """A file system of its own, or a test that says why there is none."""
    with tempfile.TemporaryDirectory(prefix="kandle-disk-") as made:
        Path(made).chmod(0o755)
        asked = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0755", "tmpfs", made]
        answer = subprocess.run(asked, capture_output=True, text=True, check=False)
        if answer.returncode:
            pytest.skip(f"no small disk: {answer.stderr.strip()}")
        try:
            yield Path(made)
        finally:
            subprocess.run(["umount", "--lazy", made], check=True)


@contextmanager
def database_on(disk: Path, url: str) -> Iterator[str]:
    """URL of a database that lies on a disk; its server's log of changes does not."""
    space = f"small_{os.getpid()}"
    with psycopg.connect(url, autocommit=True) as admin:
        shown = admin.execute("SHOW data_directory").fetchone()
        assert shown is not None
        (disk / "space").mkdir(mode=0o700)
        owner = Path(shown[0]).stat()
        os.chown(disk / "space", owner.st_uid, owner.st_gid)
        admin.execute(f"CREATE TABLESPACE {space} LOCATION '{disk / 'space'}'".encode())
        admin.execute(f"CREATE DATABASE {space} TABLESPACE {space}".encode())
        try:
            yield f"{url.rpartition('/')[0]}/{space}"
        finally:
            admin.execute(f"DROP DATABASE {space} WITH (FORCE)".encode())
            admin.execute(f"DROP TABLESPACE {space}".encode())


def fill_up(disk: Path) -> Path:
    """Leave no room on a disk; returns the file to delete."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(8192))
        except OSError:
            pass
    return ballast


def standing(db: psycopg.Connection[Any]) -> tuple[int, int]:
    """Next offsets and rows stored, by a connection that stands already."""
    row = db.execute(
        "SELECT sum(next_offset)::bigint, sum(rows_stored)::bigint FROM kandle.offsets "
        "WHERE sink = 'timescale'"
    ).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


async def test_a_full_disk_is_waited_for_and_nothing_moves(
    kafka: str, postgres: Callable[[], str], in_full: bool
) -> None:
    with small_disk(96) as disk, database_on(disk, postgres()) as url, ExitStack() as stack:
        settings = settings_for(kafka, url, sink=SinkSettings(max_rows=2_000))
        fresh_topics(settings.kafka)
        log = Log(kafka)
        sent = fill(log, 2_000)
        async with runner_of(settings, buffer_bytes=BUFFER_BYTES) as sink:
            await until_stored(url, 2_000, 30, sink.task)
            await until(lambda: blocked() == 0, 10, sink.task)
            # A full server takes no new connections: it cannot write what they share.
            db = stack.enter_context(psycopg.connect(url, autocommit=True))
            ballast = fill_up(disk)
            sent += fill(log, 40_000, 2_000)
            await until(lambda: blocked() == 1 and sink.is_paused, 30, sink.task)
            process = psutil.Process()
            before = process.memory_info().rss
            held, still_s = standing(db), 0
            async with asyncio.timeout(120):
                while still_s < (30 if in_full else 2):
                    await asyncio.sleep(1)
                    now = standing(db)
                    # The server frees room of its own now and then, for one more small transaction.
                    is_still = now == held and blocked() == 1 and sink.is_paused
                    held, still_s = now, still_s + 1 if is_still else 0
                    assert process.memory_info().rss - before < SINK_BYTES
            stored = held[1]
            assert stored < len(sent)
            ballast.unlink()
            end(log)
            await ended(url, task=sink.task)
            await until(lambda: blocked() == 0, 10, sink.task)
        assert_exact(url, sent, "disk full", rows_before=stored)


async def test_a_locked_table_is_waited_for_in_the_group(
    kafka: str, sink_database: Callable[[], str], in_full: bool
) -> None:
    locked_s = 120 if in_full else 12  # both longer than the session
    url = sink_database()
    settings = settings_for(kafka, url, sink=SinkSettings(max_rows=500))
    fresh_topics(settings.kafka)
    log = Log(kafka)
    sent = fill(log, 1_000)
    async with runner_of(settings, buffer_bytes=BUFFER_BYTES) as sink:
        await until_stored(url, 1_000, 30, sink.task)
        admin = Admin(settings.kafka)
        process = psutil.Process()
        with psycopg.connect(url) as blocker:
            blocker.execute("LOCK TABLE kandle.market_trades IN ACCESS EXCLUSIVE MODE")
            sent += fill(log, 40_000, 1_000)
            await until(lambda: sink.is_paused, 20, sink.task)
            before, most = process.memory_info().rss, 0
            deadline = time.monotonic() + locked_s
            while time.monotonic() < deadline:
                await asyncio.sleep(1)
                assert not sink.task.done()
                assert await asyncio.to_thread(admin.members, "kandle-timescale") == 1
                most = max(most, sink.buffered_bytes)
                assert most < BUFFER_BYTES + PARTITIONS * PARTITION_BYTES
                assert process.memory_info().rss - before < SINK_BYTES
            assert blocked() == 1
            assert totals(url, "timescale", TRADES)[1] == 1_000
        end(log)
        await ended(url, task=sink.task)
    assert_exact(url, sent, "a table locked", seconds=locked_s, buffered_bytes=most)
