"""Times and lists of names as a command line gives them."""

import time
from collections.abc import Sequence
from typing import Any, Final

import click

from kandle.times import parse_time

UNITS_S: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


class Moment(click.ParamType):
    """A time, as microseconds since the epoch."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read ISO 8601, or an epoch number of any unit."""
        if isinstance(value, int):
            return value
        try:
            return parse_time(value)
        except ValueError as error:
            self.fail(f"{error}; as 2026-01-31T12:00:00Z", param, ctx)


class Since(click.ParamType):
    """A time, or an age, as microseconds since the epoch."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read ISO 8601, an epoch number of any unit, or 90s, 5m, 2h, 1d."""
        text = str(value).strip().lower()
        if text[-1:] in UNITS_S and text[:-1].isdigit():
            return time.time_ns() // 1_000 - int(text[:-1]) * UNITS_S[text[-1]] * 1_000_000
        try:
            return parse_time(text.upper())
        except ValueError:
            self.fail(f"{value!r} is no time as 2026-01-31T12:00:00Z, and no age as 2h", param, ctx)


class Names(click.ParamType):
    """Names, separated by commas."""

    name = "names"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Sequence[str]:
        """The names that are not empty."""
        if not isinstance(value, str):
            return list(value)
        return [name.strip() for name in value.split(",") if name.strip()]
