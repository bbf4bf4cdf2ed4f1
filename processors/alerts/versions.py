"""What the alerts topic says: every alert, from which event time on, and until when.

The newest record of an id holds from the event time that it carries; up to there the one before it holds. So
an alert that is changed, or withdrawn, is looked at as it was for the trades before, also in a replay: the
topic keeps a record for days after a newer one has taken its place (see `schemas.topics.ALERTS`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Final

import msgspec

from schemas.errors import DecodeError
from schemas.records import Micros, PriceAlert
from schemas.rows import decode

FOREVER: Final[Micros] = (1 << 62) - 1
LONGEST_WINDOW_S: Final = 86_400
ID_PATTERN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
"""What an id may be: a part of the ids of signals, and no pattern to the rules of notifications."""


class Version(msgspec.Struct, frozen=True):
    """A definition of an alert, for trades with from <= event time < until.

    Attributes:
        alert: The definition; `event_time` is the first time of its effect.
        until: When another one takes its place, `FOREVER` if none does.
    """

    alert: PriceAlert
    until: Micros


def fault_of(alert: PriceAlert) -> str | None:
    """Why an alert cannot be watched, in words; None: it can."""
    if not ID_PATTERN.fullmatch(alert.id):
        return (
            f"an id has up to 64 letters, digits and . _ + -, and begins with one of the former: {alert.id!r}"
        )
    if not alert.venue or ":" in alert.venue or not alert.symbol:
        return f"it names no market: {alert.venue!r}, {alert.symbol!r}"
    if not (math.isfinite(alert.level) and alert.level > 0.0):
        return f"the level must be a number above 0, got {alert.level:g}"
    if alert.kind == "move" and not 1.0 <= alert.window_s <= LONGEST_WINDOW_S:
        return f"the window must be between 1 and {LONGEST_WINDOW_S} seconds, got {alert.window_s:g}"
    return None


class AlertVersions:
    """All that the alerts topic has said, in the order of the log.

    Attributes:
        changes: Counts the records that have changed something.
    """

    def __init__(self) -> None:
        self.changes = 0
        self._records: dict[str, list[PriceAlert]] = {}

    def take(self, value: bytes | None) -> str | None:
        """Take the next record of the topic.

        Returns:
            Why it was left out, in words; None: it was taken, or had been before.
        """
        if value is None:
            return "it is empty"
        try:
            alert = decode(value)
        except DecodeError as error:
            return str(error)
        if not isinstance(alert, PriceAlert):
            return f"it is a {type(alert).__name__}"
        if fault := fault_of(alert):
            return fault
        known = self._records.setdefault(alert.id, [])
        if known and known[-1] == alert:
            return None
        while known and known[-1].event_time >= alert.event_time:
            known.pop()
        known.append(alert)
        self.changes += 1
        return None

    @property
    def newest(self) -> Mapping[str, PriceAlert]:
        """The newest record of each id, withdrawn ones among them."""
        return {name: known[-1] for name, known in self._records.items()}

    def versions(self) -> list[Version]:
        """What is to be watched, by id and time."""
        found = []
        for _, known in sorted(self._records.items()):
            ends = [alert.event_time for alert in known[1:]] + [FOREVER]
            found += [Version(alert, end) for alert, end in zip(known, ends, strict=True) if alert.wanted]
        return found
