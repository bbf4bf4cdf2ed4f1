"""The edge: texts and numbers of a venue become values of the contract here, or are refused with a reason.

Nothing that is not a plain finite number, within what any market knows, passes into a market topic.
"""

import contextlib
import functools
import math
from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation
from typing import Final, TypeVar

import msgspec

from producers.exchange import BadRecord
from schemas.records import Micros

PRICE_LIMIT: Final = 1e15
SIZE_LIMIT: Final = 1e18
"""No market is quoted or traded in larger numbers; what is beyond is a fault of the wire."""

EXACT_LENGTH: Final = 15
"""A decimal text no longer than this survives a 64-bit float: IEEE 754, DBL_DIG."""

LARGEST_SEQUENCE: Final = 2**63 - 1

EXPONENT_LIMIT: Final = 40
"""Powers of ten of a number that is written out in full, more than any market has."""

EARLIEST_US: Final = 1_230_768_000_000_000
LATEST_US: Final = 4_102_444_800_000_000
"""2009-01-01 and 2100-01-01: event times outside are not times of a market."""

MICROSECONDS_FROM: Final = 100_000_000_000_000
"""A time at or above is in microseconds, below it in milliseconds: no market time is ambiguous."""

LONGEST_TIME: Final = 40
"""Characters that a time may have: no venue writes more."""

_T = TypeVar("_T")


def positive_price(text: str) -> float:
    """A price above 0, in quote currency per base unit.

    Raises:
        BadRecord: The text is not a plain decimal number in that range; `reason` is `price`.
    """
    if text.isascii() and text.replace(".", "", 1).isdigit():
        value = float(text)
        if 0.0 < value < PRICE_LIMIT:
            return value
    raise _refusal("price", "above 0", PRICE_LIMIT, text)


def price_or_empty(text: str) -> float | None:
    """A price, or None where the venue writes 0 for the price of an empty side.

    Raises:
        BadRecord: The text is not a plain decimal number in range; `reason` is `price`.
    """
    if text.isascii() and text.replace(".", "", 1).isdigit():
        value = float(text)
        if 0.0 <= value < PRICE_LIMIT:
            return value or None
    raise _refusal("price", "of at least 0", PRICE_LIMIT, text)


def size(text: str) -> float:
    """An amount of at least 0, in the unit of the text.

    Raises:
        BadRecord: The text is not a plain decimal number in range; `reason` is `size`.
    """
    if text.isascii() and text.replace(".", "", 1).isdigit():
        value = float(text)
        if 0.0 <= value < SIZE_LIMIT:
            return value
    raise _refusal("size", "of at least 0", SIZE_LIMIT, text)


def signed(text: str) -> float:
    """A number of either sign, such as a rate or a change, in the unit of the text.

    Raises:
        BadRecord: The text is not a plain decimal number in range; `reason` is `number`.
    """
    value = _plain(text.removeprefix("-"))
    if not value < PRICE_LIMIT:
        raise _refusal("number", "of either sign", PRICE_LIMIT, text)
    return (-value if text.startswith("-") else value) or 0.0


def levels(pairs: Sequence[tuple[str, str]]) -> tuple[list[float], list[float]]:
    """Prices above 0 and sizes of at least 0 of the levels of a book; judged all at once, half a µs a level.

    Raises:
        BadRecord: A text is not a plain decimal number in range; `reason` is `price` or `size`.
    """
    if not pairs:
        return [], []
    price_texts, size_texts = zip(*pairs, strict=True)
    return (
        _column(price_texts, positive_price, 0.0, PRICE_LIMIT),
        _column(size_texts, size, -1.0, SIZE_LIMIT),
    )


def ohlc(open_: float, high: float, low: float, close: float, volume: float | None = None) -> None:
    """Check that the prices of a candle fit each other, and its volume if it has one.

    Raises:
        BadRecord: The highest is not the highest, the lowest not the lowest, or the volume is below 0;
            `reason` is `ohlc`.
    """
    if not (low <= open_ <= high and low <= close <= high):
        raise BadRecord(
            "ohlc",
            f"expected low <= open and close <= high, got {open_}, {high}, {low}, {close} (o, h, l, c)",
        )
    if volume is not None and not volume >= 0:
        raise BadRecord("ohlc", f"expected a volume of at least 0, got {volume}")


def sequence(number: int) -> int:
    """An id that counts up, as the log keeps it: 0 to 2**63 - 1.

    Raises:
        BadRecord: It is outside; `reason` is `id`.
    """
    if not 0 <= number <= LARGEST_SEQUENCE:
        raise BadRecord("id", f"expected an id of 0 to 2**63 - 1, got {number}")
    return number


def number_text(raw: msgspec.Raw | bytes) -> str:
    """A JSON number as the plain decimal text that the checks here judge: `1.2e-05` is `0.000012`.

    Raises:
        BadRecord: It is a text, null or anything but a number; `reason` is `shape`.
    """
    text = bytes(raw).decode("ascii", "replace")
    if text.replace(".", "", 1).isdigit():
        return text
    if text[:1] not in "-0123456789" or not text:
        raise BadRecord("shape", f"expected a number, got {text[:40]}")
    with contextlib.suppress(InvalidOperation):
        value = Decimal(text)
        if abs(value.adjusted()) < EXPONENT_LIMIT:
            return f"{value:f}"
    return text


def price_number(value: float) -> float:
    """As `positive_price`, for a price that came as a JSON number."""
    if not 0.0 < value < PRICE_LIMIT:
        raise _refusal("price", "above 0", PRICE_LIMIT, repr(value))
    return value


def size_number(value: float) -> float:
    """As `size`, for an amount that came as a JSON number."""
    if not 0.0 <= value < SIZE_LIMIT:
        raise _refusal("size", "of at least 0", SIZE_LIMIT, repr(value))
    return value


def sequence_text(text: str) -> int:
    """As `sequence`, for an id that came as text.

    Raises:
        BadRecord: It is no whole number, or out of range; `reason` is `id`.
    """
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(LARGEST_SEQUENCE))):
        raise BadRecord("id", f"expected an id of 0 to 2**63 - 1, got {text[:40]!r}")
    return sequence(int(text))


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


def text_of(number: str | int | float) -> str:
    """The plain decimal text of a number that a venue sends as text or as a JSON number, exponent or not."""
    if isinstance(number, str):
        return number
    return str(number) if isinstance(number, int) else format(Decimal(repr(number)), "f")


def instant(number: str | int | float) -> Micros:
    """A time in s, ms, µs or ns, told apart by its size, as microseconds; a fraction of it is kept exactly.

    Raises:
        BadRecord: It is no time of a market in any of these units; `reason` is `time`.
    """
    text = text_of(number)
    whole, _, fraction = text.partition(".")
    if text.isascii() and whole.isdigit() and (whole + fraction).isdigit() and len(text) < LONGEST_TIME:
        for places, parts in ((3, 1), (6, 1), (0, 1), (0, 1_000)):
            value = int(whole + fraction.ljust(places, "0")[:places]) // parts
            if EARLIEST_US <= value < LATEST_US:
                return value
    raise BadRecord("time", f"expected a time of 2009 to 2100 in s, ms, µs or ns, got {text[:40]!r}")


def base_size(contracts: float, multiplier: float) -> float:
    """Base units of a number of contracts, rounded once where the number is whole and the factor short."""
    units, parts = _ratio(multiplier)
    return contracts * units / parts


def decoded(decode: Callable[[bytes], _T], raw: bytes) -> _T:
    """What a decoder makes of a text.

    Raises:
        BadRecord: It is no JSON (`json`) or has another shape (`shape`).
    """
    try:
        return decode(raw)
    except msgspec.ValidationError as error:
        raise BadRecord("shape", f"the message has not the expected shape: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRecord("json", f"the frame is not JSON: {error}") from None


@functools.lru_cache(maxsize=4096)
def _ratio(multiplier: float) -> tuple[int, int]:
    return Decimal(repr(multiplier)).as_integer_ratio()


def _column(texts: tuple[str, ...], check: Callable[[str], float], above: float, below: float) -> list[float]:
    """The numbers of texts, judged all at once; one by one only to name the one that is bad."""
    digits = "".join(texts).replace(".", "")
    if digits.isascii() and digits.isdigit():
        with contextlib.suppress(ValueError):
            values = list(map(float, texts))
            if min(values) > above and max(values) < below:
                return values
    return list(map(check, texts))


def _plain(text: str) -> float:
    """The number of a plain decimal text; NaN for everything else, so that one comparison refuses it."""
    if text.isascii() and text.replace(".", "", 1).isdigit():
        return float(text)
    return math.nan


def _refusal(name: str, bound: str, limit: float, text: str) -> BadRecord:
    return BadRecord(
        name, f"expected a {name} {bound} and below {limit:g} as a plain number, got {text[:40]!r}"
    )
