"""Indicators over whole columns, compiled: for who has all candles at once, as a backtest has.

Each does to a column what the `update` of its indicator does candle by candle, operation by operation, so
that the values are equal bit for bit. It is imported when columns are asked for: what takes candles one by
one does not pay for loading it.

A kernel writes to `found`, which holds nan where it writes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import nan
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from numba import types

from processors.fixed_point import whole_units
from processors.indicator import Columns
from schemas.compiled import compiled

Column = npt.NDArray[np.float64]
_IN: Final = types.Array(types.float64, 1, "C", readonly=True)
_UNITS: Final = types.Array(types.int64, 1, "C", readonly=True)
_OUT: Final = types.float64[::1]
_TABLE: Final = types.float64[:, ::1]

LIMB: Final = 21
"""Bits of a digit: three make a price, and products of two leave room for sums."""
DIGIT: Final = (1 << LIMB) - 1
FULL: Final = 1 << 62
WIDEST: Final = 512
"""Closes in a window whose squares fit."""


def column_of(values: Sequence[float]) -> Column:
    """A column as the kernels take it; not copied if it is one."""
    return np.ascontiguousarray(values, np.float64)


def prices_of(columns: Columns) -> tuple[Column, Column, Column]:
    """Highs, lows and closes, likewise."""
    return column_of(columns.highs), column_of(columns.lows), column_of(columns.closes)


def undefined(count: int, rows: int) -> npt.NDArray[np.float64]:
    """Columns without a value."""
    return np.full((rows, count), nan)


@compiled(types.void(_IN, types.int64, _OUT))
def ema_of(values: Any, period: int, found: Any) -> None:
    """See `Ema.take`; leading values that are nan are not counted."""
    first = 0
    while first < len(values) and values[first] != values[first]:
        first += 1
    weight, value = 2.0 / (period + 1), 0.0
    for index in range(first, len(values)):
        seen = index - first
        if period == 1:
            found[index] = values[index]
        elif seen >= period:
            value += (values[index] - value) * weight
            found[index] = value
        else:
            value += values[index]
            if seen + 1 == period:
                value /= period
                found[index] = value


@compiled(types.void(_IN, types.int64, _OUT))
def rsi_of(closes: Any, period: int, found: Any) -> None:
    """See `Rsi.update`."""
    gain = loss = 0.0
    for index in range(1, len(closes)):
        change = closes[index] - closes[index - 1]
        if index > period:
            gain *= period - 1
            loss *= period - 1
        if change < 0.0:
            loss -= change
        else:
            gain += change
        if index >= period:
            gain /= period
            loss /= period
            total = gain + loss
            found[index] = 100.0 * (gain / total) if total != 0.0 else 0.0


@compiled(types.void(_IN, _IN, _IN, types.int64, _OUT))
def atr_of(highs: Any, lows: Any, closes: Any, period: int, found: Any) -> None:
    """See `Atr.take`."""
    value = 0.0
    for index in range(1, len(closes)):
        high, low, before = highs[index], lows[index], closes[index - 1]
        true_range = (high if high > before else before) - (low if low < before else before)
        if index > period:
            value = (value * (period - 1) + true_range) / period
            found[index] = value
        else:
            value += true_range
            if index == period:
                value /= period
                found[index] = value


@compiled(types.void(_IN, _IN, _IN, types.int64, _TABLE))
def adx_of(highs: Any, lows: Any, closes: Any, period: int, found: Any) -> None:
    """See `Adx.update`; rows of `found`: the index, then both directional indicators."""
    plus_sum = minus_sum = range_sum = average = 0.0
    for seen in range(1, len(closes)):
        high, low, close = highs[seen], lows[seen], closes[seen - 1]
        up, down = high - highs[seen - 1], lows[seen - 1] - low
        if seen >= period:
            plus_sum -= plus_sum / period
            minus_sum -= minus_sum / period
            range_sum -= range_sum / period
        if up > down:
            if up > 0.0:
                plus_sum += up
        elif down > up and down > 0.0:
            minus_sum += down
        range_sum += (high if high > close else close) - (low if low < close else close)
        if seen < period:
            continue
        plus = minus = index = 0.0
        defined = False
        if range_sum != 0.0:
            plus, minus = 100.0 * (plus_sum / range_sum), 100.0 * (minus_sum / range_sum)
            if plus + minus != 0.0:
                index = 100.0 * (abs(minus - plus) / (plus + minus))
                defined = True
        found[1, seen], found[2, seen] = plus, minus
        if seen < 2 * period:
            average += index
            if seen < 2 * period - 1:
                continue
            average /= period
        elif defined:
            average = (average * (period - 1) + index) / period
        found[0, seen] = average


@compiled(types.void(_IN, _IN, _IN, _IN, types.float64, _TABLE))
def supertrend_of(highs: Any, lows: Any, closes: Any, ranges: Any, multiplier: float, found: Any) -> None:
    """See `Supertrend.update`; `ranges` are average true ranges; rows of `found`: line and direction."""
    direction, last_upper, last_lower = 0, 0.0, 0.0
    for index in range(len(closes)):
        if ranges[index] != ranges[index]:
            continue
        middle, reach = (highs[index] + lows[index]) / 2.0, multiplier * ranges[index]
        upper, lower = middle + reach, middle - reach
        if direction == 0:
            direction = -1
        else:
            before = closes[index - 1]
            if upper > last_upper and last_upper >= before:
                upper = last_upper
            if lower < last_lower and last_lower <= before:
                lower = last_lower
            if closes[index] > upper:
                direction = 1
            elif closes[index] < lower:
                direction = -1
        last_upper, last_lower = upper, lower
        found[0, index] = lower if direction > 0 else upper
        found[1, index] = direction


@compiled(types.void(_IN, types.int64, types.float64, _OUT))
def highest_of(values: Any, period: int, sign: float, found: Any) -> None:
    """Highest value of each full window, of lowest ones if `sign` is -1."""
    best = 0
    for index in range(len(values)):
        if best <= index - period:
            best = index - period + 1
            for other in range(best + 1, index + 1):
                if sign * values[other] >= sign * values[best]:
                    best = other
        elif sign * values[index] >= sign * values[best]:
            best = index
        if index >= period - 1:
            found[index] = values[best]


@compiled(types.void(_IN, _IN, _OUT))
def obv_of(closes: Any, volumes: Any, found: Any) -> None:
    """See `Obv.update`."""
    value = kept = 0.0
    for index in range(len(closes)):
        moved = 0.0
        if index == 0 or closes[index] > closes[index - 1]:
            moved = volumes[index]
        elif closes[index] < closes[index - 1]:
            moved = -volumes[index]
        else:
            found[index] = value
            continue
        total = value + moved
        part = total - value
        rest = (value - (total - part)) + (moved - part) + kept
        value = total + rest
        kept = rest - (value - total)
        found[index] = value


@compiled(types.void(_UNITS, types.int64, _OUT, types.int64[::1]))
def _variances(units: Any, count: int, found: Any, powers: Any) -> None:
    """Variance of each full window of whole numbers below 2**63, as `found * 2**powers`, rounded once.

    A number is three digits of 21 bits. `count * squares - sum * sum` is built digit by digit, in sums that
    cannot overflow, and divided by `count * count` as by hand, until there are 63 bits of the quotient. The
    last of them says whether there is a rest: turned into a double, it is rounded as the exact quotient.
    """
    s0 = s1 = s2 = 0
    p00 = p01 = p02 = p11 = p12 = p22 = 0
    divisor = count * count
    for index in range(len(units)):
        for step in range(2):
            place = index if step == 0 else index - count
            if place < 0:
                continue
            sign = 1 if step == 0 else -1
            a, b, c = units[place] & DIGIT, (units[place] >> LIMB) & DIGIT, units[place] >> (2 * LIMB)
            s0 += sign * a
            s1 += sign * b
            s2 += sign * c
            p00 += sign * a * a
            p01 += sign * a * b
            p02 += sign * a * c
            p11 += sign * b * b
            p12 += sign * b * c
            p22 += sign * c * c
        if index < count - 1:
            continue
        v0 = count * p00 - s0 * s0
        v1 = 2 * (count * p01 - s0 * s1) + (v0 >> LIMB)
        v2 = 2 * (count * p02 - s0 * s2) + (count * p11 - s1 * s1) + (v1 >> LIMB)
        v3 = 2 * (count * p12 - s1 * s2) + (v2 >> LIMB)
        top = count * p22 - s2 * s2 + (v3 >> LIMB)
        rest = quotient = 0
        power = 0
        for place in range(6, -5, -1):
            if place >= 4:
                digit = (top >> (LIMB * (place - 4))) & DIGIT
            elif place == 3:
                digit = v3 & DIGIT
            elif place == 2:
                digit = v2 & DIGIT
            elif place == 1:
                digit = v1 & DIGIT
            elif place == 0:
                digit = v0 & DIGIT
            else:
                digit = 0
            rest = (rest << LIMB) + digit
            digit = rest // divisor
            rest -= digit * divisor
            if quotient >= FULL:
                quotient |= digit != 0
            elif quotient < FULL >> (LIMB - 1):
                quotient = (quotient << LIMB) | digit
                power = LIMB * place
            else:
                left = LIMB
                while quotient < FULL:
                    left -= 1
                    quotient = (quotient << 1) | ((digit >> left) & 1)
                power -= LIMB - left
                quotient |= (digit & ((1 << left) - 1)) != 0
        quotient |= rest != 0
        found[index] = quotient
        powers[index] = power


def deviations_of(values: Sequence[float], count: int) -> Column | None:
    """Standard deviation of each full window, from the exact variance; None where `window_means` is None too.

    Its square is rounded once, and its root once more, as `Bollinger.update` does.
    """
    if len(values) < count:
        return np.full(len(values), nan)
    whole = whole_units(column_of(values)) if count <= WIDEST else None
    if whole is None:
        return None
    units, bits = whole
    found, powers = np.full(len(units), nan), np.zeros(len(units), np.int64)
    _variances(units, count, found, powers)
    roots: Column = np.sqrt(np.ldexp(found, powers - 2 * bits))
    return roots
