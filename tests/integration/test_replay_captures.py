"""Replays of a capture: equal topics at every speed, and after an interruption."""

import asyncio
from pathlib import Path

import pytest

from backtest.replay.pace import MAX, Pace
from backtest.replay.plan import Plan
from backtest.replay.run import Replay
from backtest.replay.source import Partition, Period
from backtest.replay.sources.capture import CaptureSource
from infra.settings import KafkaSettings
from schemas.namespace import Namespace
from tests.replay_harness import PARTITIONS, Message, kafka_settings, messages, namespace, replayed
from tests.venue_captures import START_US, write_market

Topics = dict[Partition, list[Message]]


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    return write_market(tmp_path / "made.capture.gz", "binance", "spot", seconds=8.0)


def source_of(capture: Path) -> CaptureSource:
    return CaptureSource(capture, PARTITIONS)


async def topics_of(kafka: KafkaSettings, space: Namespace, source: CaptureSource) -> Topics:
    return {tp: await messages(kafka, space, tp) for tp in source.partitions}


async def topics_at(kafka: KafkaSettings, capture: Path, period: Period, speed: float) -> Topics:
    space, source = namespace(), source_of(capture)
    outcome = await replayed(kafka, source, space, period=period, pace=Pace(speed))
    assert outcome.is_complete
    return await topics_of(kafka, space, source)


async def test_topics_are_equal_at_every_speed(kafka: str, capture: Path) -> None:
    settings = kafka_settings(kafka)
    part = Period(START_US + 3_000_000, START_US + 4_000_000)
    fast = await topics_at(settings, capture, part, MAX)
    assert sum(map(len, fast.values())) > 60
    for speed in (1.0, 10.0):
        assert await topics_at(settings, capture, part, speed) == fast


@pytest.mark.full
async def test_a_replay_that_was_stopped_goes_on_where_it_stood(kafka: str, capture: Path) -> None:
    settings, space = kafka_settings(kafka), namespace()
    stop, counts = asyncio.Event(), []

    def told(count: int) -> None:
        counts.append(count)
        if sum(counts) > 300:
            stop.set()

    source = source_of(capture)
    plan = Plan(source.identity, Period(), {tp.topic for tp in source.partitions})
    first = await Replay(settings, source, plan, space, Pace(40.0), told).run(stop)
    assert not first.is_complete
    again = source_of(capture)
    rest = await replayed(settings, again, space)
    assert rest.is_complete
    assert rest.held >= 300
    assert await topics_of(settings, space, again) == await topics_at(settings, capture, Period(), MAX)
