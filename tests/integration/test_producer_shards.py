"""Who feeds which symbols: standbys, hand-overs, processes that stall, and shards; none lost, none twice."""

import asyncio
import contextlib
import itertools
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.embedded import cluster
from producers import stage
from producers.control import shard_of
from producers.shard_lease import ShardLease
from producers.simulator.server import SimulatorServer
from schemas.records import Gap, TimeMark, Trade
from schemas.topics import TRADES
from tests.producer_harness import Topics, settings_for
from tests.producer_processes import (
    TAKEOVER_S,
    ProducerProcess,
    WatchedMarket,
    assert_exact,
    marks_of,
    members,
    trading,
    until,
)

PARTITIONS = 4
RATE = 40.0


@pytest.fixture(scope="module")
def broker() -> Iterator[Topics]:
    with (
        tempfile.TemporaryDirectory(prefix="kandle-shards-") as folder,
        cluster.broker(Path(folder)) as servers,
    ):
        yield Topics(servers)


@pytest.fixture
def topics(broker: Topics) -> Topics:
    broker.renew()
    return broker


@contextlib.asynccontextmanager
async def pair(
    topics: Topics, server: SimulatorServer, folder: Path, **producer: object
) -> AsyncIterator[tuple[ProducerProcess, ProducerProcess]]:
    """A producer at work and one that stands by."""
    servers = topics.servers
    first = ProducerProcess(servers, server, folder, "first", **producer)
    second = None
    try:
        await until(lambda: len(marks_of(topics, "first")) >= PARTITIONS, 30, "the first feeds")
        second = ProducerProcess(servers, server, folder, "second", **producer)
        await until(lambda: members(topics) == 2, 30, "the second stands by")
        yield first, second
    finally:
        first.end()
        if second is not None:
            second.end()


def instances(topics: Topics) -> set[tuple[str, str]]:
    """Which run has fed which source."""
    return {(mark.source, mark.instance) for mark in topics.records(TRADES.name, TimeMark)}


def finals(topics: Topics) -> list[TimeMark]:
    return [mark for mark in topics.records(TRADES.name, TimeMark) if mark.final]


async def test_a_standby_takes_over_from_one_that_was_killed(topics: Topics, tmp_path: Path) -> None:
    market = WatchedMarket(["BTC/USDT"], RATE)
    async with trading(market) as server, pair(topics, server, tmp_path) as (first, second):
        assert not marks_of(topics, "second"), "it only stands by"
        first.kill()
        await until(
            lambda: bool(marks_of(topics, "second")), TAKEOVER_S + 5, "the second has taken over and marks"
        )
        assert not finals(topics), "the feed goes on"
        assert await second.stop() == 0
    trades = assert_exact(topics, market)["BTC/USDT"]
    assert any(trade.backfilled for trade in trades.values()), "trades were made while nobody listened"
    assert {gap.status for gap in topics.records(TRADES.name, Gap)} <= {"opened", "filled"}
    assert [mark.instance for mark in finals(topics)] == ["second"] * PARTITIONS
    assert_nothing_behind_marks(topics)


async def test_a_clean_stop_hands_over_at_once_or_ends_the_source(topics: Topics, tmp_path: Path) -> None:
    market = WatchedMarket(["BTC/USDT"], RATE)
    async with trading(market) as server, pair(topics, server, tmp_path) as (first, second):
        assert await first.stop() == 0
        took_s = await until(lambda: bool(marks_of(topics, "second")), 5, "the second has taken over")
        assert took_s < TAKEOVER_S / 2
        assert not finals(topics), "a hand-over is no end"
        assert await second.stop() == 0
    assert [mark.instance for mark in finals(topics)] == ["second"] * PARTITIONS
    assert_exact(topics, market)
    assert_nothing_behind_marks(topics)


@pytest.mark.full
async def test_one_that_was_suspended_finds_its_shard_gone(topics: Topics, tmp_path: Path) -> None:
    market = WatchedMarket(["BTC/USDT"], RATE)
    async with trading(market) as server, pair(topics, server, tmp_path) as (first, second):
        first.suspend()
        await until(lambda: bool(marks_of(topics, "second")), TAKEOVER_S + 5, "the second has taken over")
        first.go_on()
        await until(lambda: "shards are lost" in first.said, 5, "the first has noticed")
        await asyncio.sleep(3)
        assert first.process.poll() is None, "it stands by"
        own = marks_of(topics, "first")
        # And it is a standby as good as any.
        assert await second.stop() == 0
        await until(lambda: len(marks_of(topics, "first")) > len(own), 8, "the first feeds again")
        assert await first.stop() == 0
    assert_exact(topics, market)
    assert [mark.instance for mark in finals(topics)] == ["first"] * PARTITIONS
    marks = [stored.record for stored in topics.read(TRADES.name) if stored.partition == 0]
    turns = [
        name for name, _ in itertools.groupby(mark.instance for mark in marks if isinstance(mark, TimeMark))
    ]
    # One mark of the first may have been on its way when it was suspended; then they take turns.
    assert len(turns) <= 5
    assert_nothing_behind_marks(topics)


@pytest.mark.full
async def test_a_process_held_up_for_about_as_long_as_allowed_is_given_its_shard_again(
    topics: Topics,
) -> None:
    lease = ShardLease(topics.settings, "held-up", 1, None, TAKEOVER_S, lambda _: None)
    lease.start()

    async def held(within_s: float) -> None:
        async with asyncio.timeout(within_s):
            while lease.held != {0}:
                lease.poll()
                await asyncio.sleep(0.05)

    try:
        await held(20)
        # The group has hardly noticed by then, or has not: the lease must not wait for it to.
        await asyncio.sleep(TAKEOVER_S + 0.1)
        assert lease.is_overdue
        lease.poll()
        assert lease.held == frozenset()
        await held(20)
    finally:
        await lease.close()


async def test_shards_share_the_symbols_of_a_market(topics: Topics) -> None:
    # As many shards as partitions: the group then gives each process the same number of them.
    bases = ("BTC", "ETH", "DOGE", "ADA", "SOL", "XRP", "LTC", "DOT", "TRX", "BCH", "FIL")
    symbols = list({shard_of(f"{base}/USDT", PARTITIONS): f"{base}/USDT" for base in bases}.values())
    assert len(symbols) == PARTITIONS
    market = WatchedMarket(symbols, 10.0)
    names = ("first", "second")
    stops = {name: asyncio.Event() for name in names}
    running: dict[str, asyncio.Task[Any]] = {}
    async with trading(market) as server:
        common = settings_for(topics, server, symbols=symbols, shards=PARTITIONS, lossless=False)
        for name in names:
            settings = common.model_copy(update={"run_id": name})
            running[name] = asyncio.create_task(stage.run(settings, stops[name]))
        expected = {f"binance-spot-{number}" for number in range(PARTITIONS)}
        await until(lambda: len({run for _, run in instances(topics)}) == 2, 20, "each process has shards")
        await until(lambda: {source for source, _ in instances(topics)} == expected, 20, "all are fed")
        stops["first"].set()
        await asyncio.wait_for(running["first"], 20)
        await until(lambda: feeders(topics) == dict.fromkeys(expected, "second"), 10, "the other has all")
        stops["second"].set()
        await asyncio.wait_for(running["second"], 20)
    assert_exact(topics, market)
    last = finals(topics)
    assert len(last) == PARTITIONS * PARTITIONS
    assert {mark.source for mark in last} == expected


async def test_a_process_with_a_name_has_its_shard_back_at_once(topics: Topics, tmp_path: Path) -> None:
    # Last of all here: the group keeps the name's place for a minute, which would hold up the next test.
    market = WatchedMarket(["BTC/USDT"], RATE)
    async with trading(market) as server:
        only = ProducerProcess(topics.servers, server, tmp_path, "only", instance_id="one", takeover_s=60)
        try:
            await until(lambda: bool(marks_of(topics, "only")), 30, "it feeds")
            only.kill()
            before = len(marks_of(topics, "only"))
            only.restart()
            await until(lambda: len(marks_of(topics, "only")) > before + PARTITIONS, 20, "it feeds again")
            assert await only.stop() == 0
        finally:
            only.end()
    assert_exact(topics, market)


def feeders(topics: Topics) -> dict[str, str]:
    """Which run wrote the newest mark of each source."""
    marks = sorted(topics.records(TRADES.name, TimeMark), key=lambda mark: mark.time)
    return {mark.source: mark.instance for mark in marks}


def assert_nothing_behind_marks(topics: Topics) -> None:
    """In no partition a trade follows a mark of its source that covers it, unless it is a repeat."""
    marked: dict[int, int] = {}
    seen: set[tuple[str, int | None]] = set()
    for stored in topics.read(TRADES.name):
        record = stored.record
        if isinstance(record, TimeMark):
            marked[stored.partition] = max(record.time, marked.get(stored.partition, 0))
        elif isinstance(record, Trade):
            is_new = (record.symbol, record.sequence) not in seen
            seen.add((record.symbol, record.sequence))
            assert not is_new or record.event_time >= marked.get(stored.partition, 0) // 1_000 * 1_000
