"""The CloudEvents attributes of events for people, as headers of a record (binary mode)."""

from datetime import UTC, datetime
from typing import Final

from schemas.event_types import checked
from schemas.records import Notification, SystemEvent

SPEC_VERSION: Final = "1.0"
SENT: Final = checked("notification.sent")
"""What has happened by a notification; its field `type` says what its cause was."""


def event_headers(event: SystemEvent | Notification, place: str) -> list[tuple[str, str | bytes | None]]:
    """The headers of an event.

    Args:
        event: The event, or the record of a message that was delivered.
        place: What reports it: the path of `ce_source` after /kandle/.
    """
    when = datetime.fromtimestamp(event.event_time / 1_000_000, UTC).isoformat()
    return [
        ("ce_id", event.id),
        ("ce_type", SENT if isinstance(event, Notification) else event.type),
        ("ce_source", f"/kandle/{place}"),
        ("ce_time", when),
        ("ce_specversion", SPEC_VERSION),
    ]
