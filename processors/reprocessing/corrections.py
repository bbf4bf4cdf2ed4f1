"""What a recomputation changes: computed records against those of a topic, in newer revisions.

A topic is never written anew. What was wrong is followed by a revision that is right, and readers keep the
newest revision of each key. Pure: values in, values out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from msgspec.structs import replace

from schemas.records import Candle, IndicatorValue

R = TypeVar("R", Candle, IndicatorValue)
Key = tuple[str, str, str, int, str]
"""Venue, symbol, interval, open time, and the name of a value; empty for a candle."""


def key_of(record: Candle | IndicatorValue) -> Key:
    """What all revisions of a record share."""
    name = record.name if isinstance(record, IndicatorValue) else ""
    return record.venue, record.symbol, record.interval, record.open_time, name


def newest(records: Iterable[R]) -> dict[Key, R]:
    """The newest revision of each key; of equal revisions the first, as every reader has it."""
    found: dict[Key, R] = {}
    for record in records:
        key = key_of(record)
        known = found.get(key)
        if known is None or record.revision > known.revision:
            found[key] = record
    return found


@dataclass(slots=True)
class Corrections(Generic[R]):
    """The difference between what was computed and what is stored.

    Attributes:
        written: Records to write, in the order of what was computed: missing ones, and revisions.
        missing: Of `written`, those that were not there at all.
        equal: Records that are right as they stand.
        kept: Complete records that stay although the recomputation gave others: it lacked trades.
        unfounded: Stored records that the recomputation did not give.
    """

    written: list[R] = field(default_factory=list)
    missing: int = 0
    equal: int = 0
    kept: int = 0
    unfounded: int = 0


def correct(computed: Iterable[R], stored: Mapping[Key, R], expected: Callable[[R], bool]) -> Corrections[R]:
    """Compare, and give what was wrong the next revision.

    Args:
        computed: The right records, one a key.
        stored: The newest revision of what the topic holds.
        expected: Whether a stored record should be among the computed ones.
    """
    corrections: Corrections[R] = Corrections()
    seen: set[Key] = set()
    for record in computed:
        key = key_of(record)
        seen.add(key)
        known = stored.get(key)
        if known is None:
            corrections.missing += 1
            corrections.written.append(record)
        elif replace(record, revision=known.revision) == known:
            corrections.equal += 1
        elif known.complete and not record.complete:
            corrections.kept += 1
        else:
            revision = max(known.revision + 1, record.revision)
            corrections.written.append(replace(record, revision=revision))
    corrections.unfounded = sum(key not in seen and expected(record) for key, record in stored.items())
    return corrections
