"""How templates write prices, shares and times."""

from __future__ import annotations

import datetime as dt
import decimal
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
FIGURE_DIGITS: Final = 6
NAME_CHARACTERS: Final = 28
"""Longer than this is no name of a value, but prose with a colon."""
_NUMBERS: Final = (int, float)


def price(value: object) -> str:
    """A price or a quantity: thousands in groups, every digit that it has; a text stays as it came."""
    return _grouped(value, None)


def figure(value: object) -> str:
    """An indicator or another figure, to six digits; a text stays as it came."""
    return _grouped(value, FIGURE_DIGITS)


def percent(value: object) -> str:
    """A share of one in percent: 0.8 is 80 %."""
    return f"{float(value) * 100.0:.3g} %" if _is_number(value) else str(value)  # type: ignore[arg-type]


def signed(value: object) -> str:
    """A gain or loss with its sign."""
    text = price(value)
    return text if text.startswith(("-", "+")) else f"+{text}"


def time(micros: int) -> str:
    """A time in microseconds since the epoch, for people: to the second, UTC."""
    return f"{_EPOCH + dt.timedelta(microseconds=micros):%Y-%m-%d %H:%M:%S} UTC"


def clock(micros: int) -> str:
    """The time of day alone, UTC."""
    return f"{_EPOCH + dt.timedelta(microseconds=micros):%H:%M:%S}"


def words(name: str) -> str:
    """The name of a field as words."""
    return name.replace("_", " ")


class Row(NamedTuple):
    """A line of a text: `name: value`, or prose with an empty name."""

    name: str
    value: str


def rows(text: str) -> list[Row]:
    """The lines of a text for a page: those that name a value apart from prose."""
    found = []
    for line in filter(str.strip, text.splitlines()):
        name, colon, value = line.partition(": ")
        named = bool(colon) and len(name) <= NAME_CHARACTERS and "." not in name and name == name.lower()
        found.append(Row(name, value) if named else Row("", line))
    return found


def _grouped(value: object, digits: int | None) -> str:
    if not _is_number(value):
        return str(value)
    number = decimal.Decimal(repr(value) if isinstance(value, float) else str(value))
    if digits is not None:
        number = decimal.Context(prec=digits).plus(number)
    if not number.is_finite():
        return str(value)
    # A number with a point, never with an exponent: 1e-08 of a coin is 0.00000001.
    text = f"{number:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _is_number(value: object) -> bool:
    if isinstance(value, bool):
        return False
    if isinstance(value, str):
        # Details of system events are texts; only what is plainly a number is written as one.
        body = value.removeprefix("-")
        return body.replace(".", "", 1).isdigit() and body.isascii() and not body.startswith("00")
    return isinstance(value, _NUMBERS)


FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    "price": price,
    "figure": figure,
    "percent": percent,
    "signed": signed,
    "time": time,
    "clock": clock,
    "words": words,
    "rows": rows,
}
"""All filters of ours, by the names that templates use."""
