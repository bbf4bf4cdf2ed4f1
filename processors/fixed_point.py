"""Sums over moving windows as whole numbers, so that a value takes away exactly what it added.

A double is a whole number of units of 2**-BITS, and Python's whole numbers have no end: such a sum never
drifts, a huge value that has left the window leaves no trace, and the sum follows from what is in the window
alone, however long the series is. Dividing two whole numbers rounds once. It is also faster than compensated
sums in Python.

    total += int(value * UNITS)             # enters
    total -= int(oldest * UNITS)            # leaves
    mean = total / (count << BITS)
"""

from typing import Final

BITS: Final = 160
"""Every bit of a value counts from 2**-107 (6e-33) up; what is smaller is cut off below 2**-160."""
UNITS: Final = 2.0**BITS
"""Units in 1.0; a value of up to 1e260 can be multiplied by it."""
