"""Namespaces: names of its own for a whole set of topics, groups and tables, beside those of the live run.

Without a namespace all names are as the contract says. In the namespace `r1` the topic `market.trades.v1` is
`r1.market.trades.v1`, the consumer group `kandle` is `r1.kandle`, the database schema `kandle` is
`kandle_r1`. A process has ONE namespace, from the setting `namespace`: `enter` fixes it when the settings are
loaded, and whoever names a topic before that has fixed the empty one. It never changes afterwards, so that no
name that was kept somewhere belongs to another set than the rest. Names of another namespace are asked for
explicitly: `TRADES.in_namespace("r1")`, `Namespace("r1").group("kandle-timescale")`.
"""

import re
from dataclasses import dataclass
from typing import Final

from schemas.errors import ConfigurationError

MAX_LENGTH: Final = 32
"""With it every derived name stays within Kafka's 249 and PostgreSQL's 63 characters."""
RESERVED: Final = frozenset(
    {"kandle", "market", "notifications", "processors", "producers", "reference", "system"}
)
"""How names without a namespace begin: nobody could tell `market` apart from the live topics."""
_PREFIX: Final = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_-]{{0,{MAX_LENGTH - 1}}}")
_BASE_SCHEMA: Final = "kandle"


@dataclass(frozen=True, slots=True)
class Namespace:
    """One namespace; the empty prefix is that of the live run.

    Args:
        prefix: Letters, digits, - and _, at most 32; or nothing.

    Raises:
        ConfigurationError: The prefix is none.
    """

    prefix: str = ""

    def __post_init__(self) -> None:
        """Refuse what cannot stand in the names of topics, groups and schemas."""
        if self.prefix and not _PREFIX.fullmatch(self.prefix):
            raise ConfigurationError(
                f"a namespace has letters, digits, - and _, begins with a letter or digit and has at most "
                f"{MAX_LENGTH} characters; got {self.prefix!r}"
            )
        if self.prefix.lower() in RESERVED:
            raise ConfigurationError(
                f"{self.prefix!r} cannot be a namespace: names without one begin with "
                f"{', '.join(sorted(RESERVED))}"
            )

    def name_of(self, base_name: str) -> str:
        """The name of a topic, an application or a consumer group here."""
        return f"{self.prefix}.{base_name}" if self.prefix else base_name

    def base_name_of(self, name: str) -> str | None:
        """The name without the namespace; None if it is not of this one.

        Nothing distinguishes the live run's names but that they have no namespace in front: there, all are.
        """
        if not self.prefix:
            return name
        front = f"{self.prefix}."
        return name.removeprefix(front) if name.startswith(front) else None

    @property
    def schema(self) -> str:
        """Database schema of the tables, not quoted; see `quoted_schema`."""
        return f"{_BASE_SCHEMA}_{self.prefix}" if self.prefix else _BASE_SCHEMA

    @property
    def views_schema(self) -> str:
        """Database schema of the views for readers: `public`, or in a namespace that of its tables."""
        return self.schema if self.prefix else "public"

    def __str__(self) -> str:
        """The prefix, or words for its absence."""
        return self.prefix or "the live run"


LIVE: Final = Namespace()
"""The names without a prefix."""
_entered: Namespace | None = None


def enter(prefix: str) -> Namespace:
    """Fix the namespace of this process; again with the same prefix does nothing.

    Raises:
        ConfigurationError: The prefix is none, or this process has used names of another namespace.
    """
    global _entered
    wanted = Namespace(prefix)
    if _entered is None:
        _entered = wanted
    elif _entered != wanted:
        raise ConfigurationError(
            f"this process has used the names of {_entered} and cannot change to {wanted}: "
            "start another process with KANDLE_NAMESPACE"
        )
    return wanted


def current() -> Namespace:
    """The namespace of this process; asking before `enter` fixes the empty one."""
    return enter("") if _entered is None else _entered
