"""One shard of a market at work: its symbols, from the venue's sockets to the topics."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from infra.clock import SystemClock
from infra.kafka.publisher import Publisher
from infra.logging import get_logger
from infra.settings import Settings
from producers.connect_pace import ConnectPace
from producers.exchange import Exchange
from producers.feed import Feed, Patience
from producers.history import History
from producers.outlet import STAGE, Outlet, fed_topics
from producers.resume import resume
from producers.session import Session
from producers.transport import Addresses, Transport
from schemas.records import Instrument

CLOSE_TIMEOUT_S: Final = 1.0

logger = get_logger(__name__)


class Shard:
    """Feeds the symbols of one shard until it is told to stop, or the venue says that the feed has ended.

    Args:
        market: The venue's market.
        settings: In force.
        number: Of the shard.
        instruments: What is fed at first.
        aggregated: Unified symbols whose trades come aggregated.
        transport: The ways to the market, for all shards of this process.
        is_lost: Whether the shard may be another process's by now: then it ends, and hands over.
        pace: Turns to connect, for all shards of this process.
    """

    def __init__(
        self,
        market: type[Exchange],
        settings: Settings,
        number: int,
        instruments: Iterable[Instrument],
        aggregated: Iterable[str],
        transport: Transport,
        is_lost: Callable[[], bool] = lambda: False,
        pace: ConnectPace | None = None,
    ) -> None:
        chosen = settings.producer
        self._settings = settings
        self._transport = transport
        self._source = f"{chosen.source or f'{market.venue}-{market.market}'}-{number}"
        self._exchange = market(instruments, chosen.channels, aggregated, chosen.candle_interval)
        self._feed: Feed | None = None
        self._session: Session | None = None
        self._stop = _Stop(is_lost)
        self._is_lost = is_lost
        self._pace = pace
        self._hands_over = False
        self.counts: dict[str, int] = {}
        """Outputs carried, by the name of their type."""

    async def run(self) -> bool:
        """Resume where the log stands, and feed; True if the venue has ended the feed.

        Raises:
            UnavailableError: Kafka does not answer.
            PublishError: Kafka refused a record for good.
        """
        settings, chosen, exchange = self._settings, self._settings.producer, self._exchange
        resumed = await asyncio.to_thread(
            resume,
            settings.kafka,
            exchange.venue,
            self._source,
            list(exchange.instruments),
            "quotes" in exchange.channels,
        )
        publisher = Publisher(settings.kafka, client_id=f"kandle-{STAGE}-{self._source}")
        history = History(exchange.venue, exchange.market, chosen, settings.venues, publisher)
        patience = Patience(chosen.backfill_s, chosen.restart_backfill_s)
        topics = fed_topics(exchange.channels)
        outlet = Outlet(
            publisher, exchange.venue, self._source, settings.kafka.partitions, topics, SystemClock()
        )
        self._feed = Feed(exchange, self._source, settings.run_id, chosen.idle_marks, resumed, patience)
        try:
            await history.publish([symbol for symbol in exchange.instruments if symbol not in resumed.trades])
            self._session = Session(
                exchange,
                self._feed,
                outlet,
                addresses_of(settings).websocket_base(type(exchange)),
                desk=self._transport.desk,
                hot_feeds=chosen.hot_feeds,
                lossless=chosen.lossless,
                opening=self._transport.opening(exchange),
                pace=self._pace,
            )
            return (
                await self._session.run(self._stop, hand_over=lambda: self._hands_over or self._is_lost())
                == "ended"
            )
        finally:
            self._session = None
            self.counts = dict(outlet.counts)
            # The session has flushed what it could; this only lets go.
            await publisher.close(timeout_s=CLOSE_TIMEOUT_S)

    @property
    def objection(self) -> str | None:
        """Why nothing comes of the venue now; None: it can."""
        if self._session is None:
            return f"{self._source} reads where its log stands"
        return None if self._session.links.is_connected else f"{self._source} is not connected to the venue"

    def change(self, wanted: Mapping[str, Instrument]) -> None:
        """Feed these symbols from now on: new ones are subscribed, others no longer."""
        exchange, session, feed = self._exchange, self._session, self._feed
        gone = [symbol for symbol in exchange.instruments if symbol not in wanted]
        fresh = [symbol for symbol in wanted if symbol not in exchange.instruments]
        ending = exchange.streams(gone)
        for symbol in gone:
            exchange.drop(symbol)
            if feed is not None:
                feed.drop(symbol)
        for instrument in wanted.values():
            exchange.admit(instrument)
        if session is not None and (gone or fresh):
            logger.info("symbols changed", source=self._source, added=fresh, removed=gone)
            session.change(exchange.streams(fresh), ending)

    def stop(self, hand_over: bool) -> None:
        """End soon; with `hand_over` without a final mark, since another process goes on with the source."""
        self._hands_over = hand_over
        self._stop.set()


class _Stop(asyncio.Event):
    """Set by hand, or since the shard may be another process's.

    Args:
        is_lost: Whether it may.
    """

    def __init__(self, is_lost: Callable[[], bool]) -> None:
        super().__init__()
        self._is_lost = is_lost

    def is_set(self) -> bool:
        """Whether to end."""
        return super().is_set() or self._is_lost()


def addresses_of(settings: Settings) -> Addresses:
    """Where the market is that the settings want."""
    chosen = settings.producer
    return Addresses(chosen.websocket_url, chosen.rest_url, chosen.testnet)
