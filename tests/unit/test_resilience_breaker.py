"""The circuit breaker: when it opens, whom it lets through on trial, how it closes again."""

import asyncio
import contextlib

import pytest

from infra.resilience.circuit_breaker import BreakerPolicy, CircuitBreaker, State
from schemas.errors import BreakerOpenError


class Venue:
    """Calls through a breaker at times of our own."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.states: list[State] = []
        self.breaker = CircuitBreaker("venue", BreakerPolicy(), lambda: self.now, self.states.append)

    def state(self) -> str:
        return self.breaker.state

    def fails(self, times: int = 1) -> None:
        for _ in range(times):
            with contextlib.suppress(OSError), self.breaker.trial(lambda _: True):
                raise OSError

    def works(self, times: int = 1) -> None:
        for _ in range(times):
            with self.breaker.trial(lambda _: True):
                pass


@pytest.fixture
def venue() -> Venue:
    return Venue()


def test_five_failures_in_a_row_open_it_for_thirty_seconds(venue: Venue) -> None:
    venue.fails(4)
    assert venue.state() == "closed"
    venue.fails()
    assert venue.state() == "open"
    with pytest.raises(BreakerOpenError) as refused:
        venue.works()
    assert refused.value.retry_in_s == 30.0
    venue.now += 29.9
    assert venue.state() == "open"
    venue.now += 0.1
    assert venue.state() == "half_open"


def test_five_failures_of_ten_calls_within_a_minute_open_it(venue: Venue) -> None:
    for _ in range(4):
        venue.fails()
        venue.works()
    venue.works()
    assert venue.state() == "closed"
    venue.fails()
    assert venue.state() == "open"


def test_five_failures_of_fewer_than_ten_calls_do_not(venue: Venue) -> None:
    for _ in range(4):
        venue.fails()
        venue.works()
    venue.fails()
    assert venue.state() == "closed"


def test_failures_of_more_than_a_minute_ago_do_not_count(venue: Venue) -> None:
    for _ in range(4):
        venue.fails()
        venue.works(3)
    venue.now += 60.0
    venue.works(9)
    venue.fails()
    assert venue.state() == "closed"


def test_three_successes_on_trial_close_it(venue: Venue) -> None:
    venue.fails(5)
    venue.now += 30.0
    venue.works(2)
    assert venue.state() == "half_open"
    venue.works()
    assert venue.state() == "closed"
    assert venue.states == ["open", "half_open", "closed"]
    venue.fails(4)
    assert venue.state() == "closed", "what was before is forgotten"


def test_one_failure_on_trial_opens_it_again_even_after_a_success(venue: Venue) -> None:
    venue.fails(5)
    venue.now += 30.0
    venue.works(2)
    venue.fails()
    assert venue.state() == "open"
    assert venue.breaker.retry_in_s == 30.0


def test_at_most_three_calls_are_under_way_on_trial(venue: Venue) -> None:
    venue.fails(5)
    venue.now += 30.0
    assert venue.breaker.limit == 3
    with contextlib.ExitStack() as under_way:
        for _ in range(3):
            under_way.enter_context(venue.breaker.trial(lambda _: True))
        with pytest.raises(BreakerOpenError):
            venue.works()
    assert venue.state() == "closed"


def test_a_cancelled_trial_gives_its_place_back_and_says_nothing(venue: Venue) -> None:
    venue.fails(5)
    venue.now += 30.0
    for _ in range(10):
        with contextlib.suppress(asyncio.CancelledError), venue.breaker.trial(lambda _: None):
            raise asyncio.CancelledError
    assert venue.state() == "half_open"
    venue.works(3)
    assert venue.state() == "closed"


def test_a_refusal_shows_that_the_other_side_works(venue: Venue) -> None:
    venue.fails(4)
    with contextlib.suppress(ValueError), venue.breaker.trial(lambda _: False):
        raise ValueError
    venue.fails(4)
    assert venue.state() == "closed"


def test_a_call_from_before_the_trial_does_not_end_it(venue: Venue) -> None:
    with contextlib.suppress(OSError), venue.breaker.trial(lambda _: True):
        venue.fails(5)
        venue.now += 30.0
        assert venue.state() == "half_open"
        raise OSError
    assert venue.state() == "half_open"


def test_an_operator_may_close_it(venue: Venue) -> None:
    venue.fails(5)
    venue.breaker.reset()
    venue.works()
    assert venue.state() == "closed"
