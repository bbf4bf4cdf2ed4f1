"""Exact numbers as a command line gives them."""

from decimal import Decimal, InvalidOperation
from typing import Any, Final

import click


class Amount(click.ParamType):
    """An exact number above 0."""

    name = "number"
    told = "above 0"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        """Read a decimal number."""
        try:
            found = Decimal(str(value))
        except InvalidOperation:
            self.fail(f"{value!r} is no number", param, ctx)
        if not found.is_finite() or not self.holds(found):
            self.fail(f"{value} is not {self.told}", param, ctx)
        return found

    def holds(self, number: Decimal) -> bool:
        """Whether a number is such an amount."""
        return number > 0


class Part(Amount):
    """A part of a price or a value, not percent."""

    told = "a part: 0 or more and below 1, 0.001 is 0.1 %"

    def holds(self, number: Decimal) -> bool:
        """Whether a number is such a part."""
        return 0 <= number < 1


AMOUNT: Final = Amount()
PART: Final = Part()
