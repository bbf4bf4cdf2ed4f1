"""Events of a made market that begins by itself, for tests that need no server."""

from collections.abc import Iterator, Sequence

from producers.simulator.numbering import number
from producers.simulator.prices import Instrument, MarketEvent, merged


def seeded_market(
    symbols: Sequence[tuple[str, str]], seed: int, start: int, trades_per_second: float
) -> Iterator[MarketEvent]:
    """The events in the order of their times, without end; ids begin by the clock.

    Args:
        symbols: Unified symbol and venue symbol of each instrument.
        seed: Of its course.
        start: Time of its beginning, µs since the epoch.
        trades_per_second: Of each symbol, on average.
    """
    instruments = [Instrument(*names, seed, trades_per_second) for names in symbols]
    number(instruments, seed, trades_per_second, start, None)
    return merged(instruments, start)
