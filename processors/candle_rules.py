"""What decides when a candle closes, and which trades still get into it."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from processors.intervals import Interval, intervals_of
from schemas.errors import ConfigurationError

STATE_VERSION = 2
"""Raised whenever the layout or the meaning of the state changes; older snapshots are then refused."""

_SECOND = 1_000_000


@dataclass(frozen=True, slots=True)
class CandleRules:
    """The parameters of a candle builder; all times in microseconds of event time.

    Attributes:
        intervals: Shortest first; the longer ones are rolled up from it.
        grace: A candle closes when the watermark has passed its end by this.
        hold: It can be revised until the watermark has passed its end by grace and this.
        lead: A trade may be so far ahead of the newest mark of its venue.
    """

    intervals: tuple[Interval, ...]
    grace: int = 2 * _SECOND
    hold: int = 300 * _SECOND
    lead: int = 300 * _SECOND

    def __post_init__(self) -> None:
        if self.grace < 0 or self.hold < 0 or self.lead < 0:
            raise ConfigurationError(
                f"grace, hold and lead are 0 or more microseconds, got {self.grace}, {self.hold}, {self.lead}"
            )

    @classmethod
    def of(
        cls,
        intervals: Sequence[str] = ("1s", "1m"),
        *,
        grace_ms: int = 2_000,
        hold_s: int = 300,
        lead_s: int = 300,
    ) -> Self:
        """Rules from settings.

        Raises:
            ConfigurationError: An interval is unknown or does not fit the others, or a time is negative.
        """
        return cls(intervals_of(intervals), grace_ms * 1_000, hold_s * _SECOND, lead_s * _SECOND)

    @property
    def sweep(self) -> int:
        """How often candles are looked through for those to let go, microseconds of event time.

        An eighth of the hold: memory is at most that much larger, and each candle is looked at a few
        times only.
        """
        return max(self.hold // 8, self.intervals[0].length)

    @property
    def digest(self) -> str:
        """A hash of everything the state depends on: a snapshot of another digest is of no use."""
        spans = ",".join(f"{i.name}:{i.length}:{i.anchor}" for i in self.intervals)
        text = f"candles/{STATE_VERSION}/{spans}/{self.grace}/{self.hold}/{self.lead}"
        return hashlib.sha256(text.encode()).hexdigest()[:32]
