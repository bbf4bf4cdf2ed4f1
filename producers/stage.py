"""The stage `produce`: those shards of a market that this process is given, and its instrument list."""

import asyncio
import contextlib
import time
from collections.abc import Iterable
from typing import Final

from msgspec.structs import replace

from infra import metrics
from infra.clock import SystemClock
from infra.kafka.admin import Admin
from infra.kafka.publisher import Publisher
from infra.logging import get_logger
from infra.settings import Settings
from producers.control import Requests, shard_of
from producers.exchange import Exchange, exchange_class
from producers.instruments import Listing, await_instruments, fetch_instruments
from producers.outlet import STAGE
from producers.shard import Shard, rest_base
from producers.shard_lease import POLL_S, ShardLease
from schemas.errors import ConfigurationError, UnavailableError
from schemas.identity import market_key
from schemas.records import Instrument
from schemas.topics import INSTRUMENTS

logger = get_logger(__name__)

PUBLISH_TIMEOUT_S: Final = 15.0


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Feed until every feed has ended or `stop` is set.

    Raises:
        ConfigurationError: Wrong venue, channels or symbols, no Kafka configured, topics that differ.
        UnavailableError: Kafka does not answer.
        PublishError: Kafka refused a record for good.
    """
    market = exchange_class(settings.producer.venue, settings.producer.market)
    _check(settings, market)
    clock = SystemClock()
    instruments = await await_instruments(market, rest_base(market, settings), clock.now_us(), stop)
    if instruments is None:
        return
    # Names in the settings that are not listed are told at once, before anything is done.
    Listing(instruments, market.venue).choose(
        [*settings.producer.symbols, *settings.producer.aggregated_symbols]
    )
    await asyncio.to_thread(Admin(settings.kafka).ensure_topics)
    producer = _Producer(settings, market, instruments)
    has_ended = await producer.run(stop)
    logger.info("the feed has ended" if has_ended else "the feed was stopped", **producer.counts)
    if has_ended:
        metrics.FEED_ENDED.set(1)
        if not settings.producer.exit_at_end:
            await stop.wait()


class _Producer:
    """Runs the shards that the group gives to this process, and follows what is listed and asked for."""

    def __init__(self, settings: Settings, market: type[Exchange], instruments: list[Instrument]) -> None:
        self._settings = settings
        self._market = market
        self._listing = Listing(instruments, market.venue)
        self._listed_at_s = time.monotonic()
        self._published: dict[str, Instrument] = {}
        self._requests = Requests(market.venue, market.market)
        self._shards: dict[int, tuple[Shard, asyncio.Task[bool]]] = {}
        self._ended: set[int] = set()
        self._is_stale = True
        self.counts: dict[str, int] = {}

    async def run(self, stop: asyncio.Event) -> bool:
        """Run until `stop` is set, or every shard that this process held has ended: then True."""
        chosen = self._settings.producer
        lease = ShardLease(
            self._settings.kafka,
            f"kandle-producers-{self._market.venue}-{self._market.market}",
            chosen.shards,
            chosen.instance_id,
            chosen.takeover_s,
            self._take_request,
        )
        lease.start()
        listing = asyncio.create_task(self._follow_listing())
        try:
            while not stop.is_set():
                lease.poll()
                await self._settle(lease.held)
                if listing.done():
                    listing.result()
                if self._ended and self._ended >= lease.held and not self._shards:
                    return True
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(POLL_S):
                        await stop.wait()
        finally:
            listing.cancel()
            await asyncio.gather(listing, return_exceptions=True)
            hand_over = bool(self._shards) and await lease.has_standby()
            await self._stop_shards(list(self._shards), hand_over)
            await lease.close()
        return False

    async def _settle(self, held: frozenset[int]) -> None:
        """Start, change and stop shards: those run that are held, with the symbols that are wanted."""
        await self._stop_shards([number for number in self._shards if number not in held], hand_over=True)
        for number, (shard, task) in list(self._shards.items()):
            if task.done():
                del self._shards[number]
                self._note(shard)
                if task.result():
                    self._ended.add(number)
        for number in sorted(held - self._shards.keys() - self._ended):
            wanted = self._wanted(number)
            if wanted:
                shard = Shard(self._market, self._settings, number, wanted.values(), self._aggregated(wanted))
                self._shards[number] = (shard, asyncio.create_task(shard.run()))
        if self._is_stale:
            self._is_stale = False
            for number, (shard, _) in self._shards.items():
                shard.change(self._wanted(number))

    async def _stop_shards(self, numbers: Iterable[int], hand_over: bool) -> None:
        stopped = [self._shards.pop(number) for number in numbers]
        for shard, _ in stopped:
            shard.stop(hand_over)
        results = await asyncio.gather(*(task for _, task in stopped), return_exceptions=True)
        for (shard, _), result in zip(stopped, results, strict=True):
            self._note(shard)
            if isinstance(result, Exception):
                raise result

    def _note(self, shard: Shard) -> None:
        for name, count in shard.counts.items():
            self.counts[name] = self.counts.get(name, 0) + count

    def _wanted(self, number: int) -> dict[str, Instrument]:
        """The instruments of a shard, by unified symbol; what is not listed (any more) is left out."""
        found: dict[str, Instrument] = {}
        for name in self._requests.apply(self._settings.producer.symbols):
            try:
                instruments = self._listing.find(name)
            except ConfigurationError as error:
                logger.warning("a symbol that is wanted cannot be fed", why=str(error))
                continue
            for instrument in instruments:
                request = self._requests.newest.get(instrument.symbol)
                if request is None or request.wanted:
                    found[instrument.symbol] = instrument
        shards = self._settings.producer.shards
        return {name: found[name] for name in found if shard_of(name, shards) == number}

    def _aggregated(self, wanted: dict[str, Instrument]) -> list[str]:
        asked = self._listing.choose(self._settings.producer.aggregated_symbols)
        return [symbol for symbol in asked if symbol in wanted]

    def _take_request(self, value: bytes | None) -> None:
        self._is_stale |= self._requests.take(value)

    async def _follow_listing(self) -> None:
        """Publish what is listed, and again what has changed, every hour."""
        market, chosen = self._market, self._settings.producer
        publisher = Publisher(self._settings.kafka, client_id=f"kandle-{STAGE}-instruments")
        clock = SystemClock()
        try:
            await self._publish_listing(publisher)
            while True:
                await asyncio.sleep(chosen.instruments_every_s)
                try:
                    listed = await fetch_instruments(
                        market, rest_base(market, self._settings), clock.now_us()
                    )
                except UnavailableError as error:
                    logger.warning("the venue's symbols could not be read again", why=str(error))
                    continue
                self._listing = Listing(listed, market.venue)
                self._is_stale = True
                await self._publish_listing(publisher)
        finally:
            await publisher.close(timeout_s=1.0)

    async def _publish_listing(self, publisher: Publisher) -> None:
        """Write instruments that are new, have changed, or are listed no longer."""
        listed = self._listing.by_symbol
        gone = [
            replace(instrument, status="delisted", event_time=SystemClock().now_us())
            for symbol, instrument in self._published.items()
            if symbol not in listed and instrument.status != "delisted"
        ]
        for instrument in [*listed.values(), *gone]:
            known = self._published.get(instrument.symbol)
            if known is not None and replace(known, event_time=instrument.event_time) == instrument:
                continue
            self._published[instrument.symbol] = instrument
            await publisher.publish(
                INSTRUMENTS.name, instrument, key=market_key(instrument.venue, instrument.symbol)
            )
        await publisher.flush(PUBLISH_TIMEOUT_S)


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
