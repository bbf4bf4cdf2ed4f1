"""What a notification says."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Final

from schemas.records import Notification, Signal

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
SIGNAL_TYPE: Final = "strategy.signal"
"""`ce_type` of a signal."""


@dataclass(frozen=True, slots=True)
class Message:
    """Plain text for a channel."""

    subject: str
    body: str


def message_of(signal: Signal) -> Message:
    """The message of a signal; the same for every repeat of it."""
    time = (_EPOCH + dt.timedelta(microseconds=signal.event_time)).isoformat(sep=" ", timespec="seconds")
    lines = [
        f"{signal.rule} says {signal.direction} with strength {signal.strength:.3g}.",
        f"{signal.symbol} on {signal.venue}, {_seen(signal.interval)}, {time}.",
        *(f"{name}: {value:.10g}" for name, value in signal.values.items()),
    ]
    if not signal.complete:
        lines.append("Some of the candles it saw miss trades.")
    subject = f"{signal.symbol} {signal.direction}: {signal.rule} ({signal.venue}, {signal.interval})"
    return Message(subject, "\n".join(lines))


def _seen(interval: str) -> str:
    """What a rule looked at: candles, or for a price alert a trade."""
    return "at a trade" if interval == "trade" else f"{interval} candles"


def notification_of(signal: Signal, channel: str, message: Message) -> Notification:
    """The record that says that a message was delivered; its id is that of every repeat."""
    return Notification(
        id=f"notification/{channel}/{signal.id}",
        type=SIGNAL_TYPE,
        channel=channel,
        subject=message.subject,
        body=message.body,
        cause_id=signal.id,
        event_time=signal.event_time,
    )
