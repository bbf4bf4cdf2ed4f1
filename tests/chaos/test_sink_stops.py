"""A sink that is told to stop while it cannot store: it ends, and the next goes on where the rows say."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import psycopg

from infra.settings import DatabaseSettings
from sinks import stage
from tests.sink_faults import assert_exact, end, ended, fill
from tests.sink_harness import Log, fresh_topics, running, settings_for, until_stored
from tests.tcp_proxy import TcpProxy


async def test_a_sink_stops_while_its_database_is_away(kafka: str, postgres: Callable[[], str]) -> None:
    url = postgres()
    async with TcpProxy.before(url) as proxy:
        settings = settings_for(kafka, proxy.url)
        settings = settings.model_copy(
            update={"database": DatabaseSettings(url=settings.database.url, acquire_timeout_s=2)}
        )
        fresh_topics(settings.kafka)
        log = Log(kafka)
        sent = fill(log, 1_000)
        stop = asyncio.Event()
        task = asyncio.create_task(stage.run(settings, stop, ["timescale"]))
        await until_stored(url, 1_000, 30, task)
        proxy.refuses = True
        proxy.reset_all()
        sent += fill(log, 1_000, 1_000)
        await asyncio.sleep(1)
        began = time.monotonic()
        stop.set()
        await asyncio.wait_for(task, 10)
        assert time.monotonic() - began < 10
    with psycopg.connect(url) as db:
        assert db.execute("SELECT sum(rows_stored) FROM kandle.offsets").fetchone() == (1_000,)
    end(log)
    async with running(settings_for(kafka, url), ["timescale"]) as again:
        await ended(url, task=again)
    assert_exact(url, sent, "stopped while the database was away", stops=1)
