"""Times and lists of names as a command line gives them."""

from collections.abc import Sequence
from typing import Any

import click

from kandle.times import parse_time


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


class Names(click.ParamType):
    """Names, separated by commas."""

    name = "names"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Sequence[str]:
        """The names that are not empty."""
        if not isinstance(value, str):
            return list(value)
        return [name.strip() for name in value.split(",") if name.strip()]
