"""Events for the people who operate the pipeline: CloudEvents in the system topic."""

import uuid
from datetime import UTC, datetime
from typing import Final

from infra.clock import Clock
from infra.kafka.publisher import Publisher
from schemas.event_types import checked
from schemas.records import Severity, SystemEvent
from schemas.topics import SYSTEM_EVENTS

SPEC_VERSION: Final = "1.0"


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
            message=message,
            data={name: str(value) for name, value in data.items()},
            event_time=self._clock.now_us(),
        )
        when = datetime.fromtimestamp(event.event_time / 1_000_000, UTC).isoformat()
        headers = [
            ("ce_id", event.id),
            ("ce_type", event.type),
            ("ce_source", f"/kandle/producers/{self._source}"),
            ("ce_time", when),
            ("ce_specversion", SPEC_VERSION),
        ]
        await self._publisher.publish(SYSTEM_EVENTS.name, event, key=self._source, headers=headers)
