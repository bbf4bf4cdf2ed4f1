"""A thousand symbols make no more series than a few: every process is scraped while all of them trade."""

import asyncio
import contextlib
import json
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from infra.embedded.ports import free_ports
from infra.settings import KafkaSettings
from producers.simulator.market import SeededMarket
from producers.simulator.server import SimulatorServer
from tests.kandle_command import environment
from tests.sink_harness import PARTITIONS, fresh_topics

SYMBOLS = [f"S{number}/USDT" for number in range(1_000)]
TRADED = 200
"""All are fed from the beginning; so many have traded within some seconds."""
CHECKS = {
    "produce": {"kafka", "feed"},
    "process": {"kafka", "partitions"},
    "sink": {"kafka", "database", "sink-timescale", "sink-notifications"},
}
MOST_SERIES = {"produce": 350, "process": 450, "sink": 450}
"""Of a process, those of Python's own metrics and every bucket counted."""
TIMEOUT_S = 180.0


@contextlib.asynccontextmanager
async def trading() -> AsyncIterator[SimulatorServer]:
    market = SeededMarket(SYMBOLS, seed=1, trades_per_second=0.02)
    server = SimulatorServer(market)
    await server.start()
    playing = asyncio.create_task(market.play(server))
    try:
        yield server
    finally:
        playing.cancel()
        await server.stop()


def start(stage: str, folder: Path, **settings: str) -> subprocess.Popen[bytes]:
    with (folder / f"{stage}.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "kandle", stage],
            cwd=folder,
            env=environment() | settings,
            stdout=log,
            stderr=log,
        )


def get(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
        return str(answer.read(), "utf-8")


def series(port: int) -> list[str]:
    """Name and labels of each series that a port shows."""
    text = get(port, "/metrics")
    return [
        f"{sample.name}{sorted(sample.labels.items())}"
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    ]


def traded(url: str) -> int:
    with psycopg.connect(url) as connection, contextlib.suppress(psycopg.Error):
        row = connection.execute("SELECT count(DISTINCT symbol) FROM trades").fetchone()
        return 0 if row is None else int(row[0])
    return 0


@pytest.mark.full
async def test_series_of_a_thousand_symbols(
    kafka: str, postgres: Callable[[], str], tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    await asyncio.to_thread(fresh_topics, KafkaSettings(bootstrap_servers=kafka, partitions=PARTITIONS))
    url = postgres()
    ports = dict(zip(MOST_SERIES, free_ports(len(MOST_SERIES)), strict=True))
    async with trading() as venue:
        shared = {
            "KAFKA_BOOTSTRAP_SERVERS": kafka,
            "DATABASE_URL": url,
            "KANDLE_KAFKA__PARTITIONS": str(PARTITIONS),
            "KANDLE_PROCESSORS__APP_ID": "thousand",
            "KANDLE_PRODUCER__WEBSOCKET_URL": venue.websocket_url,
            "KANDLE_PRODUCER__REST_URL": venue.rest_url,
            "KANDLE_PRODUCER__SYMBOLS": "*/USDT",
            "KANDLE_PRODUCER__CHANNELS": "trades,quotes",
        }
        processes = [
            start(stage, tmp_path, KANDLE_METRICS__PORT=str(port), **shared) for stage, port in ports.items()
        ]
        try:
            async with asyncio.timeout(TIMEOUT_S):
                while await asyncio.to_thread(traded, url) < TRADED:
                    await asyncio.sleep(0.5)
            shown = {stage: await asyncio.to_thread(series, port) for stage, port in ports.items()}
            ready = {stage: await asyncio.to_thread(get, port, "/readyz") for stage, port in ports.items()}
        except TimeoutError:
            said = "\n".join((tmp_path / f"{stage}.log").read_text()[-2_000:] for stage in ports)
            pytest.fail(f"{await asyncio.to_thread(traded, url)} symbols have traded\n{said}")
        finally:
            for process in processes:
                process.kill()
                await asyncio.to_thread(process.wait)
    assert {stage: json.loads(text)["checks"].keys() for stage, text in ready.items()} == CHECKS
    for stage, found in shown.items():
        record_property(f"series_{stage}", len(found))
        assert len(found) <= MOST_SERIES[stage]
        assert not [name for name in found if "USDT" in name]
    ages = [
        name
        for found in shown.values()
        for name in found
        if name.startswith("kandle_event_age_seconds_count")
    ]
    assert {"receive", "publish", "row"} <= {name.split("'")[3] for name in ages}
