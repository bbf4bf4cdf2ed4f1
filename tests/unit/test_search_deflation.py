"""The deflated Sharpe ratio, against the example of its authors and against simulated luck."""

from math import nan, sqrt

import numpy as np
import pytest

from backtest.search.deflation import (
    Moments,
    deflated,
    expected_best,
    moments_of,
    probability_above,
)


def test_the_example_of_the_paper() -> None:
    # Section "A numerical example": a Sharpe ratio of 2.5 a year over 1,250 days of 250 a year, found in 100
    # trials whose yearly ratios have the variance 1/2, with skewness -3 and kurtosis 10.
    found = Moments(1_250, 2.5 / sqrt(250), -3.0, 10.0, 250)
    best = expected_best(0.5 / 250, 100)
    assert best == pytest.approx(0.1132, abs=5e-5)
    assert probability_above(found, best) == pytest.approx(0.9004, abs=5e-5)
    # With 46 trials it would have been at the usual level of 0.95; with returns that are normal, with 88.
    assert probability_above(found, expected_best(0.5 / 250, 46)) == pytest.approx(0.9505, abs=5e-5)
    normal = Moments(1_250, 2.5 / sqrt(250), 0.0, 3.0, 250)
    assert probability_above(normal, expected_best(0.5 / 250, 88)) == pytest.approx(0.9505, abs=2e-4)


def test_the_expected_best_is_that_of_simulated_trials_without_merit() -> None:
    random = np.random.default_rng(5)
    for trials in (10, 200):
        drawn = random.normal(0.0, 0.3, (4_000, trials)).max(axis=1).mean()
        assert expected_best(0.09, trials) == pytest.approx(drawn, rel=0.03)
    assert expected_best(0.09, 1) == 0.0


def test_moments_by_hand() -> None:
    # Mean 2, away -1 -1 -1 3: second moment 3, third 6, fourth 21; deviation of the sample 2.
    found = moments_of(np.array([1.0, 1.0, 1.0, 5.0]), 252)
    assert (found.count, found.sharpe, found.per_year) == (4, 1.0, 252)
    assert found.skew == pytest.approx(6 / 3**1.5)
    assert found.kurtosis == pytest.approx(21 / 9)


def test_returns_that_say_nothing_have_no_ratio() -> None:
    for returns in ([], [0.1], [0.1, 0.1]):
        assert repr(moments_of(np.array(returns), 365).sharpe) == "nan"


def test_a_few_days_say_nothing() -> None:
    assert repr(probability_above(Moments(9, 0.5, 0.0, 3.0), 0.0)) == "nan"
    assert probability_above(Moments(10, 0.5, 0.0, 3.0), 0.0) > 0.9


def test_trials_without_a_ratio_are_not_counted() -> None:
    best = Moments(500, 0.1, 0.0, 3.0)
    found = deflated(best, [0.1, 0.0, nan, -0.1])
    assert found.trials == 3
    assert found.variance == pytest.approx(0.01)
    assert found.expected_best == expected_best(found.variance, 3)
    assert found.probability == probability_above(best, found.expected_best)
    alone = deflated(best, [0.1])
    assert (alone.expected_best, alone.trials) == (0.0, 1)
    assert alone.probability > found.probability
