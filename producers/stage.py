"""The stage `produce`: those shards of a market that this process is given, and its instrument list."""

import asyncio
from typing import Final

from infra import metrics
from infra.clock import SystemClock
from infra.kafka.admin import Admin
from infra.kafka.publisher import Publisher
from infra.settings import Settings
from infra.tasks import until_one_ends
from producers.events import SystemEvents
from producers.exchange import Exchange
from producers.feeding import Feeding
from producers.markets import exchange_class
from producers.outlet import STAGE
from producers.plugins import load_venues
from producers.shard import addresses_of
from producers.transport import transport_of
from schemas.errors import ConfigurationError

CLOSE_TIMEOUT_S: Final = 1.0


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Feed until every feed has ended or `stop` is set.

    Raises:
        ConfigurationError: Wrong venue, channels or symbols, no Kafka configured, topics that differ.
        UnavailableError: Kafka does not answer.
        PublishError: Kafka refused a record for good.
    """
    load_venues(settings.producer.plugins)
    market = exchange_class(settings.producer.venue, settings.producer.market)
    _check(settings, market)
    await asyncio.to_thread(Admin(settings.kafka).ensure_topics)
    publisher = Publisher(settings.kafka, client_id=f"kandle-{STAGE}-{market.venue}-{market.market}")
    events = SystemEvents(publisher, f"{market.venue}-{market.market}", SystemClock())
    transport = transport_of(market, addresses_of(settings), settings.venues.get(market.venue), events.take)
    desk = transport.desk
    feeding = Feeding(settings, market, publisher, transport)
    try:
        await until_one_ends(
            {"feed": feeding.run(stop), "calls": desk.run(asyncio.Event()), "events": events.run()}
        )
    finally:
        await desk.close()
        await publisher.close(timeout_s=CLOSE_TIMEOUT_S)
    if feeding.has_ended:
        metrics.feeds.FEED_ENDED.set(1)
        if not settings.producer.exit_at_end:
            await stop.wait()


def _check(settings: Settings, market: type[Exchange]) -> None:
    chosen = settings.producer
    unknown = sorted(set(chosen.channels) - market.channels_available)
    if unknown:
        has = ", ".join(sorted(market.channels_available))
        raise ConfigurationError(
            f"{market.venue} {market.market} has no channel {', '.join(unknown)}; it has {has}"
        )
    if chosen.shards > settings.kafka.partitions:
        raise ConfigurationError(
            f"{chosen.shards} shards need as many partitions; kafka.partitions is {settings.kafka.partitions}"
        )
    if chosen.testnet and market.testnet_websocket_url is None:
        raise ConfigurationError(f"{market.venue} {market.market} has no test network")
