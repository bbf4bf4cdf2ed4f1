"""Replays of topics on a real broker: what arrives is what stood there, whatever happens on the way."""

import asyncio

import pytest

from backtest.replay.pace import Pace
from backtest.replay.source import Period
from backtest.replay.sources.topics import TopicSource
from schemas import rows
from schemas.errors import ConflictError
from schemas.records import Gap, Trade
from schemas.topics import INSTRUMENTS, TRADES
from tests.replay_harness import (
    BASE_US,
    Past,
    kafka_settings,
    messages,
    namespace,
    replay_of,
    replayed,
    some_past,
    written,
)


@pytest.fixture
async def past(kafka: str) -> tuple[Past, TopicSource]:
    """Records in topics of their own, and these as a source."""
    space, found = namespace(), some_past()
    await found.publish(kafka_settings(kafka), space)
    return found, TopicSource.open(kafka_settings(kafka), space)


async def test_every_partition_arrives_as_it_stood_and_another_replay_is_refused(
    kafka: str, past: tuple[Past, TopicSource]
) -> None:
    settings, into = kafka_settings(kafka), namespace()
    outcome = await replayed(settings, past[1], into)
    assert outcome.is_complete
    for tp, stood in past[0].messages.items():
        assert await messages(settings, into, tp) == stood
    found = await written(settings, into, TRADES.base_name, 0)
    assert len({one.replay_id for one in found}) == 1
    assert [one.position for one in found] == [*range(len(found) - 1), 2**63 - 1]
    with pytest.raises(ConflictError, match=f"kandle replay --drop {into.prefix}"):
        await replayed(settings, past[1], into, period=Period(BASE_US))


async def test_a_replay_that_was_stopped_goes_on_where_it_stood(
    kafka: str, past: tuple[Past, TopicSource]
) -> None:
    settings, into = kafka_settings(kafka), namespace()
    pace = Pace(100.0)
    stop = asyncio.Event()
    replay = replay_of(settings, past[1], into, pace=pace)
    running = asyncio.create_task(replay.run(stop))
    while pace.newest_us is None or pace.newest_us < BASE_US + 5_000_000:
        await asyncio.sleep(0.005)
    stop.set()
    first = await running
    assert not first.is_complete
    second = await replayed(settings, past[1], into)
    assert second.is_complete
    assert second.held == first.records.total() > 100
    for tp, stood in past[0].messages.items():
        assert await messages(settings, into, tp) == stood
    third = await replayed(settings, past[1], into)
    assert third.is_complete
    assert third.records.total() == 0


async def test_a_period_holds_its_records_in_their_order(kafka: str, past: tuple[Past, TopicSource]) -> None:
    settings, into = kafka_settings(kafka), namespace()
    period = Period(BASE_US + 13_000_000, BASE_US + 18_000_000)
    await replayed(settings, past[1], into, period=period)
    for tp, stood in past[0].messages.items():
        found = await messages(settings, into, tp)
        if tp.topic == INSTRUMENTS.base_name:
            assert found == stood
            continue
        places = [stood.index(message) for message in found]
        assert places == sorted(places)
        assert 0 < len(found) < len(stood)
        for _, value in found:
            record = rows.decode(value) if value != b"no record" else None
            if isinstance(record, Trade):
                assert BASE_US + 13_000_000 <= record.event_time < BASE_US + 18_000_000
            if isinstance(record, Gap):
                assert record.from_time < BASE_US + 13_000_000
