"""What decides when a candle closes, and which trades still get into it."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from infra.settings import ProcessorSettings
from processors.intervals import INTERVALS, Interval, intervals_of
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
        live: Of the intervals, those whose candles are written while they are open.
        carry: Whether an interval without trades has a candle, with the last close; see `carry`.
    """

    intervals: tuple[Interval, ...]
    grace: int = 2 * _SECOND
    hold: int = 300 * _SECOND
    lead: int = 300 * _SECOND
    live: tuple[Interval, ...] = ()
    carry: bool = False

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
        live: Sequence[str] = (),
        carry: bool = False,
    ) -> Self:
        """Rules from settings; of `live` counts what is among the intervals.

        Raises:
            ConfigurationError: An interval is unknown or does not fit the others, or a time is negative.
        """
        unknown = [name for name in live if name not in INTERVALS]
        if unknown:
            raise ConfigurationError(f"live candles are of {', '.join(INTERVALS)}; got {', '.join(unknown)}")
        chosen = intervals_of(intervals)
        open_ones = tuple(interval for interval in chosen if interval.name in live)
        return cls(chosen, grace_ms * 1_000, hold_s * _SECOND, lead_s * _SECOND, open_ones, carry)

    @classmethod
    def of_settings(cls, settings: ProcessorSettings) -> Self:
        """The rules that settings ask for.

        Raises:
            ConfigurationError: As `of`.
        """
        return cls.of(
            settings.intervals,
            grace_ms=settings.grace_ms,
            hold_s=settings.hold_s,
            live=settings.live,
            carry=settings.empty_candles == "carry",
        )

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
        live = ",".join(interval.name for interval in self.live)
        times = f"{self.grace}/{self.hold}/{self.lead}"
        text = f"candles/{STATE_VERSION}/{spans}/{times}/{live}/{self.carry}"
        return hashlib.sha256(text.encode()).hexdigest()[:32]
