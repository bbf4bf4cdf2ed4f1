"""One look at the health of a set-up, where no server watches it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from infra.settings import Settings
from serve.health.routes import health_report
from serve.health.watch import HealthWatch
from serve.hub.feeds import Feeds
from serve.hub.hub import Hub
from serve.hub.tail import Tail
from serve.store import Store

LISTEN_S: Final = 2.5
"""Marks come every second: a feed that delivers is heard within so long."""
REACH_S: Final = 5.0


async def single_look(settings: Settings) -> dict[str, Any]:
    """Check everything once; nothing is published.

    Args:
        settings: Name the servers; one that they do not name is not healthy.

    Returns:
        The report as REST answers it, see `serve.health.models.HealthReport`.
    """
    store = Store(settings.database, settings.serve)
    feeds = Feeds()
    watch = HealthWatch(settings, store, feeds)
    try:
        async with _listening(settings, feeds):
            await watch.once()
        return health_report(watch)
    finally:
        await watch.close()
        await store.close()


@asynccontextmanager
async def _listening(settings: Settings, feeds: Feeds) -> AsyncIterator[None]:
    """Hear the feeds for a while first, if there is a broker to hear them from."""
    tail = Tail(settings.kafka, Hub(settings.serve), feeds)
    task = asyncio.create_task(tail.run())
    try:
        with suppress(TimeoutError):
            await asyncio.wait_for(tail.reading.wait(), REACH_S)
            await asyncio.sleep(LISTEN_S)
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
