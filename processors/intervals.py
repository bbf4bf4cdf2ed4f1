"""The intervals of candles: their names, their lengths and where they begin."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from schemas.errors import ConfigurationError

_SECOND = 1_000_000
_MINUTE = 60 * _SECOND
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR


@dataclass(frozen=True, slots=True)
class Interval:
    """A fixed length of time, counted from an anchor.

    Attributes:
        name: As in topics and tables: 1s, 1m, 1h.
        length: Microseconds.
        anchor: A time at which one begins, microseconds since the epoch, UTC.
    """

    name: str
    length: int
    anchor: int = 0

    def open_time(self, time: int) -> int:
        """Start of the interval that holds a time, microseconds."""
        return time - (time - self.anchor) % self.length


INTERVALS: Mapping[str, Interval] = MappingProxyType(
    {
        interval.name: interval
        for interval in (
            Interval("1s", _SECOND),
            Interval("1m", _MINUTE),
            Interval("3m", 3 * _MINUTE),
            Interval("5m", 5 * _MINUTE),
            Interval("15m", 15 * _MINUTE),
            Interval("30m", 30 * _MINUTE),
            Interval("1h", _HOUR),
            Interval("4h", 4 * _HOUR),
            Interval("1d", _DAY),
            Interval("1w", 7 * _DAY, 4 * _DAY),  # the epoch was a Thursday, weeks begin on Monday
        )
    }
)


def intervals_of(names: Sequence[str]) -> tuple[Interval, ...]:
    """The intervals of some names, shortest first.

    Raises:
        ConfigurationError: No name, an unknown or a repeated one, or one that cannot be rolled up from
            the shortest.
    """
    unknown = [name for name in names if name not in INTERVALS]
    if unknown or not names or len(set(names)) != len(names):
        raise ConfigurationError(
            f"intervals are some of {', '.join(INTERVALS)}, each once; got {', '.join(names) or 'none'}"
        )
    chosen = sorted((INTERVALS[name] for name in names), key=lambda interval: interval.length)
    shortest = chosen[0]
    for interval in chosen:
        if interval.length % shortest.length or (interval.anchor - shortest.anchor) % shortest.length:
            raise ConfigurationError(
                f"{interval.name} is not made of whole {shortest.name}, from which it is rolled up; "
                f"add a shorter interval that divides both"
            )
    return tuple(chosen)
