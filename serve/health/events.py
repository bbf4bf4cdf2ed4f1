"""What the monitor tells, as events of system.events.v1."""

from typing import Final

from infra.health.service import Notice
from infra.kafka.event_headers import event_headers
from infra.kafka.publisher import Publisher
from infra.logging import get_logger
from infra.settings import KafkaSettings
from schemas.errors import KandleError
from schemas.event_types import checked
from schemas.records import Severity, SystemEvent
from schemas.topics import SYSTEM_EVENTS
from serve.health.checks import VENUE_PREFIX

CLOSE_S: Final = 1.0
SEVERITIES: Final[dict[str, Severity]] = {"failed": "warning", "alert": "error", "recovered": "info"}
"""Who is told of errors alone is told once in a streak: the contract knows nothing worse than an error."""

log = get_logger(__name__)


class HealthEvents:
    """Publishes notices; a broker that is away gets them when it is back.

    Args:
        kafka: Where it is.
        every_s: Notices of one service and kind within this time have the same id: those that two servers
            make of the same failure are one to whoever stores or forwards them.
    """

    def __init__(self, kafka: KafkaSettings, every_s: float) -> None:
        self._kafka = kafka
        self._every_us = round(every_s * 1e6)
        self._publisher: Publisher | None = None

    async def publish(self, notice: Notice) -> None:
        """Hand over one notice; does not wait for the broker."""
        if self._publisher is None:
            self._publisher = Publisher(self._kafka, client_id="kandle-health")
        event = event_of(notice, self._every_us)
        headers = event_headers(event, event.source)
        await self._publisher.publish(SYSTEM_EVENTS.name, event, key=event.source, headers=headers)

    def settle(self) -> None:
        """Count what became of the notices before; call now and then."""
        if self._publisher is not None:
            self._publisher.poll()

    async def close(self) -> None:
        """Wait a moment for the broker; what it does not take by then is lost."""
        if self._publisher is not None:
            try:
                await self._publisher.close(CLOSE_S)
            except KandleError as error:
                log.warning("events of the health monitor are lost", error=str(error))


def event_of(notice: Notice, every_us: int) -> SystemEvent:
    """The event that a notice is.

    Args:
        notice: What the monitor tells.
        every_us: Length of the times within which ids are the same, µs.
    """
    name, result = notice.service, notice.result
    checks = "check" if notice.failures == 1 else "checks"
    texts = {
        "failed": f"{name} is not healthy: {result.message}",
        "alert": f"{name} has failed {notice.failures} checks in a row: {result.message}",
        "recovered": f"{name} is healthy again, after {notice.failures} failed {checks}",
    }
    details: dict[str, object] = {
        **{key: value for key, value in result.details.items() if value is not None},
        "service": name,
        "state": result.state,
        "critical": str(notice.critical).lower(),
        "failures": notice.failures,
        "alerted": str(notice.was_alerted).lower(),
        "response_ms": round(result.response_s * 1_000, 1),
    }
    if name.startswith(VENUE_PREFIX):
        details["venue"] = name.removeprefix(VENUE_PREFIX)
    return SystemEvent(
        id=f"health_check/{notice.kind}/{name}/{result.time // every_us}",
        type=checked(f"health_check.{notice.kind}"),
        source=f"health/{name}",
        severity=SEVERITIES[notice.kind],
        message=texts[notice.kind],
        data={key: str(value) for key, value in details.items()},
        event_time=result.time,
    )
