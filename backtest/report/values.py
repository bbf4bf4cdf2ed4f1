"""Values as people read them, by their unit."""

from __future__ import annotations

import datetime as dt
from typing import Final

from backtest.statistics import Unit
from schemas.records import Micros

NOTHING: Final = "-"
"""What stands for a figure that is not defined."""
_SPANS: Final = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def shown(unit: Unit, value: float | None) -> str:
    """A figure for people; `-` if it is not defined."""
    if value is None:
        return NOTHING
    match unit:
        case "time":
            return moment(int(value))
        case "count":
            return f"{value:,.0f}"
        case "part":
            return per_cent(value)
        case "money":
            return money(value)
        case "duration":
            return span(value)
        case "ratio":
            return f"{value:,.2f}"


def per_cent(value: float) -> str:
    """A part as percent, with two decimals."""
    return f"{100 * value:,.2f} %"


def money(value: float) -> str:
    """An amount with two decimals; smaller ones than a tenth with three digits."""
    return f"{value:,.2f}" if abs(value) >= 0.1 or not value else f"{value:.3g}"


def moment(time: Micros) -> str:
    """A time to the second, UTC."""
    return dt.datetime.fromtimestamp(time / 1_000_000, dt.UTC).strftime("%Y-%m-%d %H:%M:%S")


def span(seconds: float) -> str:
    """A length of time by its two largest units: 3 d 4 h."""
    rest = round(seconds)
    parts: list[tuple[int, str]] = []
    for name, size in _SPANS:
        count, rest = divmod(rest, size)
        if count or (parts and len(parts) < 2):
            parts.append((count, name))
        if len(parts) == 2:
            break
    return " ".join(f"{count:,} {name}" for count, name in parts if count) or "0 s"
