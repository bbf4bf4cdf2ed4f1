"""Redis as a destination: hot data and positions change in one transaction."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from typing import TypeVar

from aiokafka import TopicPartition

from infra.kafka.admin import Admin
from infra.logging import get_logger
from infra.settings import Settings
from schemas import topics
from schemas.errors import UnavailableError
from schemas.records import BookUpdate, Candle, IndicatorValue, Record, Signal, SystemEvent, Ticker, Trade
from schemas.topics import Topic
from sinks.cache import names
from sinks.cache.bridge import Bridge
from sinks.cache.fold import Batch, Fold
from sinks.cache.owners import Owners
from sinks.cache.redis_store import RedisStore, connect, failure
from sinks.destination import Destination, Log, MovedError, Place
from sinks.portion import Portion, Slice
from sinks.positions import PartitionRef

SOURCES: Mapping[str, type[Record]] = {
    topics.TRADES.base_name: Trade,
    topics.TICKERS.base_name: Ticker,
    topics.BOOKS.base_name: BookUpdate,
    topics.CANDLES.base_name: Candle,
    topics.INDICATORS.base_name: IndicatorValue,
    topics.SIGNALS.base_name: Signal,
    topics.SYSTEM_EVENTS.base_name: SystemEvent,
}
"""What is read, by the base names of the topics, and the record of each that matters here."""
SNAPSHOT_WITHIN_S = 70.0
"""A book's next snapshot comes within a minute: so far back lies one of every book."""
TOPIC_NUMBERS = {name: number for number, name in enumerate(SOURCES)}

log = get_logger(__name__)
T = TypeVar("T")


def inspect(slice_: Slice) -> None:
    """Decode what has no columns here, and refuse what cannot be."""
    record = SOURCES[topics.topic_of(slice_.ref.topic).base_name]
    if record is not Trade:
        slice_.decode(record, lambda _: None)


def warm_starts(
    admin: Admin, warm_s: float, cold: Iterable[TopicPartition], logs: Mapping[TopicPartition, Log]
) -> dict[TopicPartition, int]:
    """The first offsets not older than what a cold cache wants; blocks.

    Args:
        admin: Of the broker.
        warm_s: How far back; books only need their last snapshots, compacted topics all they hold.
        cold: Partitions without a position.
        logs: What Kafka holds of them.
    """
    now = time.time()
    found: dict[TopicPartition, int] = {}
    for tp in cold:
        if topics.topic_of(tp.topic).cleanup == "compact":
            found[tp] = logs[tp].first
            continue
        back_s = SNAPSHOT_WITHIN_S if tp.topic == topics.BOOKS.name else warm_s
        offset = admin.offsets_at([tuple(tp)], int((now - back_s) * 1000))[tuple(tp)]
        found[tp] = logs[tp].end if offset is None else offset
    return found


class CacheDestination(Destination):
    """The newest of everything in Redis.

    Positions stand in the same Redis: a cache that was lost begins again, `warm_s` seconds back, or at the
    beginning of a compacted topic. Books begin at their last snapshots whenever a partition is assigned.

    Args:
        settings: Where Kafka and Redis are, and what is kept.

    Raises:
        ConfigurationError: No Redis is configured, or its address is none.
    """

    name = "cache"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._store: RedisStore = connect(settings.cache)
        self._fold = Fold(settings.cache)
        self._owners = Owners(settings.venue_priority)
        self._bridge = Bridge(settings.cache)
        self._admin = Admin(settings.kafka)
        self._kafka_ids: dict[str, str] = {}

    @property
    def topics(self) -> Sequence[Topic]:
        """What hot data is made of."""
        return [topics.BY_BASE_NAME[name] for name in SOURCES]

    def inspect(self, slice_: Slice) -> None:
        """Refuse what cannot be decoded."""
        inspect(slice_)

    async def place(self, logs: Mapping[TopicPartition, Log]) -> Mapping[TopicPartition, Place]:
        """Read on where the store says, or far enough back to be warm."""
        self._forget()
        keys = {tp: names.position(tp.topic, tp.partition) for tp in logs}
        held = dict(zip(logs, await self._asking(self._store.texts(list(keys.values()))), strict=True))
        starts: dict[TopicPartition, int] = {}
        cold: list[TopicPartition] = []
        for tp, log_ in logs.items():
            kafka_id, _, offset = (held[tp] or "").rpartition("@")
            known = kafka_id == log_.kafka_id and log_.first <= int(offset) <= log_.end
            if known and tp.topic != topics.BOOKS.name:
                starts[tp] = int(offset)
            else:
                cold.append(tp)
        starts |= await asyncio.to_thread(warm_starts, self._admin, self._settings.cache.warm_s, cold, logs)
        self._kafka_ids |= {tp.topic: log_.kafka_id for tp, log_ in logs.items()}
        moved = {keys[tp]: self._position(tp.topic, offset) for tp, offset in starts.items()}
        if not await self._asking(self._store.move([], {keys[tp]: held[tp] for tp in logs}, moved)):
            raise UnavailableError("another process has placed the same partitions at this moment")
        return {tp: Place(_ref(tp), offset) for tp, offset in starts.items()}

    async def store(self, portion: Portion) -> None:
        """Change the store, and move the positions, in one transaction."""
        keys = {
            slice_.ref: names.position(slice_.ref.topic, slice_.ref.partition) for slice_ in portion.slices
        }
        expected = {keys[s.ref]: self._position(s.ref.topic, s.expected) for s in portion.slices}
        after = {keys[s.ref]: self._position(s.ref.topic, s.next_offset) for s in portion.slices}
        if portion.uncertain:
            held = await self._asking(self._store.texts(list(keys.values())))
            if held == list(after.values()):
                log.info("the connection was cut after the transaction; nothing to repeat")
                return
        batch = self._fold.read(portion.slices)
        changes = await self._asking(self._fold.take(self._store, self._owners, batch))
        if not self._bridge.is_silent:
            changes += self._bridge.events(batch, await self._asking(self._subscribers(batch)))
        if not await self._asking(self._store.move(changes, expected, after)):
            self._forget()
            raise MovedError

    async def _subscribers(self, batch: Batch) -> dict[str, set[str]]:
        symbols = sorted({symbol for _, symbol in batch.markets})
        return {symbol: await self._store.members(names.subscribers(symbol)) for symbol in symbols}

    def _position(self, topic: str, offset: int) -> str:
        return f"{self._kafka_ids[topic]}@{offset}"

    async def _asking(self, question: Awaitable[T]) -> T:
        """The store's answer.

        Raises:
            UnavailableError: It gives none, or has no room.
            ConfigurationError: It refuses us.
        """
        try:
            return await question
        except Exception as error:
            raise failure(error) from error

    def is_passing(self, error: Exception) -> bool:
        """Whether Redis may answer later."""
        return isinstance(error, UnavailableError)

    async def recover(self, error: Exception) -> None:
        """What was changed is not known."""
        self._forget()

    def _forget(self) -> None:
        self._fold.forget()
        self._owners.forget()

    async def close(self) -> None:
        """Close the connections."""
        await self._store.close()


def _ref(tp: TopicPartition) -> PartitionRef:
    return PartitionRef(TOPIC_NUMBERS[topics.topic_of(tp.topic).base_name], tp.partition, tp.topic)
