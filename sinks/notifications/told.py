"""Records of what a channel did: a message was delivered, or no more are sent for now."""

from __future__ import annotations

from schemas.event_types import checked
from schemas.records import Notification, SystemEvent
from sinks.notifications.message import Message
from sinks.notifications.occasion import Occasion
from sinks.notifications.routing import OWN_SOURCE


def notification_of(occasion: Occasion, channel: str, key: str, message: Message) -> Notification:
    """The record that says that a message was delivered; its id is that of every repeat.

    Args:
        occasion: The first that it tells of.
        channel: Name of the channel.
        key: Of the message.
        message: As sent.
    """
    return Notification(
        id=f"notification/{channel}/{key}",
        type=occasion.cause_type,
        channel=channel,
        subject=message.subject,
        body=message.text,
        cause_id=occasion.id,
        event_time=occasion.event_time,
    )


def suspension_of(channel: str, key: str, error: Exception, now_us: int) -> SystemEvent:
    """The event that says that a channel is suspended: other channels may tell of it.

    Args:
        channel: Name of the channel.
        key: Of the message that failed last: a repeat of it gives the same event.
        error: Why it failed.
        now_us: The time, µs since the epoch.
    """
    return SystemEvent(
        id=f"suspended/{channel}/{key}",
        type=checked("circuit_breaker.open"),
        source=f"{OWN_SOURCE}{channel}",
        severity="error",
        message=f"messages to channel {channel} are suspended, since too many have failed: {error}",
        data={"channel": channel},
        event_time=now_us,
    )
