"""A sink process says that it is not ready while what it depends on is away, and that it is again."""

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from infra.embedded.ports import free_ports
from infra.settings import KafkaSettings
from tests.kandle_command import start
from tests.sink_harness import PARTITIONS, fresh_topics
from tests.tcp_proxy import TcpProxy

TIMEOUT_S = 60.0


class Probed:
    """The probes of a process."""

    def __init__(self) -> None:
        self.port = free_ports(1)[0]

    def get(self, path: str) -> tuple[int, dict[str, Any]]:
        """Status and answer; 0 while nobody listens."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, json.loads(refused.read())
        except OSError:
            return 0, {}

    async def until(self, status: int, *failing: str) -> None:
        """Wait until /readyz answers so, and no other checks than these fail."""
        found: tuple[int, dict[str, Any]] = (0, {})
        try:
            async with asyncio.timeout(TIMEOUT_S):
                while found[0] != status or failing != self.failing(found[1]):
                    await asyncio.sleep(0.1)
                    found = await asyncio.to_thread(self.get, "/readyz")
        except TimeoutError:
            raise AssertionError(f"expected {status} for {failing}, the last answer was {found}") from None

    @staticmethod
    def failing(answer: dict[str, Any]) -> tuple[str, ...]:
        return tuple(sorted(name for name, word in answer.get("checks", {}).items() if word != "ok"))


async def test_a_dependency_that_goes_away_and_comes_back(
    kafka: str, postgres: Callable[[], str], tmp_path: Path
) -> None:
    settings = KafkaSettings(bootstrap_servers=kafka, partitions=PARTITIONS)
    await asyncio.to_thread(fresh_topics, settings)
    process = Probed()
    async with TcpProxy.before_kafka(kafka) as broker, TcpProxy.before(postgres()) as database:
        sink = start(
            "sink",
            "--only",
            "timescale",
            cwd=tmp_path,
            KAFKA_BOOTSTRAP_SERVERS=broker.url,
            DATABASE_URL=database.url,
            KANDLE_METRICS__PORT=str(process.port),
        )
        try:
            await process.until(200)
            assert (await asyncio.to_thread(process.get, "/startupz"))[0] == 200
            database.refuses = True
            database.reset_all()
            await process.until(503, "database")
            database.refuses = False
            await process.until(200)
            broker.link.clear()
            await process.until(503, "kafka")
            assert (await asyncio.to_thread(process.get, "/livez"))[0] == 200, "waiting is no hanging"
            assert (await asyncio.to_thread(process.get, "/startupz"))[0] == 200, "it has started once"
            broker.link.set()
            await process.until(200)
        finally:
            sink.kill()
            await asyncio.to_thread(sink.communicate)
