"""Sums over moving windows as whole numbers, so that a value takes away exactly what it added.

A double is a whole number of units of 2**-BITS, and Python's whole numbers have no end: such a sum never
drifts, a huge value that has left the window leaves no trace, and the sum follows from what is in the window
alone, however long the series is. Dividing two whole numbers rounds once. It is also faster than compensated
sums in Python.

    total += int(value * UNITS)             # enters
    total -= int(oldest * UNITS)            # leaves
    mean = total / (count << BITS)
"""

from collections.abc import Sequence
from math import nan
from typing import Final

import numpy as np
import numpy.typing as npt

BITS: Final = 160
"""Every bit of a value counts from 2**-107 (6e-33) up; what is smaller is cut off below 2**-160."""
UNITS: Final = 2.0**BITS
"""Units in 1.0; a value of up to 1e260 can be multiplied by it."""
_HALF: Final = 30
_LOW: Final = (1 << _HALF) - 1


def whole_units(column: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.int64], int] | None:
    """Values, one at least, as whole numbers below 2**62, in units of 2**-bits, and these bits; all is kept.

    Returns:
        None where a value is not above 0, below 6e-33, or over a hundred times another.
    """
    if not (np.isfinite(column).all() and (column > 0.0).all()):
        return None
    _, exponents = np.frexp(column)
    bits = 55 - int(exponents.min())
    if bits > BITS or int(exponents.max()) + bits > 62:
        return None
    return np.ldexp(column, bits).astype(np.int64), bits


def window_means(values: Sequence[float], count: int) -> list[float] | None:
    """Mean of each window of `count` values, rounded once as above; nan before there are so many.

    The units are so small that each value has 55 bits or more, which keeps all of it. Sums are held in two
    parts that cannot overflow. The quotient has 55 bits or more as well, and its last bit says whether the
    division left a rest: turned into a double, it is rounded as the exact quotient would be.

    Returns:
        One mean a value; None where a value is not above 0, below 6e-33, or over a hundred times another.
    """
    column = np.asarray(values, np.float64)
    if len(column) < count:
        return [nan] * len(column)
    whole = whole_units(column)
    if whole is None:
        return None
    units, bits = whole
    high, low = (np.concatenate(([0], part.cumsum())) for part in (units >> _HALF, units & _LOW))
    high, rest = np.divmod(high[count:] - high[:-count], count)
    low, rest = np.divmod((rest << _HALF) + low[count:] - low[:-count], count)
    quotient = (high << _HALF) + low | (rest > 0)
    means: list[float] = np.ldexp(quotient.astype(np.float64), -bits).tolist()
    return [nan] * (count - 1) + means
