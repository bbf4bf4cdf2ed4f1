"""Spreads of venues by plain Python that looks at all prices for each open time: what the state must give."""

from collections.abc import Sequence

from schemas.identity import signal_id
from schemas.records import VenuePrice

SECOND = 1_000_000


def expected_spreads(
    prices: Sequence[VenuePrice], threshold_bps: int, max_age: int, on_incomplete: bool = False
) -> dict[str, tuple[float, bool]]:
    """Spread and soundness of the signals, by id; of prices of one second, all in time."""
    found = {}
    for symbol in {each.symbol for each in prices}:
        was_reached = False
        own = sorted((each for each in prices if each.symbol == symbol), key=lambda each: each.open_time)
        for opened in sorted({each.open_time for each in own}):
            held = {each.venue: each for each in own if 0 <= opened - each.open_time <= max_age * SECOND}
            complete = all(each.complete for each in held.values())
            if len(held) < 2 or not (complete or on_incomplete):
                continue
            low = min(sorted(held), key=lambda venue: held[venue].price)
            spread = (max(each.price for each in held.values()) - held[low].price) / held[low].price * 10_000
            if spread >= threshold_bps and not was_reached:
                rule = f"venue_spread_{threshold_bps}_{max_age}"
                found[signal_id(low, symbol, "1s", opened, rule)] = spread, complete
            was_reached = spread >= threshold_bps
    return found
