"""Falls of a curve below its peaks: how deep, when, and for how long."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from schemas.records import Micros

Floats = npt.NDArray[np.float64]
Times = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Drawdown:
    """The deepest fall of a curve below a peak.

    Attributes:
        depth: As a part of the peak, 0 or above; above 1 where the curve has fallen below 0.
        peak: When the peak was, µs; the last time where it was reached again before the fall.
        bottom: When it was deepest, µs.
        recovered: When the peak was reached again, µs; None if it was not.
        length: From the peak until it was reached again, or until the end of the curve, µs.
    """

    depth: float
    peak: Micros
    bottom: Micros
    recovered: Micros | None
    length: Micros


@dataclass(frozen=True, slots=True)
class Falls:
    """All falls of a curve.

    Attributes:
        deepest: The deepest one, the first of several; of depth 0 where the curve never falls.
        longest: Longest time from a peak until it is reached again, or until the end, µs.
        under_water: Part of the points that lie below an earlier peak.
    """

    deepest: Drawdown
    longest: Micros
    under_water: float


def falls_of(equity: Floats, times: Times, capital: float, start: Micros) -> Falls:
    """The falls of an equity curve; the capital at the start is the first peak.

    Args:
        equity: float64[n], a point for each candle.
        times: int64[n], µs, ascending.
        capital: Above 0.
        start: Before the first of the times, µs.
    """
    curve = np.concatenate(([capital], equity))
    at = np.concatenate(([start], times))
    peaks = np.maximum.accumulate(curve)
    depths = (peaks - curve) / peaks
    bottom = int(np.argmax(depths))
    at_peak = np.flatnonzero(curve >= peaks)
    first = int(np.searchsorted(at_peak, bottom, "right")) - 1
    if at_peak[first] == bottom:
        deepest = Drawdown(0.0, start, start, None, 0)
    else:
        ended = first + 1 < len(at_peak)
        recovered = int(at[at_peak[first + 1]]) if ended else None
        peak = int(at[at_peak[first]])
        length = (int(at[-1]) if recovered is None else recovered) - peak
        deepest = Drawdown(float(depths[bottom]), peak, int(at[bottom]), recovered, length)
    ends = np.append(at_peak[1:], len(curve) - 1)
    # Two peaks side by side have no fall between them, but the last one may fall until the end.
    below = ends - at_peak > 1
    below[-1] = ends[-1] > at_peak[-1]
    longest = int((at[ends] - at[at_peak])[below].max(initial=0))
    return Falls(deepest, longest, float(np.count_nonzero(depths > 0.0)) / len(equity))
