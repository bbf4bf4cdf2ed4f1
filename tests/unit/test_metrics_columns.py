"""Many observations at once are the same as one after the other."""

from __future__ import annotations

import time

import numpy as np
from prometheus_client import CollectorRegistry, Histogram

from infra.metrics.columns import observe_ages, observe_all


def test_the_histogram_is_that_of_single_observations() -> None:
    values = np.array([0.0005, 0.001, 0.002, 0.0021, 5.0, 99.0, -1.0])
    samples = []
    for at_once in (True, False):
        registry = CollectorRegistry()
        histogram = Histogram("h", "h", buckets=(0.001, 0.002, 1.0, 10.0), registry=registry)
        if at_once:
            observe_all(histogram, values)
            observe_all(histogram, values[:0])
        else:
            for value in values.tolist():
                histogram.observe(value)
        samples.append(
            {
                (s.name, str(s.labels)): s.value
                for m in registry.collect()
                for s in m.samples
                if "created" not in s.name
            }
        )
    assert samples[0] == samples[1]


def test_what_has_not_happened_yet_by_our_clock_has_no_age() -> None:
    registry = CollectorRegistry()
    histogram = Histogram("h", "h", buckets=(1.0, 10.0), registry=registry)
    now_us = time.time_ns() // 1_000
    observe_ages(histogram, np.array([now_us + 60_000_000, now_us - 5_000_000]))
    assert registry.get_sample_value("h_bucket", {"le": "1.0"}) == 1
    age_s = registry.get_sample_value("h_sum")
    assert age_s is not None
    assert 5 <= age_s < 7
