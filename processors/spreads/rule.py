"""Rules that look at the prices of one symbol at several venues. Pure.

Named in the settings with their parameters, as `venue_spread(10)`.
"""

from collections.abc import Mapping
from typing import Annotated, Final

import msgspec

from processors.parameters import Parametrised

BASIS_POINTS: Final = 10_000.0


class VenueRule(Parametrised, kind="rule of venues", package="processors.spreads.rule"):
    """Root of the rules."""


class VenueSpread(VenueRule):
    """Fires when the highest price is so far above the lowest; again once it was nearer in between.

    Attributes:
        threshold_bps: The least spread that it fires at, in hundredths of a percent of the lowest price.
        max_age: A venue without a candle counts with its last price for so many intervals, then no more.
    """

    threshold_bps: Annotated[float, msgspec.Meta(gt=0)] = 10.0
    max_age: Annotated[int, msgspec.Meta(ge=0)] = 5

    def is_reached(self, spread_bps: float) -> bool:
        """Whether a spread is wide enough."""
        return spread_bps >= self.threshold_bps

    def strength(self, spread_bps: float) -> float:
        """How far a spread that is wide enough is beyond the threshold: 0 at it, 0.5 at its double."""
        return 1.0 - self.threshold_bps / spread_bps


def spread_bps(prices: Mapping[str, float]) -> float:
    """How far the highest price is above the lowest, in basis points of the lowest."""
    low, high = min(prices.values()), max(prices.values())
    return (high - low) / low * BASIS_POINTS


def cheapest(prices: Mapping[str, float]) -> str:
    """The venue with the lowest price, the first by name where several have it."""
    return min(sorted(prices), key=prices.__getitem__)
