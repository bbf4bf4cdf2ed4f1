"""Many observations of a histogram at once."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import numpy.typing as npt
from prometheus_client import Histogram


def observe_all(histogram: Histogram, values: npt.NDArray[np.float64]) -> None:
    """As `histogram.observe(value)` for each value, in one step.

    The client has no such call; it keeps one counter a bucket (a value belongs to the first whose bound
    is not below it) and one for the sum. A test holds this against `observe`.
    """
    if not len(values):
        return
    inner: Any = histogram
    bounds = np.array(inner._upper_bounds)
    places = np.minimum(np.searchsorted(bounds, values, side="left"), len(bounds) - 1)
    for place, count in enumerate(np.bincount(places, minlength=len(bounds)).tolist()):
        if count:
            inner._buckets[place].inc(count)
    inner._sum.inc(float(values.sum()))


def observe_ages(histogram: Histogram, since_us: npt.NDArray[np.int64]) -> None:
    """Observe how long ago each time was, µs since the epoch; 0 s where our clock has not got there yet."""
    observe_all(histogram, np.maximum(time.time_ns() // 1_000 - since_us, 0) / 1e6)
