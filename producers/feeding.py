"""What a producer process feeds: the shards that it is given, with the symbols that are wanted of them."""

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

from infra import metrics
from infra.clock import SystemClock
from infra.kafka.publisher import Publisher
from infra.logging import get_logger
from infra.metrics.stages import count_error
from infra.probes import READINESS
from infra.settings import Settings
from producers.connect_pace import ConnectPace
from producers.control import Requests, shard_of
from producers.exchange import BadRecord, Call, Exchange
from producers.instrument_log import InstrumentLog
from producers.instruments import Listing, await_instruments, fetch_instruments
from producers.interruption import pause
from producers.shard import Shard
from producers.shard_lease import POLL_S, ShardLease
from producers.transport import Transport
from schemas.errors import ConfigurationError, UnavailableError
from schemas.namespace import current
from schemas.records import Instrument

CLOCK_EVERY_S: Final = 60.0
STOP_TIMEOUT_S: Final = 20.0
RETRY_S: Final = 2.0
"""A shard that Kafka has failed is started again after so long."""

logger = get_logger(__name__)


@dataclass(slots=True)
class _Running:
    """A shard at work, or on its way out."""

    shard: Shard
    task: asyncio.Task[bool]
    is_leaving: bool = False


class Feeding:
    """Runs the shards that the group gives to this process, and follows what is listed and asked for.

    Args:
        settings: In force.
        market: The venue's market.
        publisher: Writes the instrument list.
        transport: The ways to the market, for all shards; its desk is running.
    """

    def __init__(
        self, settings: Settings, market: type[Exchange], publisher: Publisher, transport: Transport
    ) -> None:
        self._settings = settings
        self._market = market
        self._transport = transport
        self._pace = ConnectPace(market.limits.connections_per_minute)
        self._desk = transport.desk
        self._listing = Listing([], market.venue)
        self._instruments = InstrumentLog(settings.kafka, publisher, market)
        self._requests = Requests(market.venue, market.market)
        self._shards: dict[int, _Running] = {}
        self._finished: set[int] = set()
        self._retry_at_s: dict[int, float] = {}
        self._wanted: list[dict[str, Instrument]] = []
        self._is_stale = True
        self._told: set[str] = set()
        self._counts: Counter[str] = Counter()
        self.has_ended = False
        """Whether the venue has ended every shard that this process held."""

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set, or everything has ended.

        Raises:
            ConfigurationError: A symbol of the settings is not listed.
            UnavailableError: Kafka has not taken the last records in time.
            PublishError: Kafka refused a record for good.
        """
        instruments = await await_instruments(self._market, self._desk, SystemClock().now_us(), stop)
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
        logger.info(
            "the feed has ended" if self.has_ended else "the feed was stopped", records=dict(self._counts)
        )

    async def _run_shards(self, stop: asyncio.Event, following: asyncio.Future[Any]) -> None:
        chosen = self._settings.producer
        lease = ShardLease(
            self._settings.kafka,
            current().name_of(f"kandle-producers-{self._market.venue}-{self._market.market}"),
            chosen.shards,
            chosen.instance_id,
            chosen.takeover_s,
            self._take_request,
        )
        lease.start()
        try:
            while not stop.is_set() and not self.has_ended:
                lease.poll()
                self._settle(lease)
                if following.done():
                    following.result()
                self.has_ended = self._is_all_finished(lease.held)
                READINESS.set("feed", self._objection(lease))
                await pause(stop, POLL_S)
        finally:
            hand_over = bool(self._shards) and await lease.has_standby()
            await self._stop_shards(hand_over)
            await lease.close()

    def _is_all_finished(self, held: frozenset[int]) -> bool:
        fed = {number for number in held if self._wanted[number]}
        return bool(self._finished) and not self._shards and self._finished >= fed

    def _objection(self, lease: ShardLease) -> str | None:
        """Why what is fed does not come; None: it does, or another process feeds it."""
        reasons = [lease.objection]
        reasons += [running.shard.objection for running in self._shards.values() if not running.is_leaving]
        idle = sorted(lease.held - self._shards.keys() - self._finished)
        reasons += [f"shard {number} is to be started" for number in idle if self._wanted[number]]
        return "; ".join(filter(None, reasons)) or None

    def _settle(self, lease: ShardLease) -> None:
        """Start, change and stop shards: those run that are held, with the symbols that are wanted."""
        held = lease.held
        if self._is_stale:
            self._is_stale = False
            self._wanted = self._find_wanted()
            for number, running in self._shards.items():
                if not running.is_leaving:
                    running.shard.change(self._wanted[number])
        for number, running in list(self._shards.items()):
            if running.task.done():
                del self._shards[number]
                self._conclude(number, running)
            elif number not in held and not running.is_leaving:
                # It writes what it has, beside this loop, which must go on or the other shards are lost too.
                running.is_leaving = True
                running.shard.stop(hand_over=True)
        now_s = asyncio.get_running_loop().time()
        for number in sorted(held - self._shards.keys() - self._finished):
            if self._wanted[number] and now_s >= self._retry_at_s.get(number, now_s):
                self._start(number, lease)

    def _start(self, number: int, lease: ShardLease) -> None:
        aggregated = self._find(self._settings.producer.aggregated_symbols)
        shard = Shard(
            self._market,
            self._settings,
            number,
            self._wanted[number].values(),
            aggregated.keys(),
            self._transport,
            lambda: lease.is_overdue,
            self._pace,
        )
        self._shards[number] = _Running(shard, asyncio.create_task(shard.run()))

    def _conclude(self, number: int, running: _Running) -> None:
        """Take what became of a shard; one that Kafka has failed goes on from the log as soon as it can."""
        self._counts.update(running.shard.counts)
        try:
            has_ended = running.task.result()
        except UnavailableError as error:
            logger.warning("a shard has stopped, and will go on where the log stands", why=str(error))
            count_error("produce", error)
            self._retry_at_s[number] = asyncio.get_running_loop().time() + RETRY_S
            return
        if has_ended and not running.is_leaving:
            self._finished.add(number)

    async def _stop_shards(self, hand_over: bool) -> None:
        stopped = list(self._shards.values())
        self._shards.clear()
        for running in stopped:
            running.shard.stop(hand_over or running.is_leaving)
        tasks = [running.task for running in stopped]
        if tasks:
            # While Kafka is away a shard may wait for room in its queue without end.
            _, pending = await asyncio.wait(tasks, timeout=STOP_TIMEOUT_S)
            for task in pending:
                task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        for running, result in zip(stopped, results, strict=True):
            self._counts.update(running.shard.counts)
            if isinstance(result, asyncio.CancelledError):
                raise UnavailableError("Kafka has not taken the last records in time; is the broker up?")
            if isinstance(result, BaseException):
                raise result

    def _find_wanted(self) -> list[dict[str, Instrument]]:
        """For each shard the instruments to feed, by unified symbol."""
        shards = self._settings.producer.shards
        wanted: list[dict[str, Instrument]] = [{} for _ in range(shards)]
        for symbol, instrument in self._find(self._requests.names(self._settings.producer.symbols)).items():
            if self._requests.permits(symbol):
                wanted[shard_of(symbol, shards)][symbol] = instrument
        return wanted

    def _find(self, names: list[str]) -> dict[str, Instrument]:
        """The instruments of names and patterns; what is not listed (any more) is told once, and left out."""
        found: dict[str, Instrument] = {}
        for name in names:
            try:
                found |= {instrument.symbol: instrument for instrument in self._listing.find(name)}
            except ConfigurationError as error:
                if name not in self._told:
                    self._told.add(name)
                    logger.warning("a symbol that is wanted cannot be fed", why=str(error))
            else:
                self._told.discard(name)
        return found

    def _take_request(self, value: bytes | None) -> None:
        self._is_stale |= self._requests.take(value)

    async def _follow_listing(self) -> None:
        """Publish what is listed, and again what has changed, every hour."""
        await self._instruments.publish(self._listing)
        while True:
            await asyncio.sleep(self._settings.producer.instruments_every_s)
            try:
                listed = await fetch_instruments(self._market, self._desk, SystemClock().now_us())
            except UnavailableError as error:
                logger.warning("the venue's symbols could not be read again", why=str(error))
                continue
            self._listing = Listing(listed, self._market.venue)
            self._is_stale = True
            await self._instruments.publish(self._listing)

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
                metrics.feeds.CLOCK_OFFSET.labels(self._market.venue).set((told - middle) / 1_000_000)
            await asyncio.sleep(CLOCK_EVERY_S)
