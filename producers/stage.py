"""The stage `produce`: one venue's trades and quotes to their topics."""

import asyncio

from infra import metrics
from infra.clock import SystemClock
from infra.kafka.admin import Admin
from infra.kafka.publisher import Publisher
from infra.logging import get_logger
from infra.settings import Settings
from producers.exchange import Exchange, exchange_class
from producers.feed import Feed
from producers.instruments import await_instruments, choose_symbols
from producers.outlet import STAGE, Outlet
from producers.resume import resume
from producers.session import Session
from schemas.errors import ConfigurationError

logger = get_logger(__name__)


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Feed until every feed has ended or `stop` is set.

    Raises:
        ConfigurationError: Wrong venue or symbols, no Kafka configured, topics that differ.
        UnavailableError: Kafka does not answer.
        PublishError: Kafka refused a record for good.
    """
    chosen = settings.producer
    venue = exchange_class(chosen.venue)
    source = chosen.source or f"{venue.venue}-{venue.market}-0"
    listed = await await_instruments(venue, chosen.rest_url or venue.rest_url, stop)
    if listed is None:
        return
    exchange = _set_up(venue, settings, listed)
    await asyncio.to_thread(Admin(settings.kafka).ensure_topics)
    resumed = await asyncio.to_thread(
        resume, settings.kafka, venue.venue, source, exchange.symbols, chosen.quotes
    )
    publisher = Publisher(settings.kafka, client_id=f"kandle-{STAGE}-{source}")
    try:
        feed = Feed(exchange, source, settings.run_id, chosen.idle_marks, resumed)
        outlet = Outlet(
            publisher, venue.venue, source, settings.kafka.partitions, chosen.quotes, SystemClock()
        )
        session = Session(exchange, feed, outlet, chosen.websocket_url or venue.websocket_url, chosen.quotes)
        ending = await session.run(stop)
    finally:
        # The session has flushed what it could; this only lets go.
        await publisher.close(timeout_s=1.0)
    logger.info("the feed has ended" if ending == "ended" else "the feed was stopped", **outlet.counts)
    if ending == "ended":
        metrics.FEED_ENDED.set(1)
        if not chosen.exit_at_end:
            await stop.wait()


def _set_up(venue: type[Exchange], settings: Settings, listed: dict[str, str]) -> Exchange:
    chosen = settings.producer
    symbols = choose_symbols(chosen.symbols, listed, venue.venue)
    aggregated = (
        choose_symbols(chosen.aggregated_symbols, listed, venue.venue) if chosen.aggregated_symbols else {}
    )
    exchange = venue(symbols, aggregated)
    count, limit = len(exchange.streams(chosen.quotes)), venue.limits.streams_per_connection
    if count > limit:
        raise ConfigurationError(
            f"{len(symbols)} symbols need {count} streams, {venue.venue} allows {limit} on a connection; "
            "use fewer symbols for this producer and another producer, with another source, for the rest"
        )
    return exchange
