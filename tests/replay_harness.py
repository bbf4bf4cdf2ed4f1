"""What tests of replays share: a past in topics of its own, replays of it, and what they wrote."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Iterable
from contextlib import aclosing
from dataclasses import dataclass, field

from backtest.replay.headers import REPLAY_ID, REPLAY_POSITION
from backtest.replay.pace import MAX, Pace
from backtest.replay.plan import Plan
from backtest.replay.run import Outcome, Replay
from backtest.replay.source import Partition, Period, Source
from infra.kafka.admin import Admin
from infra.kafka.log_scan import scan
from infra.kafka.outgoing_records import OutgoingRecords
from infra.kafka.publisher import Publisher
from infra.settings import KafkaSettings
from schemas import rows
from schemas.identity import market_key
from schemas.namespace import Namespace
from schemas.records import Gap, Instrument, Quote, Record, Ticker, TimeMark, Trade
from schemas.topics import BOOKS, INSTRUMENTS, QUOTES, TICKERS, TRADES, Topic

BASE_US = 1_700_000_000_000_000
PARTITIONS = 2
VENUE = "binance"
Message = tuple[bytes | None, bytes | None]


def namespace() -> Namespace:
    """One that no other test has."""
    return Namespace(f"t{uuid.uuid4().hex[:10]}")


def kafka_settings(servers: str) -> KafkaSettings:
    return KafkaSettings(bootstrap_servers=servers, partitions=PARTITIONS)


@dataclass
class Past:
    """Records by partition, in order."""

    messages: dict[Partition, list[Message]] = field(default_factory=dict)

    def add(self, topic: Topic, number: int, record: Record | bytes | None, key: bytes | None = None) -> None:
        value = rows.encode(record) if isinstance(record, Record) else record
        venue, symbol = getattr(record, "venue", None), getattr(record, "symbol", None)
        if key is None and venue is not None and symbol is not None:
            key = market_key(venue, symbol).encode()
        self.messages.setdefault(Partition(topic.base_name, number), []).append((key, value))

    async def publish(self, kafka: KafkaSettings, space: Namespace) -> None:
        names = {tp.topic for tp in self.messages}
        topics = [one for one in (TRADES, QUOTES, BOOKS, TICKERS, INSTRUMENTS) if one.base_name in names]
        await asyncio.to_thread(Admin(kafka).ensure_topics, [topic.in_namespace(space) for topic in topics])
        publisher = Publisher(kafka)
        for (topic, number), messages in self.messages.items():
            await publisher.publish_columns(space.name_of(topic), number, OutgoingRecords.of(messages))
        await publisher.close()


def trade(number: int, time_us: int, symbol: str = "BTC/USDT") -> Trade:
    return Trade(
        VENUE,
        symbol,
        str(number),
        number,
        100 + number % 7,
        1.5,
        "buy",
        time_us,
        time_us + 5,
        backfilled=True,
    )


def some_past(seconds: int = 30, a_second: int = 20, seed: int = 1) -> Past:
    """Trades, quotes and tickers with marks, a gap, late records, instruments, and what is no record."""
    chance = random.Random(seed)
    past = Past()
    symbols = [("BTC/USDT", 0), ("ETH/USDT", 1)]
    for symbol, number in symbols:
        past.add(
            INSTRUMENTS,
            number,
            Instrument(
                VENUE, symbol, symbol, "B", "Q", "spot", "trading", 0.1, 0.1, None, 1.0, BASE_US - 10**12
            ),
        )
    count = 0
    for second in range(seconds):
        start = BASE_US + second * 1_000_000
        for offset in sorted(chance.randrange(1_000_000) for _ in range(a_second)):
            symbol, number = chance.choice(symbols)
            late = chance.choice((0, 0, 0, 3_000_000))
            count += 1
            past.add(TRADES, number, trade(count, start + offset - late, symbol))
            at = start + offset
            past.add(QUOTES, number, Quote(VENUE, symbol, 99.5, 1, 100.5, 2, count, None, at))
        if second == seconds // 2:
            past.add(TRADES, 0, b"no record")
            gap = Gap(VENUE, "BTC/USDT", "shard", "given_up", 1, 2, start - 4_000_000, start + 9, "lost")
            past.add(TRADES, 0, gap)
            past.add(TICKERS, 1, _ticker(start))
        mark = TimeMark(VENUE, "shard", start + 999_999, second == seconds - 1, "run")
        for number in range(PARTITIONS):
            past.add(TRADES, number, mark)
            past.add(QUOTES, number, mark)
            past.add(TICKERS, number, mark, b"shard")
    return past


def _ticker(time_us: int) -> Ticker:
    return Ticker(
        VENUE, "ETH/USDT", 1.0, None, None, None, None, None, None, None, None, None, time_us, time_us
    )


def replay_of(
    kafka: KafkaSettings,
    source: Source,
    into: Namespace,
    *,
    period: Period | None = None,
    pace: Pace | None = None,
    symbols: Iterable[str] | None = None,
    topics: Iterable[str] | None = None,
) -> Replay:
    names = {tp.topic for tp in source.partitions} if topics is None else set(topics)
    plan = Plan(source.identity, period or Period(), names, None if symbols is None else list(symbols))
    return Replay(kafka, source, plan, into, pace or Pace(MAX))


async def replayed(kafka: KafkaSettings, source: Source, into: Namespace, **options: object) -> Outcome:
    return await replay_of(kafka, source, into, **options).run(asyncio.Event())  # type: ignore[arg-type]


@dataclass(frozen=True)
class Written:
    """A record that a replay wrote."""

    key: bytes | None
    value: bytes | None
    replay_id: bytes | None
    position: int


async def written(kafka: KafkaSettings, space: Namespace, topic: str, number: int) -> list[Written]:
    """What a partition of a replay holds."""
    name = space.name_of(topic)
    ((first, end),) = Admin(kafka).log_ranges([(name, number)]).values()
    found = []
    async with aclosing(scan(kafka, name, number, first, end)) as batches:
        async for records in batches:
            for row in range(len(records)):
                headers = dict(records.headers(row))
                position = int(headers[REPLAY_POSITION] or b"-1")
                found.append(Written(records.key(row), records.value(row), headers[REPLAY_ID], position))
    return found


async def messages(kafka: KafkaSettings, space: Namespace, tp: Partition) -> list[Message]:
    """Keys and values of a partition, without the closing mark."""
    found = await written(kafka, space, *tp)
    closing = [one for one in found if one.position == 2**63 - 1]
    assert found[len(found) - len(closing) :] == closing
    return [(one.key, one.value) for one in found[: len(found) - len(closing)]]


async def values(kafka: KafkaSettings, space: Namespace, tp: Partition) -> list[Message]:
    """Keys and values of a partition, whoever wrote them; none of a topic that is not there."""
    name = space.name_of(tp.topic)
    admin = Admin(kafka)
    if name not in admin.partition_counts():
        return []
    ((first, end),) = admin.log_ranges([(name, tp.number)]).values()
    found: list[Message] = []
    async with aclosing(scan(kafka, name, tp.number, first, end)) as batches:
        async for records in batches:
            found += [(records.key(row), records.value(row)) for row in range(len(records))]
    return found
