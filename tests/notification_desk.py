"""The ledger of one channel, driven by a clock of ours."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
import psycopg
from structlog.testing import capture_logs

from infra.kafka.dead_letters import DeadLetters, Headers
from infra.kafka.publisher import Publisher
from infra.settings import NotificationSettings
from schemas import rows
from schemas.records import Signal, SystemEvent
from schemas.topics import SIGNALS
from sinks.database import Database
from sinks.notifications import outbox
from sinks.notifications.occasion import occasion_of
from sinks.notifications.sink import NotificationSink
from sinks.positions import PartitionRef, Positions
from tests.notification_records import signal
from tests.sink_harness import query, settings_for


class Time:
    """A clock that tests set."""

    def __init__(self, text: str) -> None:
        self.set(text)

    def set(self, text: str) -> None:
        self.us = round(dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC).timestamp()) * 1_000_000

    def now_us(self) -> int:
        return self.us


class Desk:
    """The ledger of one channel, which the channels of a sink deliver from while `serving`.

    Args:
        kafka: Bootstrap servers.
        url: Of a database with the sinks' tables.
        time: What time it is.
        channel: Its settings; its name is new.
        rules: Names of rules, with what they say beside.
    """

    def __init__(
        self,
        kafka: str,
        url: str,
        time: Time,
        channel: dict[str, Any],
        rules: dict[str, dict[str, Any]] | None = None,
    ) -> None:
        self._url = url
        self._time = time
        self._offset = 0
        self._name = f"desk-{uuid.uuid4().hex[:8]}"
        sections = {
            "channels": {self._name: channel},
            "rules": [
                {"name": name, "channels": [self._name], **said}
                for name, said in (rules or {"all": {}}).items()
            ],
            "allow_private": True,
        }
        self._settings = settings_for(kafka, url).model_copy(
            update={"notifications": NotificationSettings.model_validate(sections)}
        )

    async def queue(
        self,
        records: Sequence[Signal | SystemEvent],
        rule: str = "all",
        *,
        partition: int = 0,
        headers: Headers = (),
    ) -> None:
        """As the sink queues them."""
        database, positions = Database(self._settings.database), Positions("notifications")
        async with database.connection() as db:
            numbers = await positions.register(db, {SIGNALS.name: "id"})
            topic = PartitionRef(numbers[SIGNALS.name], partition, SIGNALS.name)
            await positions.begin(db, {topic: 0})
            await outbox.queue(db, [self._queued(record, topic, rule, headers) for record in records])
        await database.close()

    def begin_anew(self) -> None:
        """The topic is made again: it has another number, and its offsets begin at 0."""
        with psycopg.connect(self._url) as db:
            db.execute(
                "UPDATE kandle.topics SET retired = now(), kafka_id = gen_random_uuid()::text "
                "WHERE name = %s AND retired IS NULL",
                (SIGNALS.name,),
            )
        self._offset = -1

    def _queued(
        self, record: Signal | SystemEvent, topic: PartitionRef, rule: str, headers: Headers
    ) -> outbox.Queued:
        occasion, self._offset = occasion_of(record), self._offset + 1
        return outbox.Queued(
            cause_id=occasion.id,
            channel=self._name,
            rule=rule,
            type=occasion.type,
            severity=occasion.severity,
            ref=topic,
            offset=self._offset,
            key=b"key",
            value=rows.encode(record),
            event_time=occasion.event_time,
            headers=headers,
        )

    def signals(self, *ids: str, age_us: int = 0) -> list[Signal]:
        at = self._time.now_us() - age_us
        return [
            msgspec.structs.replace(signal(id_), event_time=at + number) for number, id_ in enumerate(ids)
        ]

    def outcomes(self) -> dict[str, str]:
        return dict(
            query(
                self._url,
                f"SELECT cause_id, outcome FROM kandle.notifications WHERE channel = '{self._name}'",
            )
        )

    def let_wait(self, seconds: int) -> None:
        """Have all of it queued so much earlier."""
        with psycopg.connect(self._url) as db:
            db.execute(
                "UPDATE kandle.notifications SET queued = queued - %s * interval '1 s' WHERE channel = %s",
                (seconds, self._name),
            )

    async def restored(self) -> list[tuple[str, int]]:
        """Channels that a sink warns of as it is given partitions, and how many causes wait for them."""
        publisher, database = Publisher(self._settings.kafka), Database(self._settings.database)
        sink = NotificationSink(self._settings, database, publisher, DeadLetters(publisher, "sink"))
        with capture_logs() as said:
            async with database.connection() as db:
                await sink.restore(db, [])
                await sink.restore(db, [])
        await database.close()
        await publisher.close()
        return [(entry["channel"], entry["causes"]) for entry in said if "causes" in entry]

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[asyncio.Task[None]]:
        """The channels of one process."""
        publisher = Publisher(self._settings.kafka, client_id="test")
        database = Database(self._settings.database)
        sink = NotificationSink(
            self._settings, database, publisher, DeadLetters(publisher, "sink"), self._time
        )
        task = asyncio.create_task(sink.serve())
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await database.close()
            await publisher.close()
