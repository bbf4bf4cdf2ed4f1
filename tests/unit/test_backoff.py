"""Full jitter: evenly below a ceiling that doubles up to a cap."""

import pytest

from infra.backoff import FullJitter


def test_ceilings_double_up_to_the_cap() -> None:
    backoff = FullJitter(base_s=1.0, cap_s=30.0, draw=lambda: 0.5)
    assert [backoff.next_delay_s() for _ in range(7)] == [0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0]


def test_a_success_starts_again_from_the_lowest_ceiling() -> None:
    backoff = FullJitter(draw=lambda: 1.0)
    backoff.next_delay_s()
    backoff.next_delay_s()
    assert backoff.attempts == 2
    backoff.reset()
    assert (backoff.attempts, backoff.next_delay_s()) == (0, 1.0)


def test_it_never_ends_and_never_overflows() -> None:
    backoff = FullJitter(draw=lambda: 1.0)
    backoff.attempts = 100_000
    assert backoff.next_delay_s() == pytest.approx(30.0)


def test_delays_spread_over_the_whole_range() -> None:
    delays = [FullJitter(base_s=10.0).next_delay_s() for _ in range(500)]
    assert min(delays) < 1.0
    assert 9.0 < max(delays) <= 10.0
