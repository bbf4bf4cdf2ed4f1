"""What is to be changed in a store, in words that Redis and memory both understand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

Level: TypeAlias = tuple[float, float]
"""Price and size."""


@dataclass(frozen=True, slots=True)
class SetFields:
    """Set fields of a hash; others stay. The hash ends `ttl_s` seconds from now."""

    key: str
    fields: Mapping[str, str]
    ttl_s: float


@dataclass(frozen=True, slots=True)
class SetList:
    """Put a list in place of what stands there."""

    key: str
    items: Sequence[str]
    ttl_s: float


@dataclass(frozen=True, slots=True)
class Append:
    """Append to a list, and keep the last `most` items."""

    key: str
    item: str
    most: int
    ttl_s: float


@dataclass(frozen=True, slots=True)
class SetLevels:
    """Put one side of a book in place of what stands there."""

    key: str
    levels: Sequence[Level]
    ttl_s: float


@dataclass(frozen=True, slots=True)
class SetText:
    """Set a text."""

    key: str
    value: str
    ttl_s: float


@dataclass(frozen=True, slots=True)
class Emit:
    """Add an event to a stream, and publish it on channels.

    Attributes:
        stream: Key of the stream; "": none.
        fields: Of the event.
        channels: Where `fields["data"]` is published.
        most: Length that the stream is kept at, roughly.
    """

    stream: str
    fields: Mapping[str, str]
    channels: Sequence[str]
    most: int


Change: TypeAlias = SetFields | SetList | Append | SetLevels | SetText | Emit


def level_member(level: Level) -> str:
    """A level as a member of a sorted set: the price makes it unique, whatever sizes are equal."""
    price, size = level
    return f"{price!r}:{size!r}"


def level_of(member: str) -> Level:
    """The level that a member stands for."""
    price, _, size = member.partition(":")
    return float(price), float(size)
