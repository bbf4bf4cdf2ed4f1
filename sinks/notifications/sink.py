"""Signals and system events to notifications: queue what the rules want, and let the channels deliver."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import ClassVar, Final

from infra.clock import Clock, SystemClock
from infra.kafka.dead_letters import DeadLetters
from infra.kafka.publisher import Publisher
from infra.logging import get_logger
from infra.settings import Settings
from infra.tasks import until_one_ends
from schemas import topics
from schemas.records import Signal, SystemEvent
from schemas.topics import Topic
from sinks.database import Connection, Database
from sinks.notifications import outbox
from sinks.notifications.channel_locks import ChannelLocks
from sinks.notifications.delivery import Delivery, Means
from sinks.notifications.message import Templates
from sinks.notifications.occasion import occasion_of
from sinks.notifications.outbox import Queued
from sinks.notifications.routing import Routing
from sinks.portion import Portion, Slice
from sinks.positions import Counts, PartitionRef
from sinks.sink import Sink
from sinks.storable import LONGEST_BYTES, TIME_MAX_US, TIME_MIN_US, signal_fault

DRAIN_WAIT_S: Final = 60.0
"""How long a feed's final mark waits for the messages before it: the mark says that they are delivered."""
LOOK_EVERY_S: Final = 0.05

log = get_logger(__name__)


class NotificationSink(Sink):
    """Queues a cause for every channel that a rule gives it to; the channels deliver by themselves.

    Args:
        settings: Channels and rules, and how messages are sent.
        database: Where the ledger is.
        publisher: For the records that say what was sent.
        dead_letters: For what a channel does not take.
        clock: For quiet hours and the age of what is told.

    Raises:
        ConfigurationError: A URL, a type or a template is not as it should be.
    """

    name: ClassVar[str] = "notifications"

    def __init__(
        self,
        settings: Settings,
        database: Database,
        publisher: Publisher,
        dead_letters: DeadLetters,
        clock: Clock | None = None,
    ) -> None:
        chosen = settings.notifications
        self._routing = Routing(chosen)
        templates = Templates(chosen.templates, chosen.sender)
        self._locks = ChannelLocks(database)
        self._has_looked = False
        means = Means(self._locks, templates, publisher, dead_letters, clock or SystemClock())
        quiet = {rule.name: rule.quiet for rule in chosen.rules if rule.quiet is not None}
        self._deliveries = {
            name: Delivery(name, channel, self.name, chosen.limits_of(name), quiet, means)
            for name, channel in self._routing.channels.items()
        }

    @property
    def topics(self) -> Sequence[Topic]:
        """The signals, and what people who operate the pipeline want to know."""
        return [topics.SIGNALS, topics.SYSTEM_EVENTS]

    async def serve(self) -> None:
        """Serve all channels, for ever.

        Raises:
            KandleError: As `Delivery.run`.
        """
        if not self._deliveries:
            return
        try:
            await until_one_ends({name: delivery.run() for name, delivery in self._deliveries.items()})
        finally:
            await self._locks.close()

    def inspect(self, slice_: Slice) -> None:
        """Refuse signals and events that cannot be read."""
        if slice_.ref.topic == topics.SIGNALS.name:
            slice_.decode(Signal, signal_fault)
        else:
            slice_.decode(SystemEvent, _event_fault)

    async def restore(self, db: Connection, refs: Sequence[PartitionRef]) -> None:
        """Say, once, what waits for channels that have another name by now, or none."""
        if self._has_looked:
            return
        for channel, causes in (await outbox.stranded(db, list(self._deliveries))).items():
            log.warning(
                "notifications wait for a channel that the settings do not name",
                channel=channel,
                causes=causes,
            )
        self._has_looked = True

    async def prepare(self, db: Connection, portion: Portion) -> None:
        """Queue causes, before the offset moves; at the end of a feed, wait until they are delivered."""
        entries = [
            Queued(
                cause_id=occasion.id,
                channel=channel,
                rule=rule,
                type=occasion.type,
                severity=occasion.severity,
                ref=slice_.ref,
                offset=int(slice_.records.offsets[row]),
                key=slice_.records.key(row),
                value=slice_.columns.value(row) or b"",
                event_time=occasion.event_time,
                headers=slice_.records.headers(row),
            )
            for slice_ in portion.slices
            for row, record in slice_.decoded
            if isinstance(record, Signal | SystemEvent)
            for occasion in [occasion_of(record)]
            for channel, rule in self._routing.route(occasion).items()
        ]
        if entries:
            await outbox.queue(db, entries)
            for channel in {entry.channel for entry in entries}:
                self._deliveries[channel].wake()
        if self._deliveries and any(mark.final for slice_ in portion.slices for mark in slice_.marks()):
            await self._wait_until_delivered(db)

    async def _wait_until_delivered(self, db: Connection) -> None:
        self._set_ended(ended=True)
        try:
            deadline = time.monotonic() + DRAIN_WAIT_S
            while not await outbox.is_empty(db, list(self._deliveries)):
                if time.monotonic() > deadline:
                    log.warning(
                        "the feed has ended, messages still wait for a channel", waited_s=DRAIN_WAIT_S
                    )
                    return
                await asyncio.sleep(LOOK_EVERY_S)
        finally:
            self._set_ended(ended=False)

    def _set_ended(self, *, ended: bool) -> None:
        for delivery in self._deliveries.values():
            delivery.ended = ended
            delivery.wake()

    async def write(self, db: Connection, portion: Portion) -> dict[PartitionRef, Counts]:
        """Nothing: causes are counted when they are told."""
        return {}


def _event_fault(event: SystemEvent) -> str | None:
    """Why an event cannot stand in the ledger, if it cannot."""
    if not TIME_MIN_US <= event.event_time < TIME_MAX_US:
        return f"its time is not between the years 1800 and 2200: {event.event_time} µs"
    id_ = event.id
    if not id_ or "\0" in id_ or len(id_.encode("utf-8", "surrogatepass")) > LONGEST_BYTES:
        return f"its id is empty, holds a zero byte or is longer than {LONGEST_BYTES} bytes: {id_[:50]!r}"
    return None
