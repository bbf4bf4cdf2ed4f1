"""What the runner makes of what a destination says, on a real Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from aiokafka import TopicPartition

from infra.kafka.admin import Admin
from infra.kafka.dead_letters import DeadLetters
from infra.kafka.publisher import Publisher
from infra.settings import KafkaSettings
from schemas.topics import TRADES, Topic
from sinks.destination import Destination, Place
from sinks.destination import Log as Held
from sinks.portion import Portion, Slice
from sinks.positions import PartitionRef
from sinks.runner import Runner
from tests.sink_harness import Log, fresh_topics, settings_for, trade, until


class Overtaken(Destination):
    """Others store while it looks up where to begin: what has come since the runner asked Kafka, too."""

    name = "overtaken"

    def __init__(self, kafka: KafkaSettings, log: Log) -> None:
        self._admin = Admin(kafka)
        self._log = log
        self.placed = 0
        self.kept: list[int] = []

    @property
    def topics(self) -> Sequence[Topic]:
        return [TRADES]

    def inspect(self, slice_: Slice) -> None:
        pass

    async def place(self, logs: Mapping[TopicPartition, Held]) -> Mapping[TopicPartition, Place]:
        self._log.put(TRADES, 0, [trade(number) for number in range(5)])
        ranges = await asyncio.to_thread(self._admin.log_ranges, [tuple(tp) for tp in logs])
        self.placed += 1
        return {tp: Place(PartitionRef(0, tp.partition, tp.topic), ranges[tuple(tp)][1]) for tp in logs}

    async def store(self, portion: Portion) -> None:
        self.kept += [slice_.expected for slice_ in portion.slices]

    def is_passing(self, error: Exception) -> bool:
        return False


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
