"""Links that are half open, slow, or reset again and again, to the database and to Kafka."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal

import pytest
from structlog.testing import capture_logs

from infra.settings import Settings, SinkSettings
from schemas.records import Record
from sinks import database_destination
from tests.sink_faults import assert_exact, end, ended, fill
from tests.sink_harness import Log, fresh_topics, running, settings_for, until_stored
from tests.tcp_proxy import TcpProxy

Side = Literal["database", "kafka"]
SIDES: tuple[Side, ...] = ("database", "kafka")
NOTICED_S = 30.0


@dataclass
class Linked:
    """A sink behind a proxy, and what was sent to it past the proxy."""

    settings: Settings
    proxy: TcpProxy
    url: str
    log: Log
    sent: list[Record]
    task: asyncio.Task[None]

    def send(self, count: int) -> None:
        self.sent += fill(self.log, count, len(self.sent))


@asynccontextmanager
async def linked(side: Side, kafka: str, url: str) -> AsyncIterator[Linked]:
    fresh_topics(settings_for(kafka, url).kafka)
    before = TcpProxy.before(url) if side == "database" else TcpProxy.before_kafka(kafka)
    log = Log(kafka)
    sent = fill(log, 2_000)
    async with before as proxy:
        servers, database = (kafka, proxy.url) if side == "database" else (proxy.url, url)
        settings = settings_for(servers, database, sink=SinkSettings(max_rows=500))
        async with running(settings, ["timescale"]) as task:
            await until_stored(url, len(sent), 60, task)
            assert proxy.accepted
            yield Linked(settings, proxy, url, log, sent, task)
            end(log)
            await ended(url, 120, task)
    assert_exact(url, sent, f"link to {side}", connections=proxy.accepted, resets=proxy.resets)


@pytest.mark.full
@pytest.mark.parametrize("side", SIDES)
async def test_a_link_that_is_reset_every_second(side: Side, kafka: str, postgres: Callable[[], str]) -> None:
    times = 20
    async with linked(side, kafka, postgres()) as link:
        for _ in range(times):
            link.send(500)
            await asyncio.sleep(1)
            link.proxy.reset_all()
        assert link.proxy.resets >= times
        # Whoever reconnects at once, and all at the same moment, is the next fault.
        assert link.proxy.accepted < 40 * times


async def test_a_server_that_does_not_answer_is_left_and_asked_again(
    kafka: str, postgres: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_destination, "PATIENCE_S", 1.0)
    with capture_logs() as said:
        async with linked("database", kafka, postgres()) as link:
            link.proxy.link.clear()
            link.send(2_000)
            async with asyncio.timeout(20):
                while not any(line["event"].startswith("storing has failed") for line in said):
                    await asyncio.sleep(0.1)
            link.proxy.link.set()


@pytest.mark.full
@pytest.mark.parametrize("side", SIDES)
async def test_a_link_that_takes_200_ms(side: Side, kafka: str, postgres: Callable[[], str]) -> None:
    async with linked(side, kafka, postgres()) as link:
        link.proxy.latency_s = 0.2
        for _ in range(20):
            link.send(1_000)
            await asyncio.sleep(1)
        assert not link.task.done()


@pytest.mark.full
@pytest.mark.parametrize("side", SIDES)
async def test_a_link_that_is_half_open_is_noticed(
    side: Side, kafka: str, postgres: Callable[[], str]
) -> None:
    with capture_logs() as said:
        async with linked(side, kafka, postgres()) as link:
            link.proxy.link.clear()
            began, before = time.monotonic(), link.proxy.accepted
            link.send(2_000)
            while link.proxy.accepted == before and time.monotonic() - began < 60:
                await asyncio.sleep(0.1)
            noticed_s = time.monotonic() - began
            await asyncio.sleep(max(0.0, 60 - noticed_s))
            link.proxy.link.set()
            print(f"half-open link to {side} noticed after {noticed_s:.1f} s")
            assert noticed_s < NOTICED_S
    if side == "database":
        assert any("storing has failed" in line["event"] for line in said)
