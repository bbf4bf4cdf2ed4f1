"""Texts and numbers of a file to the columns of trades.

Whole columns are converted at once; what does not fit raises ValueError with a reason that names the value.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from kandle.times import LARGEST_MS, LARGEST_S, LARGEST_US, parse_time

Value = str | int | None
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

LAST_TIME: Final = 1 << 52
"""Microseconds; the candles end there, in the year 2112."""
LARGEST_ID: Final = 1 << 62

_SIDES: Final = {
    "": 0,
    "none": 0,
    "null": 0,
    "unknown": 0,
    **dict.fromkeys(("buy", "b", "bid", "buyer", "long", "1", "+1"), 1),
    **dict.fromkeys(("sell", "s", "ask", "seller", "short", "-1"), 2),
}
_TYPES: Final = {word: side for word, side in _SIDES.items() if word.isalpha()}
"""Numbers mean this at one venue and that at another."""
_MAKERS: Final = {
    "": 0,
    "none": 0,
    "null": 0,
    **dict.fromkeys(("false", "f", "0", "no"), 1),
    **dict.fromkeys(("true", "t", "1", "yes"), 2),
}


def times_of(column: Sequence[Value]) -> Ints:
    """Microseconds since the epoch, rounded down, from epoch numbers of any unit or ISO 8601."""
    try:
        numbers = np.array([int(value) for value in column], np.int64)  # type: ignore[arg-type]
    except (ValueError, TypeError, OverflowError):
        times = np.array([parse_time("" if value is None else str(value)) for value in column], np.int64)
    else:
        size = np.abs(numbers)
        times = np.where(
            size < LARGEST_MS,
            numbers * np.where(size < LARGEST_S, 1_000_000, 1_000),
            np.where(size < LARGEST_US, numbers, numbers // 1_000),
        )
    if times.min() < 0 or times.max() >= LAST_TIME:
        raise ValueError(
            f"time lies between 1970 and 2112, got {_first(column, (times < 0) | (times >= LAST_TIME))}"
        )
    return times


def prices_of(column: Sequence[Value]) -> Floats:
    """Prices above 0."""
    prices = _floats("price", column)
    good = (prices > 0.0) & (prices < np.inf)
    if not good.all():
        raise ValueError(f"price is above 0, got {_first(column, ~good)}")
    return prices


def sizes_of(column: Sequence[Value]) -> Floats:
    """Sizes, 0 or more."""
    sizes = _floats("size", column)
    good = (sizes >= 0.0) & (sizes < np.inf)
    if not good.all():
        raise ValueError(f"size is 0 or more, got {_first(column, ~good)}")
    return sizes


def _floats(field: str, column: Sequence[Value]) -> Floats:
    try:
        return np.array([float(value) for value in column], np.float64)  # type: ignore[arg-type]
    except (ValueError, TypeError, OverflowError):
        bad = next(value for value in column if not _is_float(value))
        raise ValueError(f"{field} is a number, got {bad!r}") from None


def _is_float(value: Value) -> bool:
    try:
        float(value)  # type: ignore[arg-type]
    except (ValueError, TypeError, OverflowError):
        return False
    return True


def sides_of(column: Sequence[Value]) -> Ints:
    """Aggressors: 1 bought, 2 sold, 0 is not known."""
    return _looked_up("side is buy or sell", column, _SIDES)


def sides_of_types(column: Sequence[Value]) -> Ints:
    """Aggressors from types, which may be those of orders or of records instead: then none is known."""
    return np.array([_TYPES.get(str(value).strip().lower(), 0) for value in column], np.int64)


def sides_of_makers(column: Sequence[Value]) -> Ints:
    """Aggressors from whether the buyer was the maker."""
    return _looked_up("'is buyer maker' is true or false", column, _MAKERS)


def _looked_up(rule: str, column: Sequence[Value], table: dict[str, int]) -> Ints:
    try:
        return np.array([table[str(value).strip().lower()] for value in column], np.int64)
    except KeyError as error:
        raise ValueError(f"{rule}, got {error.args[0]!r}") from None


def ids_of(column: Sequence[Value]) -> Ints | list[str]:
    """Whole numbers, -1: none; if one of them is no number all of them as texts, empty: none."""
    try:
        numbers = np.array([-1 if value is None or value == "" else int(value) for value in column], np.int64)
    except (ValueError, TypeError, OverflowError):
        return texts_of(column)
    given = np.array([value is not None and value != "" for value in column])
    if np.any(numbers[given] < 0) or np.any(numbers >= LARGEST_ID):
        return texts_of(column)
    return numbers


def texts_of(column: Sequence[Value]) -> list[str]:
    """Texts, empty for null."""
    return ["" if value is None else str(value).strip() for value in column]


def _first(column: Sequence[Value], bad: npt.NDArray[np.bool_]) -> str:
    return repr(column[int(np.flatnonzero(bad)[0])])
