"""Sinks that are killed, stalled, cut off: what is stored stays exact."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from structlog.testing import capture_logs

from infra.embedded import cluster
from infra.embedded.postgres import PostgresServer
from infra.settings import Settings, SinkSettings
from schemas.topics import TRADES
from tests.sink_faults import SinkProcess, assert_exact, end, ended, fill
from tests.sink_harness import (
    Log,
    fresh_topics,
    query,
    rows_stored,
    running,
    settings_for,
    totals,
    until_passed,
    until_stored,
)
from tests.tcp_proxy import TcpProxy

ONLY = ("timescale",)
TRADES_SENT = 100_000
TRADES_SENT_IN_FULL = 1_000_000
KILLS = 5
KILLS_IN_FULL = 100
COPY_WITHOUT_END = "COPY kandle.market_trades FROM STDIN"


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="kandle-chaos-") as made:
        yield Path(made)


async def test_a_sink_killed_again_and_again_stores_each_trade_once(
    kafka: str, sink_database: object, folder: Path, in_full: bool
) -> None:
    url = sink_database()  # type: ignore[operator]
    fresh_topics(settings_for(kafka, url).kafka)
    kills = KILLS_IN_FULL if in_full else KILLS
    log = Log(kafka)
    sent = fill(log, TRADES_SENT_IN_FULL if in_full else TRADES_SENT)
    end(log)
    sink = SinkProcess(kafka, url, folder, "only")
    try:
        stops: list[int] = []
        for kill in range(kills):
            # Each kill comes after more was stored than before the last, in the middle of what is left.
            goal = max(len(sent) * (kill + 1) // (kills + 2), stops[-1] + 1 if stops else 0)
            await until_stored(url, goal, 60)
            sink.kill_and_restart()
            stops.append(totals(url, "timescale")[1])
        await ended(url)
        assert stops == sorted(set(stops))
        assert stops[-1] < len(sent)
    finally:
        said = sink.stop()
    assert_exact(url, sent, "a sink killed again and again", kills=kills)
    assert "Traceback" not in said


async def test_a_stalled_sink_is_refused_after_another_has_taken_over(
    kafka: str, sink_database: object, folder: Path
) -> None:
    url = sink_database()  # type: ignore[operator]
    settings = settings_for(kafka, url)
    fresh_topics(settings.kafka)
    log = Log(kafka)
    sent = fill(log, 5_000)
    stalled = SinkProcess(kafka, url, folder, "stalled")
    try:
        await until_stored(url, 5_000)
        os.kill(stalled.process.pid, signal.SIGSTOP)
        sent += fill(log, 5_000, 5_000)
        async with running(settings, ONLY) as task:
            await until_stored(url, 10_000, 40, task)
            os.kill(stalled.process.pid, signal.SIGCONT)
            sent += fill(log, 5_000, 10_000)
            end(log)
            await ended(url)
    finally:
        stalled.stop()
    assert_exact(url, sent, "a sink stopped past its session", stalls=1)


@pytest.mark.full
async def test_a_database_that_crashes_in_the_middle_is_written_again_at_once(
    kafka: str, folder: Path
) -> None:
    with cluster.database(folder) as url:
        settings = settings_for(kafka, url, sink=SinkSettings(max_rows=500))
        fresh_topics(settings.kafka)
        log = Log(kafka)
        sent = fill(log, 60_000)
        end(log)
        async with running(settings, ONLY) as task:
            for kill in range(3):
                goal = 15_000 * (kill + 1)
                await until_stored(url, goal, 30, task)
                backends = query(
                    url, "SELECT pid FROM pg_stat_activity WHERE application_name = 'kandle-sink-timescale'"
                )
                # One backend that dies takes the whole server through crash recovery.
                os.kill(backends[0][0], signal.SIGKILL)
                await until_stored(url, goal + 1_000, 15, task)
            await ended(url)
        assert_exact(url, sent, "a backend killed, crash recovery", kills=3)


@pytest.mark.full
async def test_a_database_that_was_away_is_written_again(kafka: str, folder: Path) -> None:
    server = PostgresServer.prepare(folder)
    settings = settings_for(kafka, server.dsn, sink=SinkSettings(max_rows=500))
    fresh_topics(settings.kafka)
    log = Log(kafka)
    sent = fill(log, 30_000)
    end(log)
    async with running(settings, ONLY) as task:
        with cluster.running(server.spec, folder):
            await until_stored(server.dsn, 5_000, 30, task)
            before = rows_stored(server.dsn)
        await asyncio.sleep(3)
        with cluster.running(server.spec, folder):
            await until_stored(server.dsn, before + 1, 10, task)
            await ended(server.dsn)
            assert_exact(server.dsn, sent)


async def test_a_connection_cut_around_the_commit_repeats_nothing(kafka: str, sink_database: object) -> None:
    url: str = sink_database()  # type: ignore[operator]
    async with TcpProxy.before(url) as proxy:
        settings: Settings = settings_for(kafka, proxy.url, sink=SinkSettings(max_rows=500))
        fresh_topics(settings.kafka)
        log = Log(kafka)
        sent = fill(log, 20_000)
        with capture_logs() as said:
            async with running(settings, ONLY):
                await until_stored(url, 1)
                for number in range(6):
                    # The server gets the COMMIT, the sink never hears of it.
                    await proxy.cut_after_answer_to(b"COMMIT\0")
                    sent += fill(log, 1_000, 20_000 + 1_000 * number)
                end(log)
                await ended(url)
        assert proxy.cuts == 6
        known = [line for line in said if line["event"].startswith("the connection was cut after the commit")]
        assert len(known) == 6
    assert_exact(url, sent, "cut between COMMIT and its answer", cuts=6)


async def test_a_sink_stopped_in_mid_copy_does_not_hold_up_the_next(kafka: str, postgres: object) -> None:
    url: str = postgres()  # type: ignore[operator]
    settings = settings_for(kafka, url)
    fresh_topics(settings.kafka)
    log = Log(kafka)
    sent = fill(log, 1_000)
    async with running(settings, ONLY) as task:
        await until_stored(url, 1_000, 30, task)
        # As a stopped process leaves it: the rows are locked, a COPY waits for bytes that never come.
        stopped = psycopg.connect(url, application_name="kandle-sink-timescale")
        try:
            stopped.execute("UPDATE kandle.offsets SET next_offset = next_offset + 7")
            cursor = stopped.cursor()
            with contextlib.suppress(psycopg.OperationalError), cursor.copy(COPY_WITHOUT_END):
                sent += fill(log, 1_000, 1_000)
                end(log)
                await until_passed(url, "timescale", TRADES, timeout_s=60, task=task)
        finally:
            stopped.close()
    assert_exact(url, sent)
