"""The checks of this set-up: servers, stages, feeds of venues, disk."""

import asyncio
import shutil
from functools import partial
from pathlib import Path
from typing import Final

from infra.health.monitor import HealthMonitor
from infra.health.results import Verdict, healthy, unhealthy, unknown
from infra.logging import get_logger
from infra.settings import Settings
from serve.brokers import Brokers
from serve.health.groups import group_state
from serve.health.processes import Processes
from serve.hub.feeds import SILENT_S, Feeds, FeedState
from serve.store import Store
from sinks.intake import group_of as group_of_sink

CRITICAL_SINKS: Final = frozenset({"timescale"})
"""Without the others, what is stored is whole."""
HEAR_S: Final = 0.1
VENUE_PREFIX: Final = "venue-"
MIB: Final = 1024 * 1024
VENUES: Final = (
    "SELECT DISTINCT m.venue FROM kandle.marks m WHERE NOT m.final "
    "AND m.time > (SELECT max(time) FROM kandle.marks) - interval '1 hour'"
)

log = get_logger(__name__)


class Checks:
    """Registers the services of a set-up with a monitor.

    Args:
        settings: What is configured.
        store: The database.
        brokers: Kafka.
        feeds: What is heard of venues.
    """

    def __init__(self, settings: Settings, store: Store, brokers: Brokers, feeds: Feeds) -> None:
        self._settings = settings
        self._store = store
        self._brokers = brokers
        self._feeds = feeds
        self._processes = Processes(settings.data_dir)
        self._groups_of = {"process": brokers.workers}
        self._groups_of |= {f"sink-{name}": group_of_sink(name) for name in settings.sink.run}

    def register(self, monitor: HealthMonitor) -> None:
        """Register all but the venues, which are found as they are heard."""
        monitor.register("kafka", self.kafka)
        monitor.register("database", self.database)
        if self._settings.cache.url is not None:
            monitor.register("redis", partial(ping_redis, self._settings), critical=False)
        monitor.register("produce", self.produce)
        monitor.register("process", partial(self.group, "process", "process"))
        for name in self._settings.sink.run:
            critical = name in CRITICAL_SINKS
            monitor.register(f"sink-{name}", partial(self.group, f"sink-{name}", "sink"), critical)
        monitor.register("disk", self.disk)

    async def register_venues(self, monitor: HealthMonitor) -> None:
        """Register the venues that are heard, or were before this server started.

        One that was heard is watched until it has ended in order; whoever kills a feed ends nothing.
        """
        venues = set[str]()
        try:
            async with asyncio.timeout(self._settings.health.limit_s):
                venues |= {row["venue"] for row in await self._store.rows(VENUES)}
        except Exception as error:
            # That the database is away is said by its own check.
            log.debug("venues that were fed before are not known", error=repr(error))
        states = self._feeds.states()
        ended = {venue for venue, state in states.items() if state.ended}
        for venue in sorted((venues | states.keys()) - ended):
            if monitor.service(f"{VENUE_PREFIX}{venue}") is None:
                monitor.register(f"{VENUE_PREFIX}{venue}", partial(self.venue, venue))

    def retire_venues(self, monitor: HealthMonitor) -> list[str]:
        """Give up venues whose feed has ended in order; returns the names of their services."""
        ended = [f"{VENUE_PREFIX}{venue}" for venue, state in self._feeds.states().items() if state.ended]
        retired = [name for name in ended if monitor.service(name) is not None]
        for name in retired:
            monitor.unregister(name)
        return retired

    async def kafka(self) -> Verdict:
        """Whether the broker answers."""
        return healthy(topics=len((await self._brokers.layout()).replicas))

    async def database(self) -> Verdict:
        """Whether the database answers."""
        await self._store.rows("SELECT 1")
        return healthy()

    async def produce(self) -> Verdict:
        """Whether the producer is ready; where it is run by somebody else, whether any feed is heard."""
        stages = self._processes.supervised()
        if stages:
            has_finished = "produce" in stages and stages["produce"].state == "finished"
            return healthy() if has_finished else await self._processes.verdict(stages, "produce", "produce")
        is_heard = await self._heard(None)
        states = self._feeds.states().values()
        if is_heard or (states and all(state.ended for state in states)):
            return healthy(feeds=sum(state.connected for state in states))
        return unhealthy("no feed of any venue is heard")

    async def group(self, service: str, stage: str) -> Verdict:
        """Whether a stage runs, has members in its group, and has handled what is not quite new."""
        stages = self._processes.supervised()
        process = await self._processes.verdict(stages, stage, service) if stages else healthy()
        if process.state != "healthy":
            return process
        name = self._groups_of[service]
        late_s = patience_s(self._settings, service)
        state = await group_state(self._brokers, name, late_s)
        details = {**process.details, "members": state.members, "lag_records": state.lag_records}
        if not state.members:
            return Verdict("unhealthy", f"nobody reads: the group {name} has no members", details)
        if state.late:
            text = f"{state.lag_records} records wait, some of them for more than {late_s:g} s"
            return Verdict("unhealthy", text, details)
        return Verdict("healthy", "", details)

    async def venue(self, venue: str) -> Verdict:
        """Whether the feed of a venue is heard."""
        connected = await self._heard(venue)
        state = self._feeds.states().get(venue)
        if state is None:
            return unhealthy("not heard since this server started")
        if connected:
            return healthy(**_figures(state))
        if state.ended:
            return unknown("the feed has ended in order", **_figures(state))
        return unhealthy(f"silent for {state.silent_s:.0f} s", **_figures(state))

    async def disk(self) -> Verdict:
        """Whether there is space on the disk of the data directory."""
        path = self._settings.data_dir.resolve()
        free_mb = await asyncio.to_thread(_free_mb, path)
        least_mb = self._settings.health.disk_free_mb
        if free_mb < least_mb:
            return unhealthy(f"{free_mb} MiB are free at {path}, {least_mb} are wanted", free_mb=free_mb)
        return healthy(free_mb=free_mb)

    async def _heard(self, venue: str | None) -> bool:
        """Whether a venue, or any, is connected; one that was never heard is listened for."""
        loop = asyncio.get_running_loop()
        until = loop.time() + min(SILENT_S, self._settings.health.limit_s - HEAR_S)
        while True:
            states = self._feeds.states()
            chosen = states if venue is None else {name: states[name] for name in {venue} & states.keys()}
            if chosen or loop.time() > until:
                return any(state.connected for state in chosen.values())
            await asyncio.sleep(HEAR_S)


def patience_s(settings: Settings, service: str) -> float:
    """How long a record may wait for a stage, s."""
    # Those of the archive wait for company before they are written.
    company_s = settings.archive.flush_s if service == "sink-archive" else 0.0
    return settings.health.lag_s + company_s


async def ping_redis(settings: Settings) -> Verdict:
    """Whether Redis answers, where the settings name one."""
    from redis.asyncio import Redis

    url = settings.cache.url
    if url is not None:
        async with Redis.from_url(url.get_secret_value()) as client:
            await client.ping()
    return healthy()


def _figures(state: FeedState) -> dict[str, float | int | bool | None]:
    return {"silent_s": state.silent_s, "delay_s": state.delay_s, "skew_s": state.skew_s, "gaps": state.gaps}


def _free_mb(path: Path) -> int:
    existing = next(each for each in (path, *path.parents) if each.exists())
    return shutil.disk_usage(existing).free // MIB
