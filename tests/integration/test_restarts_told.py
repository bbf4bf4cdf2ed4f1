"""A restart by the supervisor stands in the topic of events, as a real broker has it."""

import asyncio
import uuid

from infra.embedded.supervisor import Restart
from infra.kafka.admin import Admin
from infra.settings import KafkaSettings
from kandle.up.restart_events import RestartEvents, event_of
from schemas.records import SystemEvent
from schemas.topics import SYSTEM_EVENTS
from tests.producer_harness import Topics


async def test_restarts_are_published_also_those_from_before_kafka_was_known(kafka: str) -> None:
    settings = KafkaSettings(bootstrap_servers=kafka)
    await asyncio.to_thread(Admin(settings).ensure_topics, [SYSTEM_EVENTS])
    run = uuid.uuid4().hex
    events = RestartEvents(run)
    restarts = [Restart("kafka", 1, "kafka ended with signal SIGKILL", 2.0), Restart("sink", 1, "gone", 1.0)]
    events.take(restarts[0])
    events.start(settings)
    events.take(restarts[1])

    def told() -> dict[str, SystemEvent]:
        found = {}
        for stored in Topics(kafka).read(SYSTEM_EVENTS.name):
            if isinstance(record := stored.record, SystemEvent) and run in record.id:
                assert stored.headers["ce_type"].decode() == record.type
                found[record.id] = record
        return found

    async with asyncio.timeout(60):
        while len(found := await asyncio.to_thread(told)) < len(restarts):
            await asyncio.sleep(0.1)
    await events.close()
    for restart in restarts:
        record = found[f"restart/{run}/{restart.name}/1"]
        assert record == event_of(restart, run, record.event_time)
