"""One task a channel: take what waits for it, send, retry, settle."""

from __future__ import annotations

import asyncio
from typing import Final

from infra import metrics
from infra.backoff import FullJitter
from infra.kafka.dead_letters import DeadLetters
from infra.kafka.publisher import Publisher
from infra.logging import get_logger
from infra.settings import Settings
from schemas import rows, topics
from schemas.errors import ConflictError, KandleError, UnavailableError
from schemas.records import Notification, Signal
from sinks.database import Connection, connect, is_passing
from sinks.notifications.channel import Channel, ChannelRefusedError
from sinks.notifications.message import Message, Templates
from sinks.notifications.occasion import Occasion, occasion_of
from sinks.notifications.outbox import Outbox, Queued

LOOK_EVERY_S: Final = 1.0
"""How often a channel looks for rows that nobody told it of: left by another process."""
RETRY_CAP_S: Final = 5.0

log = get_logger(__name__)


class Delivery:
    """Delivers to one channel. Several processes may serve a channel: one does, the others stand by.

    Args:
        settings: The database; timeout and attempts of a message.
        channel: Where to.
        outbox: What waits.
        publisher: For the records that say what was sent.
        dead_letters: For what the channel does not take.
    """

    def __init__(
        self,
        settings: Settings,
        channel: Channel,
        outbox: Outbox,
        publisher: Publisher,
        dead_letters: DeadLetters,
    ) -> None:
        self._settings = settings
        self._channel = channel
        self._templates = Templates(settings.notifications.templates, settings.notifications.sender)
        self._outbox = outbox
        self._publisher = publisher
        self._dead_letters = dead_letters
        self._wake = asyncio.Event()
        self._backoff = FullJitter(0.2, RETRY_CAP_S)

    def wake(self) -> None:
        """Rows were queued."""
        self._wake.set()

    async def run(self) -> None:
        """Deliver for ever; waits for a database that is away.

        Raises:
            KandleError: A dead letter or a record of a notification was refused.
        """
        while True:
            try:
                db = await connect(self._settings.database, f"sink-{self._channel.name}")
                try:
                    await self._serve(db)
                finally:
                    await db.close()
            except Exception as error:
                if not is_passing(error):
                    raise
                log.info("notifications wait", channel=self._channel.name, error=str(error).strip())
                await asyncio.sleep(self._backoff.next_delay_s())

    async def _serve(self, db: Connection) -> None:
        while not await self._is_mine(db):
            await asyncio.sleep(LOOK_EVERY_S)
        while True:
            self._wake.clear()
            waiting = await self._outbox.pending(db, self._channel.name)
            self._backoff.reset()
            for entry in waiting:
                await self._deliver(db, entry)
            if not waiting:
                try:
                    await asyncio.wait_for(self._wake.wait(), LOOK_EVERY_S)
                except TimeoutError:
                    continue

    async def _is_mine(self, db: Connection) -> bool:
        # Ends with the connection, so a killed process gives its channels away at once.
        cursor = await db.execute(
            "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", (f"kandle/{self._channel.name}",)
        )
        row = await cursor.fetchone()
        return bool(row and row[0])

    async def _deliver(self, db: Connection, entry: Queued) -> None:
        signal = rows.decode(entry.value)
        if not isinstance(signal, Signal):
            raise ConflictError(f"the ledger holds a {type(signal).__name__} as cause {entry.cause_id}")
        occasion = occasion_of(signal)
        message = self._templates.render(occasion, self._channel.kind)
        limits = self._settings.notifications
        backoff = FullJitter(1.0, 30.0)
        for attempt in range(1, limits.attempts + 1):
            try:
                await self._channel.send(message, f"{self._channel.name}/{occasion.id}", limits.timeout_s)
            except (UnavailableError, ChannelRefusedError) as error:
                metrics.NOTIFICATION_ERRORS.labels(self._channel.name).inc()
                if attempt == limits.attempts or not error.retriable:
                    await self._give_up(db, entry, attempt, error)
                    return
                await asyncio.sleep(backoff.next_delay_s())
            else:
                record = notification_of(occasion, self._channel.name, message)
                await self._publisher.publish(topics.NOTIFICATIONS.name, record, key=record.id)
                await self._publisher.flush()
                await self._outbox.settle(db, entry, attempt, sent=True)
                metrics.NOTIFICATIONS_SENT.labels(self._channel.name).inc()
                return

    async def _give_up(self, db: Connection, entry: Queued, attempts: int, error: KandleError) -> None:
        log.warning(
            "a notification was given up",
            channel=self._channel.name,
            cause=entry.cause_id,
            attempts=attempts,
            error=str(error),
        )
        await self._dead_letters.send(
            entry.ref.topic, entry.ref.partition, entry.offset, entry.key, entry.value, error=error
        )
        await self._dead_letters.settle()
        await self._outbox.settle(db, entry, attempts, sent=False)


def notification_of(occasion: Occasion, channel: str, message: Message) -> Notification:
    """The record that says that a message was delivered; its id is that of every repeat."""
    return Notification(
        id=f"notification/{channel}/{occasion.id}",
        type=occasion.cause_type,
        channel=channel,
        subject=message.subject,
        body=message.text,
        cause_id=occasion.id,
        event_time=occasion.event_time,
    )
