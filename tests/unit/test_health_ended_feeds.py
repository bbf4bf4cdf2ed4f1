"""A feed that has ended in order is watched no more; one that was killed is a failure for ever."""

import time
from typing import Any

from infra.health.monitor import HealthMonitor
from infra.settings import Settings
from schemas import rows
from schemas.records import TimeMark
from serve.brokers import Brokers
from serve.health.checks import Checks
from serve.hub.feeds import Feeds


class Down:
    """A database that is away."""

    async def rows(self, query: str) -> list[Any]:
        raise OSError("no route to it")


class Desk:
    """Venues that are heard, and who watches them."""

    def __init__(self) -> None:
        settings = Settings()
        self.feeds = Feeds()
        self.monitor = HealthMonitor()
        store: Any = Down()
        self.checks = Checks(settings, store, Brokers(settings), self.feeds)

    def hear(self, source: str, final: bool) -> None:
        now_us = time.time_ns() // 1_000
        mark = TimeMark("gateio", source, now_us, final, "one")
        self.feeds.take([(rows.encode(mark), now_us // 1_000)])

    async def watched(self) -> list[str]:
        """Names of the services, after what a round does with the venues."""
        self.checks.retire_venues(self.monitor)
        await self.checks.register_venues(self.monitor)
        return [service.name for service in self.monitor.services]


async def test_the_last_of_its_sources_ends_a_venue() -> None:
    desk = Desk()
    desk.hear("gateio-spot-0", final=False)
    desk.hear("gateio-spot-1", final=False)
    assert await desk.watched() == ["venue-gateio"]
    desk.hear("gateio-spot-0", final=True)
    assert await desk.watched() == ["venue-gateio"], "the other source may have been killed"
    desk.hear("gateio-spot-1", final=True)
    assert (await desk.checks.venue("gateio")).state == "unknown", "no failure on the way out"
    assert await desk.watched() == []
    desk.hear("gateio-spot-1", final=False)
    assert await desk.watched() == ["venue-gateio"]


async def test_a_producer_whose_feeds_have_ended_has_done_its_work() -> None:
    desk = Desk()
    desk.hear("gateio-spot-0", final=False)
    assert (await desk.checks.produce()).state == "healthy"
    desk.hear("gateio-spot-0", final=True)
    assert (await desk.checks.produce()).state == "healthy"
