"""Shell patterns of market keys, as settings write them after an `@`."""

from collections.abc import Iterable
from fnmatch import fnmatchcase

from schemas.errors import ConfigurationError


def parse_markets(place: str, text: str) -> tuple[str, ...]:
    """Read patterns separated by `|`; none: all markets.

    Args:
        place: `binance:BTC/*|*:ETH/USDT`.
        text: The whole setting, for the error.

    Raises:
        ConfigurationError: A pattern can fit no `venue:symbol`.
    """
    patterns = tuple(filter(None, map(str.strip, place.split("|")))) or ("*",)
    for pattern in patterns:
        # Only a pattern that is open where it has no colon can fit `venue:symbol`.
        is_open = pattern.startswith("*") or (pattern.endswith("*") and "/" not in pattern)
        if "@" in pattern or not (":" in pattern or is_open):
            raise ConfigurationError(
                f"{text!r}: markets are venue:symbol, as binance:BTC/* or *:ETH/USDT; got {pattern}"
            )
    return patterns


def fits(name: str, patterns: Iterable[str]) -> bool:
    """Whether one of the patterns fits a key, or any other name."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)
