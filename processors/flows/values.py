"""What both states of flows share: their clocks, the moments of sampling, and the values as records."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from processors.flows.feed_clock import FeedClock, SavedClock
from processors.flows.flow import Flow, Levels
from schemas.errors import ValidationError
from schemas.identity import split_key
from schemas.records import BookUpdate, IndicatorValue, Micros, TimeMark

SECOND_US: Final = 1_000_000
INTERVAL: Final = "1s"


@dataclass(slots=True)
class FlowFold:
    """What came of one batch.

    Attributes:
        sampled: Each mark with the values that stand before it, by market and in the order of the plan.
        books: For each mark of `sampled` the books that stand before it, their best levels.
        refused: Rows whose key is none of a market.
    """

    sampled: list[tuple[TimeMark, list[IndicatorValue]]] = field(default_factory=list)
    books: list[list[BookUpdate]] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)


class FlowClocks:
    """The clocks of the venues in a partition, and the seconds that they pass."""

    def __init__(self) -> None:
        self._clocks: dict[str, FeedClock] = {}

    def take(self, mark: TimeMark) -> tuple[Micros | None, bool]:
        """Take a mark.

        Returns:
            Start of the newest whole second that the venue's watermark has now passed, µs, None if it has
            passed none; and whether the feed has ended.
        """
        clock = self._clocks.setdefault(mark.venue, FeedClock())
        before = clock.watermark
        clock.take(mark)
        after = clock.watermark
        if before is None or after is None or after // SECOND_US == before // SECOND_US:
            return None, clock.has_ended
        return (after // SECOND_US - 1) * SECOND_US, clock.has_ended

    def save(self) -> list[tuple[str, SavedClock]]:
        """The whole state."""
        return [(venue, clock.save()) for venue, clock in sorted(self._clocks.items())]

    def load(self, saved: Sequence[tuple[str, SavedClock]]) -> None:
        """Take over a state in place of one's own."""
        self._clocks = {venue: FeedClock.load(clock) for venue, clock in saved}


def market_of(key: str) -> tuple[str, str] | None:
    """Venue and symbol of a key; None if it is no market's, or no text."""
    try:
        key.encode()
        return split_key(key)
    except (ValidationError, UnicodeEncodeError):
        return None


def flow_values(
    market: tuple[str, str],
    opened: Micros,
    flows: Sequence[Flow],
    levels: tuple[Levels, Levels],
    complete: Sequence[bool],
) -> list[IndicatorValue]:
    """The values of a market at the end of a second.

    Args:
        market: Venue and symbol.
        opened: Start of the second, µs.
        flows: What to compute.
        levels: Best bids and asks.
        complete: For each flow, whether nothing that it looks at may be missing.
    """
    venue, symbol = market
    return [
        IndicatorValue(venue, symbol, INTERVAL, opened, name, value, 0, sound)
        for flow, sound in zip(flows, complete, strict=True)
        for name, value in flow.values(*levels)
    ]
