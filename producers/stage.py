"""The stage `produce`: those shards of a market that this process is given, and its instrument list."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

from msgspec.structs import replace

from infra import metrics
from infra.clock import SystemClock
from infra.kafka.admin import Admin
from infra.kafka.publisher import Publisher
from infra.logging import get_logger
from infra.settings import Settings
from infra.tasks import until_one_ends
from producers.control import Requests, shard_of
from producers.events import SystemEvents
from producers.exchange import BadRecord, Call, Exchange, exchange_class
from producers.instruments import Listing, await_instruments, fetch_instruments
from producers.interruption import pause
from producers.outlet import STAGE
from producers.rest_desk import RestDesk
from producers.shard import Shard, rest_base
from producers.shard_lease import POLL_S, ShardLease
from schemas.errors import ConfigurationError, UnavailableError
from schemas.identity import market_key
from schemas.records import Instrument
from schemas.topics import INSTRUMENTS

logger = get_logger(__name__)

PUBLISH_TIMEOUT_S: Final = 15.0
CLOSE_TIMEOUT_S: Final = 1.0
CLOCK_EVERY_S: Final = 60.0


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Feed until every feed has ended or `stop` is set.

    Raises:
        ConfigurationError: Wrong venue, channels or symbols, no Kafka configured, topics that differ.
        UnavailableError: Kafka does not answer.
        PublishError: Kafka refused a record for good.
    """
    market = exchange_class(settings.producer.venue, settings.producer.market)
    _check(settings, market)
    await asyncio.to_thread(Admin(settings.kafka).ensure_topics)
    publisher = Publisher(settings.kafka, client_id=f"kandle-{STAGE}-{market.venue}-{market.market}")
    events = SystemEvents(publisher, f"{market.venue}-{market.market}", SystemClock())
    desk = RestDesk(
        market,
        rest_base(market, settings),
        lambda _: None,
        on_event=events.take,
        headers=market.headers,
    )
    feeding = _Feeding(settings, market, publisher, desk)
    try:
        await until_one_ends(
            {"feed": feeding.run(stop), "calls": desk.run(asyncio.Event()), "events": events.run()}
        )
    finally:
        await desk.close()
        await publisher.close(timeout_s=CLOSE_TIMEOUT_S)
    if feeding.has_ended:
        metrics.FEED_ENDED.set(1)
        if not settings.producer.exit_at_end:
            await stop.wait()


class _Feeding:
    """Runs the shards that the group gives to this process, and follows what is listed and asked for."""

    def __init__(
        self, settings: Settings, market: type[Exchange], publisher: Publisher, desk: RestDesk
    ) -> None:
        self._settings = settings
        self._market = market
        self._publisher = publisher
        self._desk = desk
        self._listing = Listing([], market.venue)
        self._published: dict[str, Instrument] = {}
        self._requests = Requests(market.venue, market.market)
        self._shards: dict[int, tuple[Shard, asyncio.Task[bool]]] = {}
        self._finished: set[int] = set()
        self._is_stale = False
        self._counts: Counter[str] = Counter()
        self.has_ended = False
        """Whether the venue has ended every shard that this process held."""

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set, or everything has ended."""
        clock = SystemClock()
        instruments = await await_instruments(self._market, self._desk, clock.now_us(), stop)
        if instruments is None:
            return
        self._listing = Listing(instruments, self._market.venue)
        # Names in the settings that are not listed are told at once, before anything is fed.
        chosen = self._settings.producer
        self._listing.choose([*chosen.symbols, *chosen.aggregated_symbols])
        following = asyncio.gather(self._follow_listing(), self._follow_clock())
        try:
            await self._run_shards(stop, following)
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
        logger.info("the feed has ended" if self.has_ended else "the feed was stopped", **self._counts)

    async def _run_shards(self, stop: asyncio.Event, following: asyncio.Future[Any]) -> None:
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
        try:
            while not stop.is_set() and not self.has_ended:
                lease.poll()
                await self._settle(lease.held)
                if following.done():
                    following.result()
                self.has_ended = bool(self._finished) and not self._shards and self._finished >= lease.held
                await pause(stop, POLL_S)
        finally:
            hand_over = bool(self._shards) and await lease.has_standby()
            await self._stop_shards(list(self._shards), hand_over)
            await lease.close()

    async def _settle(self, held: frozenset[int]) -> None:
        """Start, change and stop shards: those run that are held, with the symbols that are wanted."""
        await self._stop_shards([number for number in self._shards if number not in held], hand_over=True)
        for number, (shard, task) in list(self._shards.items()):
            if task.done():
                del self._shards[number]
                self._counts.update(shard.counts)
                if task.result():
                    self._finished.add(number)
        for number in sorted(held - self._shards.keys() - self._finished):
            wanted = self._wanted(number)
            if wanted:
                aggregated = self._listing.choose(self._settings.producer.aggregated_symbols)
                shard = Shard(
                    self._market, self._settings, number, wanted.values(), aggregated.keys(), self._desk
                )
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
            self._counts.update(shard.counts)
            if isinstance(result, BaseException):
                raise result

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

    def _take_request(self, value: bytes | None) -> None:
        self._is_stale |= self._requests.take(value)

    async def _follow_listing(self) -> None:
        """Publish what is listed, and again what has changed, every hour."""
        await self._publish_listing()
        while True:
            await asyncio.sleep(self._settings.producer.instruments_every_s)
            try:
                listed = await fetch_instruments(self._market, self._desk, SystemClock().now_us())
            except UnavailableError as error:
                logger.warning("the venue's symbols could not be read again", why=str(error))
                continue
            self._listing = Listing(listed, self._market.venue)
            self._is_stale = True
            await self._publish_listing()

    async def _follow_clock(self) -> None:
        """Measure how far the venue's clock is from ours, every minute."""
        call = Call("time", self._market.ping_path)
        while True:
            asked = SystemClock().now_us()
            try:
                told = self._market.server_time(await self._desk.fetch(call))
            except (UnavailableError, BadRecord):
                pass
            else:
                middle = (asked + SystemClock().now_us()) / 2
                metrics.CLOCK_OFFSET.labels(self._market.venue).set((told - middle) / 1_000_000)
            await asyncio.sleep(CLOCK_EVERY_S)

    async def _publish_listing(self) -> None:
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
            await self._publisher.publish(
                INSTRUMENTS.name, instrument, key=market_key(instrument.venue, instrument.symbol)
            )
        await self._publisher.flush(PUBLISH_TIMEOUT_S)


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
