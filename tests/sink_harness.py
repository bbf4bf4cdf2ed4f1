"""What tests of the sinks share: topics made anew, records put into them, the stage run, the tables read."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any

import psycopg
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)
from pydantic import SecretStr

from infra.kafka.admin import Admin
from infra.settings import (
    DatabaseSettings,
    KafkaSettings,
    NotificationRule,
    NotificationSettings,
    Settings,
    SinkSettings,
)
from schemas import rows
from schemas.identity import market_key
from schemas.records import BookUpdate, Gap, Quote, Record, TimeMark, Trade
from schemas.topics import TOPICS, TRADES, Topic
from sinks import stage

BASE_US = 1_700_000_000_000_000
PARTITIONS = 2
Row = tuple[Any, ...]


def settings_for(
    servers: str, url: str, *, rules: Sequence[NotificationRule] = (), sink: SinkSettings | None = None
) -> Settings:
    return Settings(
        kafka=KafkaSettings(
            bootstrap_servers=servers,
            partitions=PARTITIONS,
            session_timeout_ms=6000,
            heartbeat_interval_ms=1000,
        ),
        database=DatabaseSettings(url=SecretStr(url)),
        sink=sink or SinkSettings(),
        # The records of tests are of long ago.
        notifications=NotificationSettings(
            rules=list(rules), timeout_s=2, attempts=2, max_age_s=0, allow_private=True
        ),
    )


def url_of(settings: Settings) -> str:
    assert settings.database.url is not None
    return settings.database.url.get_secret_value()


def fresh_topics(kafka: KafkaSettings) -> None:
    """Make all topics anew: the tests share a broker, and the sinks read topics of fixed names."""
    client = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    ours = {name for topic in TOPICS for name in (topic.name, topic.dead_letter_name)}

    def present() -> set[str]:
        return ours & set(client.list_topics(timeout=10).topics)

    if present():
        for future in client.delete_topics(sorted(present()), operation_timeout=10).values():
            future.result()
    deadline = time.monotonic() + 10
    while present() and time.monotonic() < deadline:
        time.sleep(0.05)
    Admin(kafka).ensure_topics()
    # A broker answers that a topic is made a moment before it lists it.
    made = {topic.name for topic in TOPICS} | {t.dead_letter_name for t in TOPICS if t.dead_letters}
    while present() < made and time.monotonic() < deadline + 10:
        time.sleep(0.05)


def limit_record_bytes(kafka: KafkaSettings, topic: str, limit: int) -> None:
    """Make the broker refuse larger records in a topic."""
    client = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    entry = ConfigEntry("max.message.bytes", str(limit), incremental_operation=AlterConfigOpType.SET)
    changed = client.incremental_alter_configs(
        [ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])]
    )
    for future in changed.values():
        future.result()


class Log:
    """Puts records into topics, and reads dead letters.

    Args:
        servers: Bootstrap servers.
    """

    def __init__(self, servers: str) -> None:
        self._servers = servers
        self._producer = Producer(
            {
                "bootstrap.servers": servers,
                "linger.ms": 5,
                "enable.idempotence": True,
                "message.max.bytes": 16 * 1024 * 1024,
                "log_level": 0,
            }
        )

    def put(
        self, topic: Topic, partition: int, values: Iterable[Record | bytes | None], key: bytes = b"k"
    ) -> None:
        for value in values:
            data = rows.encode(value) if isinstance(value, Record) else value
            keyed = isinstance(value, Trade | Quote | BookUpdate | Gap)
            own = market_key(value.venue, value.symbol).encode() if keyed else key  # type: ignore[union-attr]
            while True:
                try:
                    self._producer.produce(topic.name, data, own, partition=partition, headers=[("h", b"1")])
                    break
                except BufferError:
                    self._producer.poll(0.1)
        assert self._producer.flush(30) == 0

    def read(self, topic: str) -> list[Any]:
        """All messages of a topic of one partition, up to its end as of now."""
        consumer = Consumer({"bootstrap.servers": self._servers, "group.id": "reader", "log_level": 0})
        found: list[Any] = []
        try:
            _, end = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=10)
            consumer.assign([TopicPartition(topic, 0, 0)])
            while len(found) < end:
                message = consumer.poll(10)
                assert message is not None
                assert message.error() is None
                found.append(message)
        finally:
            consumer.close()
        return found


def trade(
    number: int, symbol: str = "BTC/USDT", *, numbered: bool = True, time_us: int | None = None
) -> Trade:
    at = BASE_US + number * 1000 if time_us is None else time_us
    return Trade(
        venue="binance",
        symbol=symbol,
        trade_id=str(number) if numbered else f"id-{number}",
        sequence=number if numbered else None,
        price=100 + number / 7,
        size=1 / (number + 1),
        side=("buy", "sell", "unknown")[number % 3],
        event_time=at,
        receive_time=at + 5,
    )


def mark(time_us: int, *, final: bool = False, instance: str = "run") -> TimeMark:
    return TimeMark("binance", "binance-spot-0", time_us, final, instance)


def sorted_rows(items: Iterable[Trade]) -> list[Row]:
    """What `stored_trades` finds where these are stored."""
    return sorted((row_of(item) for item in items), key=lambda row: (row[2], row[0], row[3]))


def row_of(item: Trade) -> Row:
    """A trade as the view has it, times as microseconds."""
    return (
        item.event_time,
        item.venue,
        item.symbol,
        item.trade_id,
        item.price,
        item.size,
        item.side,
        item.receive_time,
    )


def stored_trades(url: str) -> list[Row]:
    """All rows of the view, sorted; a repeat shows as an equal row."""
    return query(
        url,
        "SELECT (extract(epoch FROM time) * 1000000)::bigint, venue, symbol, trade_id, price, size, side, "
        "(extract(epoch FROM receive_time) * 1000000)::bigint FROM public.trades ORDER BY 3, 1, 4",
    )


def query(url: str, statement: str) -> list[Row]:
    with psycopg.connect(url) as db:
        return db.execute(statement.encode()).fetchall()


def totals(url: str, sink: str, topic: Topic = TRADES) -> Row:
    """(next offsets, stored, revised, repeated, dead letters) of a sink and a topic."""
    found = query(
        url,
        "SELECT sum(next_offset)::bigint, sum(rows_stored)::bigint, sum(rows_revised)::bigint, "
        "sum(rows_repeated)::bigint, sum(dead_letters)::bigint FROM kandle.offsets o JOIN kandle.topics t "
        f"ON t.id = o.topic_id WHERE sink = '{sink}' AND t.name = '{topic.name}'",
    )
    return found[0]


def passed(url: str, sink: str, topic: Topic, instance: str = "run") -> int:
    """Partitions of a topic in which a sink has passed a run's final mark."""
    found = query(
        url,
        "SELECT count(*) FROM kandle.marks m JOIN kandle.topics t ON t.id = m.topic_id WHERE final "
        f"AND m.sink = '{sink}' AND t.name = '{topic.name}' AND instance = '{instance}'",
    )
    return int(found[0][0])


@contextlib.asynccontextmanager
async def running(settings: Settings, only: Sequence[str] | None = None) -> AsyncIterator[asyncio.Task[None]]:
    """The stage in this process; its error is raised at the end."""
    stop = asyncio.Event()
    task = asyncio.create_task(stage.run(settings, stop, only))
    try:
        yield task
    finally:
        stop.set()
        await task


async def until(
    condition: Callable[[], bool], timeout_s: float = 30.0, task: asyncio.Task[None] | None = None
) -> None:
    """Wait for a condition on what is stored; tables that are not there yet count as not yet."""
    deadline = time.monotonic() + timeout_s
    while True:
        with contextlib.suppress(psycopg.errors.UndefinedTable, psycopg.OperationalError):
            if await asyncio.to_thread(condition):
                return
        if task is not None and task.done():
            await task
        assert time.monotonic() < deadline, "not in time"
        await asyncio.sleep(0.05)


def rows_stored(url: str, topic: Topic = TRADES) -> int:
    """Rows of a topic that the sink has stored; 0 while there is no table or no database."""
    try:
        return totals(url, "timescale", topic)[1] or 0
    except (psycopg.errors.UndefinedTable, psycopg.OperationalError):
        return 0


async def until_stored(
    url: str, goal: int, timeout_s: float = 30.0, task: asyncio.Task[None] | None = None
) -> None:
    """Wait until at least so many trades are stored."""
    await until(lambda: rows_stored(url) >= goal, timeout_s, task)


async def until_passed(
    url: str,
    sink: str,
    topic: Topic,
    *,
    instance: str = "run",
    timeout_s: float = 30.0,
    task: asyncio.Task[None] | None = None,
) -> None:
    """Wait until a sink has passed a run's final mark in every partition."""
    await until(lambda: passed(url, sink, topic, instance) == PARTITIONS, timeout_s, task)
