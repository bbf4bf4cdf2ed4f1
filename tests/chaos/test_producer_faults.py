"""Producers whose broker dies, or is away: what was acknowledged stays, what was missed comes, once."""

import asyncio
import gc
import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra import metrics
from infra.embedded.child import Child
from infra.embedded.kafka import KafkaServer
from infra.embedded.stage_log import StageLog
from infra.kafka import publisher
from producers import connection, stage
from schemas.records import Gap, SystemEvent, TimeMark, Trade
from schemas.topics import SYSTEM_EVENTS, TRADES
from tests.producer_harness import Topics, settings_for
from tests.producer_processes import ProducerProcess, WatchedMarket, assert_exact, marks_of, trading, until

PARTITIONS = 4
SYMBOLS = ["BTC/USDT", "ETH/USDT"]
KILLS, KILLS_IN_FULL = 1, 12
AWAY_S, AWAY_IN_FULL_S = 10.0, 60.0
QUEUE_MESSAGES = 1_500
SHED_FRAMES = 600


class Broker:
    """A broker that can be killed, and started again where it stood. Make it in the main thread."""

    def __init__(self, folder: Path) -> None:
        self._server = KafkaServer.prepare(folder)
        self._log = StageLog.of(folder, self._server.spec.name)
        self._child = Child.start(self._server.spec, self._log)
        self._child.wait_until_ready()
        self.topics = Topics(self._server.bootstrap_servers)

    def kill(self) -> None:
        """End it as a power cut would."""
        self._child.kill()

    async def start(self) -> None:
        """Start it again, and wait until it answers."""
        self._child = Child.start(self._server.spec, self._log)
        await asyncio.to_thread(self._child.wait_until_ready)
        await asyncio.to_thread(self.topics.await_leaders)

    def stop(self) -> None:
        """End it for good."""
        self._child.stop()


@pytest.fixture
def broker() -> Iterator[Broker]:
    with tempfile.TemporaryDirectory(prefix="kandle-chaos-") as folder:
        started = Broker(Path(folder))
        try:
            started.topics.renew()
            yield started
        finally:
            started.stop()


def newest(topics: Topics, symbol: str) -> int:
    """Highest number of a symbol in the topic."""
    numbers = [trade.sequence or 0 for trade in topics.records(TRADES.name, Trade) if trade.symbol == symbol]
    return max(numbers, default=0)


async def caught_up(topics: Topics, market: WatchedMarket, within_s: float) -> None:
    """Wait until the topic has what the market has made by now."""
    made = {symbol: max(trades) for symbol, trades in market.made.items()}

    def has_all() -> bool:
        return all(newest(topics, symbol) >= number for symbol, number in made.items())

    await until(has_all, within_s, "the topic has caught up")


async def test_a_broker_killed_under_load_has_every_trade_once(
    broker: Broker, tmp_path: Path, in_full: bool
) -> None:
    topics = broker.topics
    market = WatchedMarket(SYMBOLS, 300.0)
    async with trading(market) as server:
        producer = ProducerProcess(
            topics.servers, server, tmp_path, "only", symbols=",".join(SYMBOLS), takeover_s=10
        )
        try:
            await until(lambda: bool(marks_of(topics, "only")), 30, "it feeds")
            for _ in range(KILLS_IN_FULL if in_full else KILLS):
                await asyncio.sleep(1.5)
                broker.kill()
                await broker.start()
                await caught_up(topics, market, 40)
            memory_mb = producer.rss_mb()
            assert await producer.stop() == 0
        finally:
            producer.end()
    assert_exact(topics, market)
    assert {gap.status for gap in topics.records(TRADES.name, Gap)} <= {"opened", "filled"}
    assert sum(mark.final for mark in marks_of(topics, "only")) == PARTITIONS
    assert "Traceback" not in producer.said
    assert memory_mb < 400


@pytest.mark.parametrize(
    "takeover_s",
    [
        pytest.param(120.0, id="shards-kept"),
        pytest.param(6.0, id="shards-lost", marks=pytest.mark.full),
    ],
)
async def test_while_the_broker_is_away_memory_is_bounded_and_nothing_is_lost(
    broker: Broker, in_full: bool, takeover_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "QUEUE_MESSAGES", QUEUE_MESSAGES)
    monkeypatch.setattr(connection, "SHED_FRAMES", SHED_FRAMES)
    topics = broker.topics
    market = WatchedMarket(SYMBOLS, 150.0)
    stop = asyncio.Event()
    before = shed()
    async with trading(market) as server:
        settings = settings_for(topics, server, symbols=SYMBOLS, lossless=False, takeover_s=takeover_s)
        running = asyncio.create_task(stage.run(settings, stop))
        await until(lambda: bool(topics.records(TRADES.name, TimeMark)), 30, "it feeds")
        broker.kill()
        largest = 0
        for _ in range(int((AWAY_IN_FULL_S if in_full else AWAY_S) / 0.5)):
            await asyncio.sleep(0.5)
            largest = max(largest, backlog())
            assert not running.done(), "a producer waits for its broker"
        await broker.start()
        await caught_up(topics, market, 60)
        stop.set()
        await asyncio.wait_for(running, 30)
    assert_exact(topics, market)
    assert largest <= SHED_FRAMES * 1.2, "a portion more at most"
    gaps = topics.records(TRADES.name, Gap)
    assert {gap.status for gap in gaps} == {"opened", "filled"}
    assert_order_kept(topics)
    if takeover_s > AWAY_IN_FULL_S:
        assert shed() > before, "the stated policy: beyond the bound the oldest frames go, and are counted"
        events = topics.records(SYSTEM_EVENTS.name, SystemEvent)
        assert any(event.data.get("reason") == "shed" for event in events)


def backlog() -> int:
    """Frames that wait in a connection of this process, the fullest one."""
    found = [item for item in gc.get_objects() if type(item) is connection.FeedConnection]
    return max((item.backlog for item in found if not item.is_lost), default=0)


def shed() -> float:
    """Frames shed so far."""
    return sum(
        sample.value
        for metric in metrics.feeds.FRAMES_SHED.collect()
        for sample in metric.samples
        if sample.name.endswith("_total")
    )


def assert_order_kept(topics: Topics) -> None:
    """What the stream has brought stands in the topic in the order of its numbers; no mark passes a gap."""
    for symbol in SYMBOLS:
        trades = [trade for trade in topics.records(TRADES.name, Trade) if trade.symbol == symbol]
        streamed = [trade.sequence or 0 for trade in trades if not trade.backfilled]
        assert all(earlier < later for earlier, later in itertools.pairwise(streamed))
    is_open: dict[int, set[tuple[str, int | None]]] = {number: set() for number in range(PARTITIONS)}
    for stored in topics.read(TRADES.name):
        record, missing = stored.record, is_open[stored.partition]
        if isinstance(record, Gap) and record.status == "opened":
            missing.add((record.symbol, record.first_sequence))
        elif isinstance(record, Gap):
            missing.discard((record.symbol, record.first_sequence))
        elif isinstance(record, TimeMark):
            assert not missing, "no mark passes an open gap"
