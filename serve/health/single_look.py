"""One look at the health of a set-up, where no server watches it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from infra.settings import Settings
from infra.threads import UnawaitedThreads
from serve.brokers import Brokers
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
    # Who asked does not wait for a client that still hopes for its broker.
    asyncio.get_running_loop().set_default_executor(UnawaitedThreads())
    store, brokers, feeds = Store(settings.database, settings.serve), Brokers(settings), Feeds()
    watch = HealthWatch(settings, store, brokers, feeds)
    try:
        async with _listening(settings, brokers, feeds):
            await watch.once()
        return health_report(watch)
    finally:
        await brokers.close()
        await watch.close()
        await store.close()


@asynccontextmanager
async def _listening(settings: Settings, brokers: Brokers, feeds: Feeds) -> AsyncIterator[None]:
    """Hear the feeds for a while first, if there is a broker to hear them from."""
    tail = Tail(settings.kafka, brokers, Hub(settings.serve), feeds)
    task = asyncio.create_task(tail.run())
    try:
        with suppress(TimeoutError):
            await asyncio.wait_for(tail.reading.wait(), REACH_S)
            await asyncio.sleep(LISTEN_S)
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
