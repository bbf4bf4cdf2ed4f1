"""What tests of the processors share: a market and what must come of it, workers, topics read back."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition

from infra.settings import KafkaSettings, ProcessorSettings
from processors.candles.builder import CandleBuilder
from processors.candles.rules import CandleRules
from processors.series.book import SeriesBook
from processors.series.plan import SeriesPlan
from schemas import rows
from schemas.identity import ce_id
from schemas.records import Candle, Record, TimeMark, Trade
from schemas.topics import CANDLES, INDICATORS, SIGNALS, TRADES, Topic
from tests.candle_stream import Item, fold_in_batches

PARTITIONS = 2
PATIENCE_S = 120.0
"""What nothing here takes on a quiet machine: only what never comes fails for it."""
BASE_US = 1_700_000_000_000_000
OUTPUTS = (CANDLES, INDICATORS, SIGNALS)
Feed = dict[int, list[Item]]
Found = dict[str, dict[str, Record]]
"""Records by topic and `ce_id`."""


def kafka_settings(servers: str) -> KafkaSettings:
    return KafkaSettings(bootstrap_servers=servers, partitions=PARTITIONS)


def market(seconds: int, rate: int, symbols: int = 6, seed: int = 1, first: int = 0) -> Feed:
    """Trades of a random walk with a mark a second in every partition, and a final one."""
    chance = random.Random(seed)
    prices = [100.0 + 10 * number for number in range(symbols)]
    feed: Feed = {partition: [] for partition in range(PARTITIONS)}
    for second in range(first, first + seconds):
        for number in range(second * rate, (second + 1) * rate):
            at = BASE_US + number * 1_000_000 // rate
            index = chance.randrange(symbols)
            prices[index] = round(prices[index] * (1 + chance.uniform(-2e-3, 2e-3)), 4)
            trade = Trade(
                venue="binance",
                symbol=f"S{index}/USDT",
                trade_id=str(number),
                sequence=number,
                price=prices[index],
                size=round(chance.uniform(0.01, 2), 3),
                side="buy" if number % 2 else "sell",
                event_time=at,
                receive_time=at + 1000,
            )
            feed[index % PARTITIONS].append(trade)
        end = BASE_US + (second + 1) * 1_000_000 - 1
        is_last = second == first + seconds - 1
        for items in feed.values():
            items.append(TimeMark("binance", "binance-spot-0", end, is_last, "run"))
    return feed


def expected(feed: Feed) -> Found:
    """What a worker that never stops makes of the feed, by the pure parts alone."""
    settings = ProcessorSettings()
    rules = CandleRules.of(settings.intervals, grace_ms=settings.grace_ms, hold_s=settings.hold_s)
    plan = SeriesPlan.of(settings.indicators, settings.signals)
    found: Found = {topic.name: {} for topic in OUTPUTS}
    for items in feed.values():
        candles, refused = fold_in_batches(CandleBuilder(rules), items, [])
        assert not refused
        book = SeriesBook(plan)
        for candle in candles:
            found[CANDLES.name][ce_id(candle)] = candle
            for record in book.fold(candle):
                topic = SIGNALS if type(record).__name__ == "Signal" else INDICATORS
                found[topic.name][ce_id(record)] = record
    assert all(found.values()), "the market is too quiet to prove anything"
    return found


@dataclass
class TopicContent:
    """What stands in a topic.

    Attributes:
        records: By `ce_id`, marks left out.
        repeats: Records that came again; each was equal to the first.
        marks: Marks of each partition, in order.
        headers: Headers of the records, by `ce_id`.
    """

    records: dict[str, Record] = field(default_factory=dict)
    repeats: int = 0
    marks: dict[int, list[TimeMark]] = field(default_factory=dict)
    headers: dict[str, dict[str, bytes]] = field(default_factory=dict)

    @property
    def ended(self) -> int:
        """Partitions in which a final mark stands."""
        return sum(any(mark.final for mark in marks) for marks in self.marks.values())


def read_topic(servers: str, topic: Topic, *, is_revised: bool = False) -> TopicContent:
    """All of a topic as of now. Repeats must equal what they repeat, and first sights keep their order.

    Where candles are revised, a late one may come after others.
    """
    content = TopicContent()
    newest: dict[tuple[str, str, str], tuple[int, int]] = {}
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "reader", "log_level": 0})
    try:
        for partition in range(PARTITIONS):
            place = TopicPartition(topic.name, partition, 0)
            _, end = consumer.get_watermark_offsets(place, timeout=10)
            consumer.assign([place])
            content.marks[partition] = []
            offset = 0
            while offset < end:
                for message in consumer.consume(min(10_000, end - offset), 1):
                    assert message.error() is None
                    offset = message.offset() + 1
                    record = rows.decode(message.value())
                    if isinstance(record, TimeMark):
                        content.marks[partition].append(record)
                        continue
                    name = ce_id(record)
                    if name in content.records:
                        assert content.records[name] == record
                        content.repeats += 1
                        continue
                    content.records[name] = record
                    content.headers[name] = {k: v for k, v in message.headers() or [] if v is not None}
                    if isinstance(record, Candle) and not is_revised:
                        series = (record.venue, record.symbol, record.interval)
                        stamp = (record.open_time, record.revision)
                        assert newest.get(series, (0, 0)) < stamp
                        newest[series] = stamp
    finally:
        consumer.close()
    return content


def until_drained(servers: str, workers: Sequence[Worker] = (), timeout_s: float = PATIENCE_S) -> None:
    """Wait until the final mark has passed through both agents in every partition."""
    deadline = time.monotonic() + timeout_s
    while read_topic(servers, SIGNALS).ended < PARTITIONS:
        assert time.monotonic() < deadline, [worker.log() for worker in workers]
        for worker in workers:
            assert worker.process.poll() is None, worker.log()
        time.sleep(0.1)


def committed(servers: str, group: str, topic: Topic = TRADES) -> list[int]:
    """What a group has committed in every partition of a topic; negative where it has nothing."""
    consumer = Consumer({"bootstrap.servers": servers, "group.id": group, "log_level": 0})
    try:
        asked = [TopicPartition(topic.name, partition) for partition in range(PARTITIONS)]
        return [place.offset for place in consumer.committed(asked, timeout=10)]
    finally:
        consumer.close()


def assert_equal(servers: str, wanted: Found) -> int:
    """The output topics hold what is wanted, value for value; returns how many records were repeated."""
    repeats = 0
    for topic in OUTPUTS:
        content = read_topic(servers, topic)
        assert content.records.keys() == wanted[topic.name].keys()
        assert content.records == wanted[topic.name]
        repeats += content.repeats
    return repeats


def worker_environment(servers: str, app_id: str) -> dict[str, str]:
    """Ours, with the settings of a worker under test in place of any others."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KANDLE_")}
    return environment | {
        "KAFKA_BOOTSTRAP_SERVERS": servers,
        "KANDLE_KAFKA__PARTITIONS": str(PARTITIONS),
        "KANDLE_KAFKA__SESSION_TIMEOUT_MS": "6000",
        "KANDLE_KAFKA__HEARTBEAT_INTERVAL_MS": "500",
        "KANDLE_PROCESSORS__APP_ID": app_id,
        "KANDLE_PROCESSORS__CHECKPOINT_INTERVAL_S": "0.3",
    }


class Worker:
    """A worker as a process of its own, as a user starts it.

    Args:
        servers: Bootstrap servers.
        app_id: Name of the consumer group.
        folder: Where its log goes; must hold no settings.
        instance: Name of a static member.
        workers: Processes under the one that is started.
        **settings: More environment.
    """

    def __init__(
        self,
        servers: str,
        app_id: str,
        folder: Path,
        instance: str | None = None,
        workers: int = 1,
        **settings: str,
    ) -> None:
        self._path = folder / f"{app_id}-{instance}-{time.monotonic_ns()}.log"
        environment = worker_environment(servers, app_id) | settings
        if instance is not None:
            environment["KANDLE_PROCESSORS__INSTANCE_ID"] = instance
        with self._path.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "kandle", "process", "--workers", str(workers)],
                stdout=log,
                stderr=log,
                env=environment,
                cwd=folder,
            )

    def log(self) -> str:
        return self._path.read_text()

    def until_logged(self, text: str, timeout_s: float = PATIENCE_S) -> None:
        deadline = time.monotonic() + timeout_s
        while text not in self.log():
            assert time.monotonic() < deadline, self.log()
            assert self.process.poll() is None, self.log()
            time.sleep(0.05)

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)

    def stop(self, timeout_s: float = PATIENCE_S) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout_s)


@contextlib.contextmanager
def worker(
    servers: str,
    app_id: str,
    folder: Path,
    instance: str | None = None,
    workers: int = 1,
    **settings: str,
) -> Iterator[Worker]:
    started = Worker(servers, app_id, folder, instance, workers, **settings)
    try:
        yield started
    finally:
        if started.process.poll() is None:
            started.kill()
