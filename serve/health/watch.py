"""The loop of the monitor: checks, figures, log lines, events."""

import asyncio
from collections.abc import Collection
from typing import Final

from infra.health.monitor import HealthMonitor
from infra.health.results import State
from infra.health.service import Notice
from infra.logging import get_logger
from infra.metrics.health import OVERALL, STATE
from infra.settings import Settings
from schemas.errors import KandleError
from schemas.namespace import LIVE, current
from serve.brokers import Brokers
from serve.health.checks import Checks
from serve.health.events import HealthEvents
from serve.hub.feeds import Feeds
from serve.store import Store

SOON_S: Final = 2.0
"""What cannot be told yet is looked at again this soon."""
_STATES: Final = ("unknown", "healthy", "unhealthy", "error")
_OVERALL: Final = ("unhealthy", "degraded", "healthy")

log = get_logger(__name__)


class HealthWatch:
    """Checks everything at once, and again every `health.every_s`.

    Args:
        settings: How often, and whether events are published.
        store: The database.
        brokers: Kafka.
        feeds: What is heard of venues.

    Attributes:
        monitor: The services and their results.
    """

    def __init__(self, settings: Settings, store: Store, brokers: Brokers, feeds: Feeds) -> None:
        health = settings.health
        self.every_s = health.every_s
        self.monitor = HealthMonitor(health.limit_s)
        self._checks = Checks(settings, store, brokers, feeds)
        self._checks.register(self.monitor)
        wanted = current() == LIVE if health.events is None else health.events
        self._events = HealthEvents(settings.kafka, health.every_s) if wanted else None

    async def once(self) -> list[Notice]:
        """Find the venues and check everything; publishes nothing."""
        await self._checks.register_venues(self.monitor)
        return await self.monitor.round()

    async def run(self) -> None:
        """Check until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + self.every_s
            await self._check(None)
            while (left := due - loop.time()) > 0:
                unsure = any(service.state == "unknown" for service in self.monitor.services)
                await asyncio.sleep(min(left, SOON_S) if unsure else left)
                if unsure and loop.time() < due:
                    await self._check({"unknown"})

    async def close(self) -> None:
        """Let the publisher of events go."""
        if self._events is not None:
            await self._events.close()

    async def _check(self, states: Collection[State] | None) -> None:
        """Check services, and find venues meanwhile: a database that is away holds nothing up."""
        for name in self._checks.retire_venues(self.monitor):
            log.info("a feed has ended in order and is watched no more", service=name)
            STATE.remove(name)
        notices, _ = await asyncio.gather(
            self.monitor.round(states), self._checks.register_venues(self.monitor)
        )
        await self._tell(notices)

    async def _tell(self, notices: list[Notice]) -> None:
        for service in self.monitor.services:
            STATE.labels(service.name).set(_STATES.index(service.state))
        OVERALL.set(_OVERALL.index(self.monitor.report().status))
        if self._events is not None:
            self._events.settle()
        for notice in notices:
            _log(notice)
            if self._events is not None:
                try:
                    await self._events.publish(notice)
                except KandleError as error:
                    log.warning("an event of the health monitor is lost", error=str(error))


def _log(notice: Notice) -> None:
    """The log has it too: Kafka may be what fails."""
    facts = {"service": notice.service, "critical": notice.critical, "failures": notice.failures}
    if notice.kind == "failed":
        log.warning("a service is not healthy", **facts, reason=notice.result.message)
    elif notice.kind == "alert":
        log.error("a critical service fails again and again", **facts, reason=notice.result.message)
    else:
        log.info("a service is healthy again", **facts)
