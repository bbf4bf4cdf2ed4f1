"""What makes two replays the same one: the name that its records bear."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from backtest.replay.source import Period
from schemas import rows
from schemas.records import TimeMark

REPLAY_VENUE: Final = "replay"
"""Venue of the closing marks: one that no market has, so that they move no market's time."""
CLOSING_HEAD: Final = rows.encode(TimeMark(REPLAY_VENUE, "", 0, True, ""))[
    : rows.HEADER.size + 1 + len(REPLAY_VENUE)
]
"""How closing marks begin."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A replay, apart from where it goes and how fast.

    Attributes:
        source: Identity of the source.
        period: What of it.
        topics: Base names of the input topics.
        symbols: Keys (`venue:symbol`) that are wanted; None: all.
    """

    source: str
    period: Period
    topics: Collection[str]
    symbols: Collection[str] | None = None

    @property
    def replay_id(self) -> str:
        """Name of the replay: equal for equal plans. Stands in the headers of its records."""
        told = {
            "source": self.source,
            "since": self.period.since,
            "until": self.period.until,
            "topics": sorted(self.topics),
            "symbols": None if self.symbols is None else sorted(self.symbols),
        }
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]

    def closing_mark(self) -> bytes:
        """The record that ends each partition: final mark of a source and an instance named as the replay.

        Every stage forwards it after all that came before, so who waits for it in every sink and partition
        (as for the final marks of a run) knows that the replay was processed to its end. It is of a venue of
        its own and of no time: no candle closes by it.
        """
        return rows.encode(TimeMark(REPLAY_VENUE, self.replay_id, 0, True, self.replay_id))
