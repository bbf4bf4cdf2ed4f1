"""A capture as a source of a replay: what it holds, where it goes on, and that it is what producers write."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest

from backtest.replay.event_times import time_of
from backtest.replay.source import MARKET, REPLAYED, Partition, Period, Step
from backtest.replay.sources.capture import CaptureSource
from producers.capture import summarize
from producers.exchange import Channel
from producers.outlet import MARKET_RECORDS
from producers.simulator.offline_feed import recorded_channels
from producers.simulator.playback import Playback
from schemas import rows
from schemas.records import Gap, Instrument, Record, TimeMark
from schemas.topics import BY_BASE_NAME
from tests.producer_harness import Topics, feed
from tests.venue_captures import write_market

ALL: tuple[Channel, ...] = ("trades", "quotes", "books", "tickers", "candles", "derivatives", "liquidations")
CHOSEN: tuple[Channel, ...] = ("trades", "quotes")
PARTITIONS = 4

Log = dict[Partition, list[tuple[str | None, Record]]]


@pytest.fixture
def topics(kafka: str) -> Topics:
    found = Topics(kafka)
    found.renew()
    return found


@pytest.fixture
def made(tmp_path: Path) -> Path:
    return write_market(tmp_path / "made.capture.gz", "binance", "usdm", seconds=8.0)


def plain(record: Record) -> Record:
    """A record without what names the run and the moment of reading."""
    if isinstance(record, TimeMark):
        return msgspec.structs.replace(record, instance="")
    if isinstance(record, MARKET_RECORDS):
        return msgspec.structs.replace(record, receive_time=0)
    return msgspec.structs.replace(record, event_time=0) if isinstance(record, Instrument) else record


async def steps_of(
    source: CaptureSource, period: Period | None = None, after: Mapping[Partition, int] | None = None
) -> list[Step]:
    topics = {partition.topic for partition in source.partitions}
    streams = source.streams(topics, period or Period(), after or {})
    return [step for stream in streams async for step in stream]


def log_of(steps: Iterable[Step]) -> tuple[Log, dict[Partition, list[int]]]:
    """Keys and records of each partition, and their positions."""
    log: Log = {}
    positions: dict[Partition, list[int]] = {}
    for step in steps:
        for portion in step.portions:
            own = log.setdefault(portion.partition, [])
            for row in range(len(portion)):
                key = portion.keys.value(row)
                own.append((None if key is None else key.decode(), rows.decode(portion.values.value(row))))
            positions.setdefault(portion.partition, []).extend(portion.positions.tolist())
    return {name: found for name, found in log.items() if found}, positions


def log_in(topics: Topics, names: Sequence[str]) -> Log:
    log: Log = {}
    for name in names:
        for stored in topics.read(BY_BASE_NAME[name].name):
            log.setdefault(Partition(name, stored.partition), []).append((stored.key, stored.record))
    return log


def compared(log: Log) -> Log:
    return {name: [(key, plain(record)) for key, record in found] for name, found in log.items()}


async def assert_equals_a_run(topics: Topics, path: Path, channels: Sequence[Channel]) -> Log:
    summary = summarize(path)
    source = CaptureSource(path, topics.settings.partitions, channels)
    await feed(
        topics,
        Playback(path, "max"),
        venue=summary.venue,
        market=summary.market,
        symbols=list(summary.symbols),
        aggregated_symbols=summary.aggregated_symbols,
        channels=list(channels),
    )
    log, _ = log_of(await steps_of(source))
    written = log_in(topics, sorted({partition.topic for partition in source.partitions}))
    assert compared(log) == compared(written)
    return log


@pytest.mark.parametrize(
    "name",
    [
        "binance-spot-2021",
        pytest.param("gateio-spot-2021", marks=pytest.mark.full),
        pytest.param("binance-spot-btcusdt", marks=pytest.mark.full),
        pytest.param("binance-usdm-btcusdt", marks=pytest.mark.full),
    ],
)
async def test_a_capture_gives_what_producers_write_of_it(name: str, captures: Path, topics: Topics) -> None:
    path = captures / f"{name}.capture.gz"
    log = await assert_equals_a_run(topics, path, recorded_channels(summarize(path)))
    assert {partition.topic for partition in log} >= {"reference.instruments.v1", "market.trades.v1"}


async def test_it_goes_on_after_any_position(made: Path) -> None:
    whole, positions = log_of(await steps_of(CaptureSource(made, PARTITIONS, ALL)))
    assert all(found == list(range(len(found))) for found in positions.values())
    after = {partition: len(found) // 3 for partition, found in whole.items()}
    rest, positions = log_of(await steps_of(CaptureSource(made, PARTITIONS, ALL), after=after))
    expected = {partition: found[after[partition] + 1 :] for partition, found in whole.items()}
    assert rest == {partition: found for partition, found in expected.items() if found}
    assert all(found[0] == after[partition] + 1 for partition, found in positions.items() if found)


async def test_a_period_leaves_out_what_is_before_and_after_it(made: Path) -> None:
    whole, positions = log_of(await steps_of(CaptureSource(made, PARTITIONS, ALL)))
    first, last = await CaptureSource(made, PARTITIONS, ALL).times(Period()) or (0, 0)
    period = Period(first + 2_000_000, first + 5_000_000)
    part, places = log_of(await steps_of(CaptureSource(made, PARTITIONS, ALL), period))
    market = {topic.base_name for topic in MARKET}
    for partition, records in whole.items():
        wanted = [
            (place, record)
            for place, record in zip(positions[partition], records, strict=True)
            if time_of(record[1]) < first + 5_000_000
            and (partition.topic not in market or time_of(record[1]) >= first + 2_000_000)
        ]
        assert part.get(partition, []) == [record for _, record in wanted]
        assert places.get(partition, []) == [place for place, _ in wanted]
    assert await CaptureSource(made, PARTITIONS, ALL).times(period) == (period.since, first + 4_999_999)
    assert last < first + 8_000_000


async def test_steps_cover_about_a_second_and_tell_how_far_they_have_come(made: Path) -> None:
    steps = await steps_of(CaptureSource(made, PARTITIONS, CHOSEN))
    for step in steps[1:]:
        times = np.concatenate([portion.times for portion in step.portions if len(portion)])
        assert step.reached == times.max()
        assert times.max() - times.min() < 1_500_000


async def test_the_identity_tells_data_and_choice_apart(made: Path, tmp_path: Path) -> None:
    other = write_market(tmp_path / "other.capture.gz", "binance", "usdm", seconds=7.0)
    names = [
        CaptureSource(made, PARTITIONS, ALL).identity,
        CaptureSource(other, PARTITIONS, ALL).identity,
        CaptureSource(made, 2, ALL).identity,
        CaptureSource(made, PARTITIONS, CHOSEN).identity,
        CaptureSource(made, PARTITIONS, ALL, ["binance:BTC/USDT:USDT"]).identity,
    ]
    assert len(set(names)) == len(names)
    assert CaptureSource(made, PARTITIONS, ALL).identity == names[0]


async def test_every_partition_that_holds_anything_is_named(made: Path) -> None:
    source = CaptureSource(made, PARTITIONS, ALL)
    log, _ = log_of(await steps_of(source))
    assert set(log) <= set(source.partitions)
    assert {partition.topic for partition in source.partitions} <= {topic.base_name for topic in REPLAYED}
    assert any(isinstance(record, Gap | TimeMark) for found in log.values() for _, record in found)
