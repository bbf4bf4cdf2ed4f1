"""Signals to notifications: queue what the rules want, and let the channels deliver."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import ClassVar, Final

from infra.kafka.dead_letters import DeadLetters
from infra.kafka.publisher import Publisher
from infra.logging import get_logger
from infra.settings import Settings
from infra.tasks import until_one_ends
from schemas import topics
from schemas.records import Signal
from schemas.topics import Topic
from sinks.database import Connection
from sinks.notifications.delivery import Delivery
from sinks.notifications.outbox import Outbox, Queued
from sinks.notifications.routing import Routing
from sinks.portion import Portion, Slice
from sinks.positions import Counts, PartitionRef
from sinks.sink import Sink
from sinks.storable import signal_fault

DRAIN_WAIT_S: Final = 60.0
"""How long a feed's final mark waits for the messages before it: the mark says that they are delivered."""
LOOK_EVERY_S: Final = 0.05

log = get_logger(__name__)


class NotificationSink(Sink):
    """Queues a message for every channel that a rule gives a signal to; the channels deliver by themselves.

    Args:
        settings: Rules, and how messages are sent.
        publisher: For the records that say what was sent.
        dead_letters: For what a channel does not take.

    Raises:
        ConfigurationError: A rule has a URL that Apprise does not know.
    """

    name: ClassVar[str] = "notifications"

    def __init__(self, settings: Settings, publisher: Publisher, dead_letters: DeadLetters) -> None:
        self._routing = Routing(settings.notifications)
        self._outbox = Outbox(self.name)
        self._deliveries = {
            name: Delivery(settings, channel, self._outbox, publisher, dead_letters)
            for name, channel in self._routing.channels.items()
        }

    @property
    def topics(self) -> Sequence[Topic]:
        """The signals."""
        return [topics.SIGNALS]

    async def serve(self) -> None:
        """Serve all channels, for ever.

        Raises:
            KandleError: As `Delivery.run`.
        """
        if self._deliveries:
            await until_one_ends({name: delivery.run() for name, delivery in self._deliveries.items()})

    def inspect(self, slice_: Slice) -> None:
        """Refuse signals that cannot be read."""
        slice_.decode(Signal, signal_fault)

    async def prepare(self, db: Connection, portion: Portion) -> None:
        """Queue messages, before the offset moves; at the end of a feed, wait until they are delivered."""
        entries = [
            Queued(
                cause_id=signal.id,
                channel=channel,
                rule=rule,
                ref=slice_.ref,
                offset=int(slice_.records.offsets[row]),
                key=slice_.records.key(row),
                value=slice_.columns.value(row) or b"",
                event_time=signal.event_time,
            )
            for slice_ in portion.slices
            for row, signal in slice_.decoded
            if isinstance(signal, Signal)
            for channel, rule in self._routing.route(signal).items()
        ]
        if entries:
            await self._outbox.queue(db, entries)
            for entry in entries:
                self._deliveries[entry.channel].wake()
        if self._deliveries and any(mark.final for slice_ in portion.slices for mark in slice_.marks()):
            await self._wait_until_delivered(db)

    async def _wait_until_delivered(self, db: Connection) -> None:
        deadline = time.monotonic() + DRAIN_WAIT_S
        while not await self._outbox.is_empty(db, list(self._deliveries)):
            if time.monotonic() > deadline:
                log.warning("the feed has ended, messages still wait for a channel", waited_s=DRAIN_WAIT_S)
                return
            await asyncio.sleep(LOOK_EVERY_S)

    async def write(self, db: Connection, portion: Portion) -> dict[PartitionRef, Counts]:
        """Nothing: messages are counted when they are sent."""
        return {}
