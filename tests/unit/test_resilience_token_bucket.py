"""The token bucket: what may be spent, who waits, what the venue has to say."""

import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.resilience.token_bucket import TokenBucket
from schemas.errors import RateLimitedError


class Time:
    def __init__(self) -> None:
        self.now = 500.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Time:
    return Time()


def test_weight_is_taken_while_it_lasts_and_comes_back_with_time(clock: Time) -> None:
    bucket = TokenBucket("venue", 10, 2, clock)
    assert bucket.try_take(6)
    assert not bucket.try_take(6)
    assert bucket.delay_s(6) == 1.0
    clock.now += 1.0
    assert bucket.try_take(6)
    clock.now += 100.0
    assert bucket.remaining == 10


def test_a_call_heavier_than_the_bucket_leaves_it_in_debt(clock: Time) -> None:
    bucket = TokenBucket("venue", 10, 2, clock)
    assert bucket.try_take(50)
    assert bucket.remaining == -40
    assert bucket.delay_s(1) == 20.5
    clock.now += 25.0
    assert bucket.try_take(50)


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(1, 250)), max_size=400))
def test_no_minute_ever_has_more_than_the_limit(steps: list[tuple[float, int]]) -> None:
    clock = Time()
    bucket = TokenBucket.of_minute("venue", 1_200, clock)
    spent: list[tuple[float, int]] = []
    for pause_s, weight in steps:
        clock.now += pause_s
        if bucket.try_take(weight):
            spent.append((clock.now, weight))
    for begun_s, _ in spent:
        within = [weight for at_s, weight in spent if begun_s <= at_s < begun_s + 60]
        assert sum(within) <= 1_200


def test_a_pause_holds_everything_and_ends_without_a_storm(clock: Time) -> None:
    bucket = TokenBucket("venue", 100, 10, clock)
    bucket.pause(7.0)
    assert bucket.paused_s == bucket.delay_s(1) - 0.1 == 7.0
    clock.now += 7.0
    assert bucket.paused_s == 0
    assert bucket.remaining == pytest.approx(0)


def test_the_longest_pause_counts_once(clock: Time) -> None:
    bucket = TokenBucket("venue", 100, 10, clock)
    for wait_s in (5.0, 20.0, 3.0, 20.0):
        bucket.pause(wait_s)
    clock.now += 20.0
    assert bucket.remaining == pytest.approx(0)


def test_the_venue_is_believed_when_it_says_that_less_is_left(clock: Time) -> None:
    bucket = TokenBucket("venue", 100, 10, clock)
    bucket.told_remaining(30, 20)
    assert bucket.remaining == 30
    bucket.told_remaining(90, 20)
    assert bucket.remaining == 30
    bucket.told_remaining(-5, 20)
    assert not bucket.try_take(1)
    clock.now += 20.1
    assert bucket.try_take(1)


async def test_those_who_wait_are_served_in_their_order() -> None:
    bucket = TokenBucket("venue", 4, 100)
    served: list[int] = []

    async def take(number: int, weight: int) -> None:
        await bucket.take(weight, 5.0)
        served.append(number)

    begun = time.monotonic()
    await asyncio.gather(*(take(number, 4 - number % 3) for number in range(8)))
    assert served == list(range(8))
    assert time.monotonic() - begun >= (25 - 4) / 100 - 0.03


async def test_who_may_not_wait_so_long_is_told_at_once_and_takes_nothing() -> None:
    bucket = TokenBucket("venue", 10, 1)
    assert bucket.try_take(10)
    with pytest.raises(RateLimitedError) as refused:
        await bucket.take(5, 1.0)
    assert refused.value.wait_s == pytest.approx(5.0, abs=0.1)
    assert refused.value.reset_at == pytest.approx((time.time() + 5) * 1e6, abs=1e6)
    assert bucket.remaining == pytest.approx(0, abs=0.1)


async def test_who_stops_waiting_gives_the_weight_back() -> None:
    bucket = TokenBucket("venue", 10, 1)
    assert bucket.try_take(10)
    waiting = asyncio.create_task(bucket.take(10, 60.0))
    await asyncio.sleep(0)
    assert bucket.remaining < -9
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert bucket.remaining == pytest.approx(0, abs=0.1)


async def test_a_pause_that_begins_while_one_waits_is_kept() -> None:
    bucket = TokenBucket("venue", 1, 20)
    assert bucket.try_take(1)
    waiting = asyncio.create_task(bucket.take(1, 5.0))
    await asyncio.sleep(0)
    bucket.pause(0.3)
    assert await waiting >= 0.28
