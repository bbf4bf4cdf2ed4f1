"""Events for the people who operate the pipeline: CloudEvents in the system topic."""

import asyncio
import uuid
from typing import Final

from infra.clock import Clock
from infra.kafka.event_headers import event_headers
from infra.kafka.publisher import Publisher
from infra.resilience.events import ResilienceEvent
from infra.secrets import MASK
from schemas.event_types import checked
from schemas.records import Severity, SystemEvent
from schemas.topics import SYSTEM_EVENTS

TAKEN_MAX: Final = 1_000
"""Events that wait to be published, at most: they are for people, who would read no more."""


class SystemEvents:
    """Publishes events of one source.

    Args:
        publisher: Writes them.
        source: Stage or shard that reports; the key, so that its events stay in order.
        clock: Tells when an event happened.
    """

    def __init__(self, publisher: Publisher, source: str, clock: Clock) -> None:
        self._publisher = publisher
        self._source = source
        self._clock = clock
        self._taken: asyncio.Queue[ResilienceEvent] = asyncio.Queue()

    async def report(
        self, kind: str, severity: Severity, message: str, event_id: str | None = None, **data: object
    ) -> None:
        """Publish one event.

        Args:
            kind: One of `schemas.event_types`, in use.
            severity: How much it matters.
            message: One sentence for people.
            event_id: Id where the event follows from market data and may be told twice; else a fresh one.
            **data: Details by name.

        Raises:
            ValidationError: The kind is unknown or only reserved.
        """
        event = SystemEvent(
            id=event_id or uuid.uuid4().hex,
            type=checked(kind),
            source=self._source,
            severity=severity,
            message=MASK.masked(message),
            data={name: MASK.masked(str(value)) for name, value in data.items()},
            event_time=self._clock.now_us(),
        )
        headers = event_headers(event, f"producers/{self._source}")
        await self._publisher.publish(SYSTEM_EVENTS.name, event, key=self._source, headers=headers)

    def take(self, event: ResilienceEvent) -> None:
        """Have an event of outgoing calls published by `run`; never blocks, what is too much is dropped."""
        if self._taken.qsize() < TAKEN_MAX:
            self._taken.put_nowait(event)

    async def run(self) -> None:
        """Publish what `take` was given; runs until it is cancelled."""
        while True:
            event = await self._taken.get()
            await self.report(event.kind, event.severity, event.message, None, **event.data)
