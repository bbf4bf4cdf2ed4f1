"""Which sets of parameters are tried: all of a grid, or some drawn from ranges.

fast=5:50:5        5, 10, ... 50: both ends are tried
depth=0.01,0.02    these
fast=5:50          whole numbers from 5 to 50, to be drawn from; 0.1:2.0: any number between
kind=ema           this one
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from itertools import product
from math import prod
from typing import Final, TypeAlias

from schemas.errors import ConfigurationError

Value: TypeAlias = int | float | str
Parameters: TypeAlias = dict[str, Value]
Allowed: TypeAlias = Callable[[Mapping[str, Value]], bool]

MOST_SETS: Final = 1_000_000
"""Of a grid; a larger one is a slip of the pen, or a case for drawing."""
TRIES: Final = 100
"""Draws for each set that is wanted, before it is said that there are not so many."""
DIGITS: Final = 6
"""Of a number that is drawn: enough to search, few enough to be typed again."""


@dataclass(frozen=True, slots=True)
class Axis:
    """The values of one parameter.

    Attributes:
        name: Of the parameter.
        values: Those that are tried; of a range, none.
        low: Lower end of a range; both ends belong to it.
        high: Upper end.
    """

    name: str
    values: tuple[Value, ...] = ()
    low: int | float = 0
    high: int | float = 0

    def draw(self, source: random.Random) -> Value:
        """One value."""
        if self.values:
            return source.choice(self.values)
        if isinstance(self.low, int) and isinstance(self.high, int):
            return source.randint(self.low, self.high)
        return float(f"{source.uniform(self.low, self.high):.{DIGITS}g}")


def axis_of(text: str) -> Axis:
    """Read `name=from:to:step`, `name=a,b,c`, `name=from:to` or `name=a`.

    Raises:
        ConfigurationError: It is none of these, or empty.
    """
    name, equals, rest = (part.strip() for part in text.partition("="))
    if not equals or not name.isidentifier() or not rest:
        raise ConfigurationError(f"expected name=from:to:step or name=a,b,c, got {text!r}")
    if ":" not in rest:
        values = tuple(_value(each.strip()) for each in rest.split(","))
        return Axis(name, tuple(dict.fromkeys(values)))
    try:
        ends = [Decimal(each.strip()) for each in rest.split(":")]
    except InvalidOperation:
        ends = []
    if len(ends) not in (2, 3) or not all(each.is_finite() for each in ends) or ends[0] > ends[1]:
        raise ConfigurationError(f"expected {name}=from:to or {name}=from:to:step, rising, got {text!r}")
    whole = "." not in rest and "e" not in rest.lower()
    if len(ends) == 2:
        low, high = (int(each) if whole else float(each) for each in ends)
        return Axis(name, (), low, high)
    first, last, step = ends
    if step <= 0 or (last - first) / step >= MOST_SETS:
        raise ConfigurationError(f"{text!r}: a step is above 0 and leaves fewer than {MOST_SETS} values")
    steps = range(int((last - first) // step) + 1)
    return Axis(name, tuple(int(first + step * n) if whole else float(first + step * n) for n in steps))


def grid(axes: Sequence[Axis], allowed: Allowed) -> list[Parameters]:
    """Every allowed combination; the last axis moves fastest.

    Raises:
        ConfigurationError: An axis is a range without a step, comes twice, or there are too many sets.
    """
    _check(axes)
    for axis in axes:
        if not axis.values:
            raise ConfigurationError(
                f"a grid needs steps: {axis.name}={axis.low}:{axis.high}:STEP; or draw with --random N"
            )
    if prod(len(axis.values) for axis in axes) > MOST_SETS:
        raise ConfigurationError(f"a grid has at most {MOST_SETS} sets: make steps wider, or use --random N")
    names = [axis.name for axis in axes]
    sets = (dict(zip(names, each, strict=True)) for each in product(*(axis.values for axis in axes)))
    return [each for each in sets if allowed(each)]


def drawn(axes: Sequence[Axis], count: int, allowed: Allowed, seed: int) -> list[Parameters]:
    """Allowed sets at random, each at most once; the same seed draws the same ones.

    Returns:
        `count` sets; fewer where there are hardly more.

    Raises:
        ConfigurationError: An axis comes twice.
    """
    _check(axes)
    found: dict[tuple[Value, ...], Parameters] = {}
    for one in _draws(axes, count * TRIES, seed):
        if allowed(one):
            found.setdefault(tuple(one.values()), one)
            if len(found) == count:
                break
    return list(found.values())


def _draws(axes: Sequence[Axis], count: int, seed: int) -> Iterator[Parameters]:
    source = random.Random(seed)  # noqa: S311 - not for secrets
    for _ in range(count):
        yield {axis.name: axis.draw(source) for axis in axes}


def _check(axes: Sequence[Axis]) -> None:
    names = [axis.name for axis in axes]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigurationError(f"{', '.join(twice)} is given twice")


def _value(text: str) -> Value:
    if not text:
        raise ConfigurationError("expected values between the commas, got nothing")
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
