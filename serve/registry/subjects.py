"""Subjects and their versions: what a topic may hold, as registries name it."""

import json
from dataclasses import dataclass
from typing import Any, Final

from schemas.registry import BY_ID, CURRENT, ENTRIES, SchemaEntry
from schemas.topics import TOPICS

VALUE: Final = "-value"


@dataclass(frozen=True, slots=True)
class Version:
    """One schema of a subject.

    Attributes:
        subject: Name of the subject.
        number: 1 for the oldest.
        entry: The schema.
    """

    subject: str
    number: int
    entry: SchemaEntry

    @property
    def text(self) -> str:
        """The schema as JSON."""
        return json.dumps(self.entry.definition, ensure_ascii=False, separators=(",", ":"))

    def as_dict(self) -> dict[str, Any]:
        """As a registry answers it."""
        return {
            "subject": self.subject,
            "version": self.number,
            "id": self.entry.schema_id,
            "schema": self.text,
        }


def subjects() -> dict[str, list[Version]]:
    """All subjects with their versions, oldest first.

    A topic that holds several records has a subject for each, `market.trades.v1-kandle.Trade`; and
    `market.trades.v1-value`, for clients that know one record a topic, is the first of them.
    """
    found: dict[str, list[Version]] = {}
    names = {entry.record: _full_name(entry) for entry in CURRENT}
    for topic in TOPICS:
        for place, record in enumerate(topic.records):
            entries = [entry for entry in ENTRIES if entry.record is record]
            own = [f"{topic.name}-{names[record]}", *([f"{topic.name}{VALUE}"] if place == 0 else [])]
            for subject in own:
                found[subject] = [Version(subject, number, entry) for number, entry in enumerate(entries, 1)]
    return dict(sorted(found.items()))


def versions_of(schema_id: int) -> list[Version]:
    """Where a schema is used; empty for an id that is unknown."""
    entry = BY_ID.get(schema_id)
    return [version for versions in subjects().values() for version in versions if version.entry is entry]


def _full_name(entry: SchemaEntry) -> str:
    return f"{entry.definition['namespace']}.{entry.definition['name']}"
