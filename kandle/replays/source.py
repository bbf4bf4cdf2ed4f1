"""SOURCE of `kandle replay`: topics, the archive, the database or a capture, as it is written."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pydantic import ValidationError

from backtest.replay.source import REPLAYED, Period, Source
from infra.settings import ArchiveSettings, Settings
from schemas.errors import ConfigurationError
from schemas.namespace import Namespace, current

FORMS: Final = (
    "topics, topics:PREFIX, archive, archive:URL, database, database:PREFIX or the path of a capture"
)


def source_of(text: str, settings: Settings, period: Period) -> Source:
    """The source that a text names; blocks.

    Args:
        text: One of `FORMS`.
        settings: Where Kafka, the archive and the database are.
        period: What of it will be asked for.

    Raises:
        ConfigurationError: It names none, or one that is empty.
        KandleError: It cannot be read.
    """
    kind, _, place = text.partition(":")
    match kind:
        case "topics":
            from backtest.replay.sources.topics import TopicSource

            return TopicSource.open(settings.kafka, Namespace(place) if place else current())
        case "archive":
            from backtest.replay.sources.archive import ArchiveSource
            from sinks.archive.store import open_store

            if place:
                settings = settings.model_copy(update={"archive": _archive_at(settings, place)})
            return ArchiveSource.open(open_store(settings))
        case "database":
            from backtest.replay.sources.database import DatabaseSource

            space = Namespace(place) if place else current()
            return DatabaseSource.open(settings.database, space, settings.kafka.partitions, period)
    if not Path(text).is_file():
        raise ConfigurationError(f"SOURCE is {FORMS}; there is no file {text}")
    from backtest.replay.sources.capture import CaptureSource

    return CaptureSource(Path(text), settings.kafka.partitions)


def _archive_at(settings: Settings, place: str) -> ArchiveSettings:
    url = place if "://" in place else Path(place).absolute().as_uri()
    try:
        return ArchiveSettings(**settings.archive.model_dump() | {"url": url})
    except ValidationError as error:
        raise ConfigurationError(error.errors()[0]["msg"]) from None


def topics_of(text: str | None, source: Source) -> list[str]:
    """Base names of the topics that are to be replayed, of those that a source holds.

    Args:
        text: Names, comma separated, as `trades,quotes` or in full; None: all.
        source: What there is.

    Raises:
        ConfigurationError: It does not hold one of them.
    """
    held = {tp.topic for tp in source.partitions}
    known = [topic.base_name for topic in REPLAYED if topic.base_name in held]
    if text is None:
        return known
    found = []
    for name in filter(None, (part.strip() for part in text.split(","))):
        chosen = [full for full in known if name in (full, full.split(".")[1])]
        if not chosen:
            short = ", ".join(full.split(".")[1] for full in known)
            raise ConfigurationError(f"the source has no topic {name} to replay; it has: {short or 'none'}")
        found += chosen
    if not found:
        raise ConfigurationError("--topics names none: leave it out for all, or write trades,quotes")
    return found
