"""The edge: texts and numbers of a venue become values of the contract here, or are refused with a reason.

Nothing that is not a plain finite number, within what any market knows, passes into a market topic.
"""

import math
from decimal import Decimal
from typing import Final, NoReturn

from producers.exchange import BadRecord
from schemas.records import Micros

PRICE_LIMIT: Final = 1e15
SIZE_LIMIT: Final = 1e18
"""No market is quoted or traded in larger numbers; what is beyond is a fault of the wire."""

EXACT_LENGTH: Final = 15
"""A decimal text no longer than this survives a 64-bit float: IEEE 754, DBL_DIG."""

LARGEST_SEQUENCE: Final = 2**63 - 1

EARLIEST_US: Final = 1_230_768_000_000_000
LATEST_US: Final = 4_102_444_800_000_000
"""2009-01-01 and 2100-01-01: event times outside are not times of a market."""

MICROSECONDS_FROM: Final = 100_000_000_000_000
"""A time at or above is in microseconds, below it in milliseconds: no market time is ambiguous."""


def positive_price(text: str) -> float:
    """A price above 0, in quote currency per base unit.

    Raises:
        BadRecord: The text is not a plain decimal number in that range; `reason` is `price`.
    """
    value = _plain(text)
    if not 0.0 < value < PRICE_LIMIT:
        _refuse("price", "above 0", PRICE_LIMIT, text)
    return value


def price_or_empty(text: str) -> float | None:
    """A price, or None where the venue writes 0 for the price of an empty side.

    Raises:
        BadRecord: The text is not a plain decimal number in range; `reason` is `price`.
    """
    value = _plain(text)
    if not 0.0 <= value < PRICE_LIMIT:
        _refuse("price", "of at least 0", PRICE_LIMIT, text)
    return value or None


def size(text: str) -> float:
    """An amount of at least 0, in the unit of the text.

    Raises:
        BadRecord: The text is not a plain decimal number in range; `reason` is `size`.
    """
    value = _plain(text)
    if not 0.0 <= value < SIZE_LIMIT:
        _refuse("size", "of at least 0", SIZE_LIMIT, text)
    return value


def sequence(number: int) -> int:
    """An id that counts up, as the log keeps it: 0 to 2**63 - 1.

    Raises:
        BadRecord: It is outside; `reason` is `id`.
    """
    if not 0 <= number <= LARGEST_SEQUENCE:
        raise BadRecord("id", f"expected an id of 0 to 2**63 - 1, got {number}")
    return number


def is_inexact(text: str, value: float | None) -> bool:
    """Whether the text says more than the float keeps; None stands for 0."""
    return len(text) > EXACT_LENGTH and Decimal(text) != Decimal(repr(value or 0.0))


def micros(time: int) -> Micros:
    """A time in milli- or microseconds, told apart by its size, as microseconds.

    Raises:
        BadRecord: It is no time of a market in either unit; `reason` is `time`.
    """
    value = time if time >= MICROSECONDS_FROM else time * 1_000
    if not EARLIEST_US <= value < LATEST_US:
        raise BadRecord("time", f"expected a time of 2009 to 2100 in milli- or microseconds, got {time}")
    return value


def _plain(text: str) -> float:
    """The number of a plain decimal text; NaN for everything else, so that one comparison refuses it."""
    if text.isascii() and text.replace(".", "", 1).isdigit():
        return float(text)
    return math.nan


def _refuse(name: str, bound: str, limit: float, text: str) -> NoReturn:
    raise BadRecord(
        name, f"expected a {name} {bound} and below {limit:g} as a plain number, got {text[:40]!r}"
    )
