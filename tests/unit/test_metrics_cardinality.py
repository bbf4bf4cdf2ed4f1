"""A thousand symbols make no more series than a few: a feed and a worker in this process, without Kafka."""

import struct
from collections.abc import Callable
from typing import Any

import pytest
from faust.types import TP
from prometheus_client import REGISTRY

from infra.clock import SystemClock
from infra.kafka.outgoing_records import OutgoingRecords
from infra.kafka.publisher import Publisher
from infra.kafka.raw_fetcher import Chunk
from infra.kafka.record_batches import split_batches
from infra.settings import KafkaSettings, Settings
from processors.agents.indicators import IndicatorStep
from processors.agents.trades import TradeStep
from processors.engine.partitions import Partitions
from producers.feed import Feed
from producers.markets import exchange_class
from producers.outlet import Outlet, fed_topics
from schemas import rows
from schemas.errors import UnavailableError
from schemas.records import Instrument, TimeMark, Trade
from schemas.topics import CANDLES
from tests.feed_frames import quote, trade

SYMBOLS = 1_000
MOST_SERIES = 300
"""Of all that a feed, or a worker, adds; a series a symbol would be a thousand."""
NOWHERE = KafkaSettings(bootstrap_servers="127.0.0.1:1")
SECOND_US = 1_000_000
BEGAN_US = 1_700_000_000_000_000


def series() -> set[str]:
    return {
        f"{sample.name}{sorted(sample.labels.items())}"
        for family in REGISTRY.collect()
        for sample in family.samples
        if family.name.startswith("kandle_")
    }


def assert_few(before: set[str]) -> None:
    added = series() - before
    assert len(added) < MOST_SERIES
    assert not [name for name in added if "USDT" in name]


async def test_a_feed() -> None:
    before = series()
    market = exchange_class("binance")
    names = [f"S{number}USDT" for number in range(SYMBOLS)]
    instruments = [found for name in names if isinstance(found := market.guess(name), Instrument)]
    assert len(instruments) == SYMBOLS
    exchange = market(instruments, ("trades", "quotes"))
    feed = Feed(exchange, "binance-spot-0", "run", False)
    publisher = Publisher(NOWHERE, client_id="kandle-few")
    topics = fed_topics(exchange.channels)
    outlet = Outlet(publisher, "binance", "binance-spot-0", 1, topics, SystemClock())
    outputs: list[Any] = []
    feed.connected(exchange.streams(), 0.0, outputs)
    for name in names:
        # 2 is missing of each, 1 comes again.
        for frame in (trade(1, symbol=name), trade(3, symbol=name), trade(1, symbol=name), quote(1, name)):
            feed.take(frame, BEGAN_US, 0.0, outputs)
    await outlet.carry(outputs, feed, 0.0)
    assert outlet.counts["Trade"] == 2 * SYMBOLS
    with pytest.raises(UnavailableError):
        await publisher.close(0.0)
    assert_few(before)


class Kept(Publisher):
    """Keeps candles; what else is published goes nowhere."""

    def __init__(self) -> None:
        super().__init__(NOWHERE, client_id="kandle-kept")
        self.candles: list[tuple[bytes | None, bytes | None]] = []

    async def publish(self, *_: Any, **__: Any) -> None: ...

    async def flush(self, timeout_s: float = 0.0) -> None: ...

    async def publish_columns(
        self,
        topic: str,
        partition: int,
        records: OutgoingRecords,
        kind: str = "bytes",
        on_acknowledged: Callable[[], None] | None = None,
    ) -> None:
        if topic == CANDLES.name:
            self.candles += [
                (records.keys.value(row), records.values.value(row)) for row in range(len(records))
            ]
        if on_acknowledged is not None:
            on_acknowledged()


class Alone:
    """A group with one member, which keeps what it has."""

    generation = 1

    def is_current(self, tp: TP, generation: int) -> bool:
        return True

    async def bounds(self, tps: set[TP]) -> dict[TP, tuple[int, int]]:
        return dict.fromkeys(tps, (0, 1 << 40))

    async def seek(self, tp: TP, offset: int) -> None: ...


async def take(step: Any, kept: Kept, messages: list[tuple[bytes | None, bytes | None]]) -> None:
    """Let a step fold records, as the partitions of a worker do."""
    tp = TP(step.topic, 0)
    held: Partitions[Any] = Partitions(
        step, kept, changelog="changelog", topic_id="", checkpoint_interval_s=0.0, group=Alone()
    )
    held.restore(await Alone().bounds({tp}), 1, lambda topic, partition: {})
    data, offset = b"", 0
    for batch in OutgoingRecords.of(messages).batches():
        data += struct.pack(">q", offset) + batch._build()[8:]
        offset += batch.record_count()
    await held.take(tp, 1, Chunk(split_batches(data), 0, offset))
    assert held.held[tp].position == len(messages)


async def test_a_worker() -> None:
    before = series()
    kept, settings = Kept(), Settings(kafka=NOWHERE)
    messages: list[tuple[bytes | None, bytes | None]] = []
    for second in range(5):
        for number in range(SYMBOLS):
            symbol, time = f"S{number}/USDT", BEGAN_US + second * SECOND_US + number
            name = str(second + 1)
            record = Trade("binance", symbol, name, second + 1, 100.0, 1.0, "buy", time, time)
            messages.append((f"binance:{symbol}".encode(), rows.encode(record)))
        mark = TimeMark("binance", "a", BEGAN_US + (second + 1) * SECOND_US, False, "run")
        messages.append((None, rows.encode(mark)))
    trades = TradeStep(settings, kept)
    trades._alerts.refresh = _nothing(trades)  # type: ignore[method-assign]
    await take(trades, kept, messages)
    assert len({key for key, _ in kept.candles}) > SYMBOLS, "candles of each, and marks"
    await take(IndicatorStep(settings, kept), kept, kept.candles)
    assert_few(before)


def _nothing(step: TradeStep) -> Callable[[], Any]:
    """No alerts are set: their topic would be asked for."""

    async def refresh() -> Any:
        return step._alerts.versions

    return refresh
