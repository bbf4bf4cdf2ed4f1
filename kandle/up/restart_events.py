"""What a supervisor has started again, as events of system.events.v1."""

import asyncio
import time
from typing import Final

from infra.embedded.supervisor import Restart
from infra.kafka.event_headers import event_headers
from infra.kafka.publisher import Publisher
from infra.logging import get_logger
from infra.settings import KafkaSettings
from schemas.errors import KandleError
from schemas.event_types import checked
from schemas.records import SystemEvent
from schemas.topics import SYSTEM_EVENTS

CLOSE_S: Final = 2.0

log = get_logger(__name__)


class RestartEvents:
    """Publishes restarts; while Kafka is away, or is what was restarted, they wait, and nobody else does.

    Args:
        run_id: Of the run, in the ids of the events.
    """

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self._restarts: asyncio.Queue[Restart] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    def take(self, restart: Restart) -> None:
        """Have a restart published; never blocks."""
        self._restarts.put_nowait(restart)

    def start(self, kafka: KafkaSettings) -> None:
        """Begin to publish, those first that were taken before."""
        self._task = asyncio.create_task(self._publish(kafka))

    async def close(self) -> None:
        """Stop; what Kafka does not take within `CLOSE_S` is lost, and said in the log."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _publish(self, kafka: KafkaSettings) -> None:
        restart = await self._restarts.get()
        # Most runs restart nothing: they need no producer.
        publisher = Publisher(kafka, client_id="kandle-up")
        try:
            while True:
                event = event_of(restart, self._run_id, time.time_ns() // 1_000)
                headers = event_headers(event, event.source)
                await publisher.publish(SYSTEM_EVENTS.name, event, key=event.source, headers=headers)
                restart = await self._restarts.get()
        finally:
            try:
                await publisher.close(CLOSE_S)
            except KandleError as error:
                log.warning("events of restarts are lost", error=str(error))


def event_of(restart: Restart, run_id: str, now_us: int) -> SystemEvent:
    """The event that tells of a restart."""
    return SystemEvent(
        id=f"restart/{run_id}/{restart.name}/{restart.count}",
        type=checked("stage.restarted"),
        source=f"stage/{restart.name}",
        severity="warning",
        message=f"{restart.problem}; it runs again after {restart.away_s:.1f} s",
        data={
            "stage": restart.name,
            "restarts": str(restart.count),
            "problem": restart.problem,
            "away_s": f"{restart.away_s:.1f}",
        },
        event_time=now_us,
    )
