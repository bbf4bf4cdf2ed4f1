"""The audit: every command that changes something says in system.audit.v1 who changed what, and how.

A command calls `audit` once its change is made, and before it says that it is done: what it reports as done
is in the log, acknowledged by Kafka. A change is not undone because its entry was refused; the command then
ends with an error that says so, and that holds the entries, for whoever has to write them down elsewhere.
"""

import asyncio
import getpass
import os
import socket
import time
import uuid
from dataclasses import dataclass
from typing import Final

import msgspec

from infra.kafka.admin import Admin
from infra.kafka.publisher import Publisher
from infra.settings import KafkaSettings
from schemas.errors import KandleError
from schemas.records import AuditEntry
from schemas.topics import AUDIT

FLUSH_TIMEOUT_S: Final = 10.0


class AuditError(KandleError):
    """Something was changed, and Kafka did not take the entry that says so."""

    code = "AUDIT"


@dataclass(frozen=True, slots=True)
class Change:
    """What a command has changed.

    Attributes:
        action: The command: "alerts add".
        subject: What was changed: a topic, a table, a symbol, the id of an alert.
        before: What stood there, as anything that JSON can say, a record too; None where there was nothing.
        after: What stands there now; None where there is nothing any more.
    """

    action: str
    subject: str
    before: object = None
    after: object = None


def audit(kafka: KafkaSettings, *changes: Change) -> None:
    """Record changes that were made; blocks until Kafka has acknowledged them, in one order.

    Do not call it inside a running event loop; there, use a thread.

    Args:
        kafka: Where the topic is; it is made if it is missing.
        changes: What was changed, oldest first; without any nothing is done.

    Raises:
        AuditError: The changes stand, and their entries were not acknowledged.
    """
    if not changes:
        return
    entries = [_entry(change) for change in changes]
    try:
        Admin(kafka).ensure_topics([AUDIT])
        asyncio.run(_publish(kafka, entries))
    except KandleError as error:
        lines = "\n".join(msgspec.json.encode(entry).decode() for entry in entries)
        raise AuditError(
            f"what was asked is done, but the audit in {AUDIT.name} does not say so: {error}\n"
            f"Keep what it should hold, or record it once Kafka is well again:\n{lines}"
        ) from error


def actor() -> str:
    """Who runs this process: user@host."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        # A container may run as a user that no file names.
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def _entry(change: Change) -> AuditEntry:
    return AuditEntry(
        id=f"audit/{uuid.uuid4()}",
        actor=actor(),
        action=change.action,
        subject=change.subject,
        before=_json(change.before),
        after=_json(change.after),
        event_time=time.time_ns() // 1_000,
    )


def _json(value: object) -> str | None:
    return None if value is None else msgspec.json.encode(value).decode()


async def _publish(kafka: KafkaSettings, entries: list[AuditEntry]) -> None:
    publisher = Publisher(kafka, client_id="kandle-audit")
    try:
        for entry in entries:
            await publisher.publish(AUDIT.name, entry, key=entry.subject)
    finally:
        await publisher.close(timeout_s=FLUSH_TIMEOUT_S)
