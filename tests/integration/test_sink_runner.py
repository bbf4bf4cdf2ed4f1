"""What the runner makes of what a destination says, on a real Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from aiokafka import TopicPartition
from prometheus_client import REGISTRY

from infra.kafka.admin import Admin
from infra.kafka.dead_letters import DeadLetters
from infra.kafka.publisher import Publisher
from infra.probes import READINESS
from infra.settings import KafkaSettings
from schemas.topics import TRADES, Topic
from sinks.destination import Destination, Place
from sinks.destination import Log as Held
from sinks.portion import Portion, Slice
from sinks.positions import PartitionRef
from sinks.runner import Runner
from tests.sink_harness import PARTITIONS, Log, fresh_topics, settings_for, trade, until


class OfTrades(Destination):
    """Takes all trades as they are; every failure is for good."""

    @property
    def topics(self) -> Sequence[Topic]:
        return [TRADES]

    def inspect(self, slice_: Slice) -> None:
        pass

    def is_passing(self, error: Exception) -> bool:
        return False


class Overtaken(OfTrades):
    """Others store while it looks up where to begin: what has come since the runner asked Kafka, too."""

    name = "overtaken"

    def __init__(self, kafka: KafkaSettings, log: Log) -> None:
        self._admin = Admin(kafka)
        self._log = log
        self.placed = 0
        self.kept: list[int] = []

    async def place(self, logs: Mapping[TopicPartition, Held]) -> Mapping[TopicPartition, Place]:
        self._log.put(TRADES, 0, [trade(number) for number in range(5)])
        ranges = await asyncio.to_thread(self._admin.log_ranges, [tuple(tp) for tp in logs])
        self.placed += 1
        return {tp: Place(PartitionRef(0, tp.partition, tp.topic), ranges[tuple(tp)][1]) for tp in logs}

    async def store(self, portion: Portion) -> None:
        self.kept += [slice_.expected for slice_ in portion.slices]


class Kept(OfTrades):
    """Keeps positions in memory."""

    name = "kept"

    def __init__(self) -> None:
        self.next: dict[TopicPartition, int] = {}

    async def place(self, logs: Mapping[TopicPartition, Held]) -> Mapping[TopicPartition, Place]:
        return {
            tp: Place(PartitionRef(0, tp.partition, tp.topic), self.next.setdefault(tp, held.first))
            for tp, held in logs.items()
        }

    async def store(self, portion: Portion) -> None:
        for slice_ in portion.slices:
            self.next[TopicPartition(slice_.ref.topic, slice_.ref.partition)] = slice_.next_offset


async def test_a_sink_is_ready_while_others_have_all_partitions_and_takes_over_from_them(kafka: str) -> None:
    settings = settings_for(kafka, "")
    await asyncio.to_thread(fresh_topics, settings.kafka)
    publisher = Publisher(settings.kafka, client_id="test")
    destination, stops = Kept(), [asyncio.Event() for _ in range(PARTITIONS + 1)]
    runners = [Runner(settings, destination, DeadLetters(publisher, "sink")) for _ in stops]
    for number, runner in enumerate(runners):
        # They share the probes of this process.
        runner._stage = f"sink-kept-{number}"
    tasks = [asyncio.create_task(runner.run(stop)) for runner, stop in zip(runners, stops, strict=True)]

    def ready() -> list[str]:
        return [
            name
            for name, check in READINESS.checks.items()
            if name.startswith("sink-kept-") and check == "ok"
        ]

    try:
        await until(lambda: len(ready()) == len(runners), 60)
        (standby,) = [number for number, runner in enumerate(runners) if runner._intake.stands_by]
        assert REGISTRY.get_sample_value("kandle_ready", {"stage": f"sink-kept-{standby}"}) == 1
        for number, stop in enumerate(stops):
            if number != standby:
                stop.set()
                await tasks[number]
        Log(kafka).put(TRADES, 0, [trade(1)])
        await until(lambda: destination.next.get(TopicPartition(TRADES.name, 0)) == 1, 60)
    finally:
        for stop in stops:
            stop.set()
        await asyncio.gather(*tasks)
        await publisher.close()
        for number in range(len(runners)):
            READINESS.forget(f"sink-kept-{number}")


async def test_a_position_beyond_what_the_log_held_a_moment_ago_is_none_that_is_lost(kafka: str) -> None:
    settings = settings_for(kafka, "")
    fresh_topics(settings.kafka)
    log = Log(kafka)
    destination = Overtaken(settings.kafka, log)
    publisher = Publisher(settings.kafka, client_id="test")
    stop = asyncio.Event()
    runner = Runner(settings, destination, DeadLetters(publisher, "sink"))
    task = asyncio.create_task(runner.run(stop))
    await until(lambda: destination.placed > 0, task=task)
    log.put(TRADES, 0, [trade(5)])
    await until(lambda: destination.kept != [], task=task)
    stop.set()
    await task
    await publisher.close()
    assert destination.kept == [5]
