"""Which sinks there are: ours, each imported when it is asked for, and those of the user.

A sink of one's own is a subclass of `Sink` with a name, in a module that the setting `sink.plugins` names, or
an installed distribution as an entry point of the group `kandle.sinks`:

    [project.entry-points."kandle.sinks"]
    mine = "my_package.my_sink:MySink"
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from infra.kafka.dead_letters import DeadLetters
from infra.kafka.publisher import Publisher
from infra.plugins import imported, named_modules, points_of
from infra.settings import Settings
from schemas.errors import ConfigurationError
from schemas.namespace import LIVE, current
from sinks.database import Database
from sinks.database_destination import DatabaseDestination
from sinks.destination import Destination
from sinks.sink import Sink

GROUP: Final = "kandle.sinks"
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
OUTSIDE: Final = frozenset({"archive", "cache"})
"""What of ours needs no PostgreSQL."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a sink may be made of.

    Attributes:
        settings: All of them.
        database: Connections to PostgreSQL, for all sinks of the process.
        publisher: For records that a sink writes to topics.
        dead_letters: For what it gives up.
    """

    settings: Settings
    database: Database
    publisher: Publisher
    dead_letters: DeadLetters


def _timescale(parts: Parts) -> Destination:
    from sinks.timescale.sink import TimescaleSink

    return DatabaseDestination(parts.database, TimescaleSink(parts.settings.sink, parts.database))


def _notifications(parts: Parts) -> Destination:
    from sinks.notifications.sink import NotificationSink

    sink = NotificationSink(parts.settings, parts.database, parts.publisher, parts.dead_letters)
    return DatabaseDestination(parts.database, sink)


def _live_only(name: str) -> None:
    if current() != LIVE:
        raise ConfigurationError(
            f"the sink {name} keeps what is live; in the namespace {current()} leave it out of sink.run"
        )


def _cache(parts: Parts) -> Destination:
    _live_only("cache")
    from sinks.cache.destination import CacheDestination

    return CacheDestination(parts.settings)


def _archive(parts: Parts) -> Destination:
    _live_only("archive")
    from sinks.archive.destination import ArchiveDestination

    return ArchiveDestination(parts.settings)


SHIPPED: Final[dict[str, Callable[[Parts], Destination]]] = {
    "timescale": _timescale,
    "notifications": _notifications,
    "archive": _archive,
    "cache": _cache,
}
"""What comes with Kandle, by name."""


def make(names: Sequence[str], parts: Parts) -> list[Destination]:
    """The destinations of these names.

    Raises:
        ConfigurationError: A name is unknown, a plug-in cannot be imported, or a sink refuses its settings.
    """
    own = _own_sinks(parts.settings.sink.plugins)
    unknown = sorted(set(names) - SHIPPED.keys() - own.keys())
    if unknown or not names:
        known = ", ".join([*SHIPPED, *sorted(own)])
        raise ConfigurationError(f"sinks are {known}; got {', '.join(unknown) or 'none'}")
    return [
        SHIPPED[name](parts) if name in SHIPPED else _of_user(own[name], parts)
        for name in dict.fromkeys(names)
    ]


def _of_user(kind: type[Sink], parts: Parts) -> Destination:
    try:
        return DatabaseDestination(parts.database, kind())
    except Exception as error:
        told = f"{type(error).__name__}: {error}"
        raise ConfigurationError(
            f"the sink {kind.name} cannot be made, which takes no arguments: {told}"
        ) from error


def _own_sinks(modules: Sequence[str]) -> dict[str, type[Sink]]:
    """The user's sinks by name."""
    found: dict[str, type[Sink]] = {}
    for loaded, told in named_modules("sink.plugins", modules):
        kinds = [kind for kind in vars(loaded).values() if _is_own(kind, loaded.__name__)]
        if not kinds:
            raise ConfigurationError(f"{told}, which holds no subclass of kandle.Sink")
        for kind in kinds:
            _add(found, kind, told)
    for point, told in points_of(GROUP, "sink"):
        _add(found, imported(point.module, told, point.load), told)
    return found


def _is_own(kind: Any, module: str) -> bool:
    own = isinstance(kind, type) and issubclass(kind, Sink) and kind.__module__ == module
    return own and (hasattr(kind, "name") or not inspect.isabstract(kind))


def _add(found: dict[str, type[Sink]], kind: Any, told: str) -> None:
    name = getattr(kind, "name", None)
    if not (isinstance(kind, type) and issubclass(kind, Sink)) or not isinstance(name, str):
        raise ConfigurationError(f"{told}, which is no subclass of kandle.Sink with a name")
    if not _NAME.fullmatch(name):
        raise ConfigurationError(f"{told}: a name is of small letters, digits, - and _; got {name!r}")
    if name in SHIPPED or found.get(name, kind) is not kind:
        raise ConfigurationError(f"{told}: a sink of the name {name} exists already")
    found[name] = kind
