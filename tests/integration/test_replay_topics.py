"""Replays of topics on a real broker: what arrives is what stood there, whatever happens on the way."""

import asyncio
from contextlib import aclosing

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from backtest.replay.pace import Pace
from backtest.replay.source import Partition, Period
from backtest.replay.sources.topics import TopicSource
from schemas import rows
from schemas.errors import ConflictError
from schemas.namespace import Namespace
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


async def first_value(source: TopicSource, period: Period, after: int) -> bytes | None:
    """The first record of the trades of partition 0 that is yielded after a position."""
    tp = Partition(TRADES.base_name, 0)
    found = None
    for stream in source.streams([tp.topic], period, {tp: after}):
        async with aclosing(stream):
            async for step in stream:
                for portion in step.portions:
                    if portion.partition == tp and len(portion):
                        found = found or portion.values.value(0)
    return found


async def test_what_tells_no_time_is_taken_alike_by_who_begins_and_by_who_goes_on(
    kafka: str, past: tuple[Past, TopicSource]
) -> None:
    stood = past[0].messages[Partition(TRADES.base_name, 0)]
    place = [value for _, value in stood].index(b"no record")
    for period in (Period(BASE_US), Period(None, BASE_US + 10**9), Period()):
        assert await first_value(past[1], period, place - 1) == b"no record"


async def test_a_replay_of_a_replay_begins_with_the_past_and_leaves_the_end_of_the_first_one_out(
    kafka: str, past: tuple[Past, TopicSource]
) -> None:
    settings, first, second = kafka_settings(kafka), namespace(), namespace()
    await replayed(settings, past[1], first)
    source = TopicSource.open(settings, first)
    assert (await source.times(Period()) or (0, 0))[0] > BASE_US - 10_000_000
    await replayed(settings, source, second)
    for tp, stood in past[0].messages.items():
        assert await messages(settings, second, tp) == stood


async def test_a_log_that_has_lost_what_is_next_is_told(kafka: str, past: tuple[Past, TopicSource]) -> None:
    tp = Partition(TRADES.base_name, 0)
    space = Namespace(past[1].identity.split(":")[0].removeprefix("topics of "))
    client = AdminClient({"bootstrap.servers": kafka})
    for done in client.delete_records([TopicPartition(space.name_of(tp.topic), 0, 20)]).values():
        done.result()
    source = TopicSource.open(kafka_settings(kafka), space)
    assert await first_value(source, Period(), 19) == past[0].messages[tp][20][1]
    with pytest.raises(ConflictError, match="begins with offset 20, the replay stands at 12"):
        await first_value(source, Period(), 12)
