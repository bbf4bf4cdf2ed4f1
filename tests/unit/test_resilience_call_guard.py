"""The guard: the parts in their order, what is tried again, what is told."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest
from prometheus_client import REGISTRY

from infra.resilience.bulkhead import Bulkhead
from infra.resilience.cache import Cache, warm
from infra.resilience.cache_key import cache_key
from infra.resilience.call_guard import CallGuard, CallPolicy
from infra.resilience.circuit_breaker import BreakerPolicy, CircuitBreaker
from infra.resilience.events import ResilienceEvent
from infra.resilience.token_bucket import TokenBucket
from schemas.errors import (
    AuthenticationError,
    BadAnswerError,
    BreakerOpenError,
    CallTimeoutError,
    ClientError,
    KandleError,
    RateLimitedError,
    ServerError,
    UnavailableError,
)

QUICK = CallPolicy(delay_s=0.01, jitter_s=0.0, timeout_s=0.2)


class Provider:
    """Answers what it was told to answer, in this order; the last thing for ever."""

    def __init__(self, *answers: str | KandleError, takes_s: float = 0.0) -> None:
        self.answers = list(answers)
        self.takes_s = takes_s
        self.at_s: list[float] = []
        self.under_way = self.most_under_way = self.cancelled = 0

    async def __call__(self) -> str:
        self.at_s.append(time.monotonic())
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await asyncio.sleep(self.takes_s)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.under_way -= 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, KandleError):
            raise answer
        return answer


def made(
    *,
    policy: CallPolicy = QUICK,
    bucket: TokenBucket | None = None,
    bulkhead: Bulkhead | None = None,
    breaker: CircuitBreaker | None = None,
    cache: Cache | None = None,
    on_event: Callable[[ResilienceEvent], None] = lambda _: None,
) -> CallGuard:
    bucket = bucket or TokenBucket("venue", 1e6, 1e6)
    return CallGuard("venue", bucket, breaker, bulkhead, cache, policy, on_event)


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, {"provider": "venue", **labels}) or 0.0


PASSING = [
    UnavailableError("reset"),
    UnavailableError("name not found"),
    CallTimeoutError("slow"),
    ServerError("500"),
    ServerError("503", wait_s=0.01),
    RateLimitedError("429", 0.01, 0),
    BadAnswerError("maintenance", retriable=True),
]


@pytest.mark.parametrize("error", PASSING, ids=str)
async def test_what_passes_is_tried_three_times(error: KandleError) -> None:
    before = counted("kandle_call_retries_total", operation="ticker")
    provider = Provider(error, error, "answer")
    assert await made().call("ticker", provider) == "answer"
    provider = Provider(error)
    with pytest.raises(type(error)):
        await made().call("ticker", provider)
    assert len(provider.at_s) == 3
    assert counted("kandle_call_retries_total", operation="ticker") - before == 4


FINAL = [
    ClientError("400"),
    AuthenticationError("401"),
    ServerError("501", retriable=False),
    BadAnswerError("a bomb"),
]


@pytest.mark.parametrize("error", FINAL, ids=str)
async def test_what_is_final_is_not_tried_again(error: KandleError) -> None:
    provider = Provider(error, "answer")
    with pytest.raises(type(error)):
        await made().call("ticker", provider)
    assert len(provider.at_s) == 1


async def test_delays_double_up_to_their_cap() -> None:
    policy = CallPolicy(attempts=5, delay_s=0.05, jitter_s=0.02, longest_delay_s=0.15)
    provider = Provider(ServerError("500"))
    breaker = CircuitBreaker("venue", BreakerPolicy(in_a_row=99))
    with pytest.raises(ServerError):
        await made(policy=policy, breaker=breaker).call("ticker", provider)
    gaps = [later - earlier for earlier, later in zip(provider.at_s, provider.at_s[1:], strict=False)]
    for gap, wanted in zip(gaps, (0.05, 0.1, 0.15, 0.15), strict=True):
        assert wanted - 0.005 <= gap <= wanted + 0.1


async def test_a_retry_waits_as_told_and_so_does_everybody_else() -> None:
    events: list[ResilienceEvent] = []
    guard = made(on_event=events.append)
    limited = Provider(RateLimitedError("429", 0.3, 77), "answer")
    begun = time.monotonic()
    waiting = asyncio.create_task(guard.call("book", limited))
    await asyncio.sleep(0.05)
    other = Provider("answer")
    await guard.call("ticker", other)
    assert await waiting == "answer"
    assert limited.at_s[1] - begun >= 0.29
    assert other.at_s[0] - begun >= 0.29
    assert [(event.kind, event.data["reset_at"]) for event in events] == [("rate_limit.hit", 77)]


async def test_a_wait_longer_than_the_call_may_last_is_not_begun() -> None:
    guard = made(bulkhead=Bulkhead("venue", timeout_s=5.0))
    begun = time.monotonic()
    with pytest.raises(RateLimitedError):
        await guard.call("book", Provider(RateLimitedError("418", 60.0, 0, banned=True)))
    with pytest.raises(RateLimitedError):
        await guard.call("book", Provider("answer"))
    assert time.monotonic() - begun < 4.0


async def test_calls_end_at_once_while_the_breaker_is_open() -> None:
    events: list[ResilienceEvent] = []
    breaker = CircuitBreaker("venue", BreakerPolicy(open_s=0.2))
    guard = made(breaker=breaker, on_event=events.append)
    provider = Provider(ServerError("500"))
    with pytest.raises(ServerError):
        await guard.call("ticker", provider)
    with pytest.raises(ServerError):
        await guard.call("ticker", provider)
    assert len(provider.at_s) == 5, "the fifth failure opens it: there is no sixth attempt"
    with pytest.raises(BreakerOpenError):
        await guard.call("ticker", provider)
    assert len(provider.at_s) == 5
    assert counted("kandle_breaker_state") == 2
    assert [event.kind for event in events] == ["circuit_breaker.open"]
    await asyncio.sleep(0.25)
    for _ in range(3):
        await guard.call("ticker", Provider("answer"))
    assert breaker.state == "closed"
    assert counted("kandle_breaker_state") == 0


async def test_being_told_to_wait_is_no_failure_of_the_venue() -> None:
    guard = made(policy=CallPolicy(attempts=20, delay_s=0.0, jitter_s=0.0))
    with pytest.raises(RateLimitedError):
        await guard.call("book", Provider(RateLimitedError("429", 0.001, 0)))
    assert guard.breaker.state == "closed"


async def test_an_attempt_has_its_own_time_and_is_cancelled_after_it() -> None:
    provider = Provider("answer", takes_s=60)
    policy = CallPolicy(attempts=2, delay_s=0.01, jitter_s=0.0, timeout_s=0.05)
    with pytest.raises(CallTimeoutError):
        await made(policy=policy).call("ticker", provider)
    assert (len(provider.at_s), provider.cancelled) == (2, 2)


async def test_no_more_calls_than_places_and_the_wait_counts_as_time() -> None:
    guard = made(bulkhead=Bulkhead("venue", size=2, timeout_s=0.25), policy=CallPolicy(timeout_s=9))
    provider = Provider("answer", takes_s=0.1)
    results = await asyncio.gather(*(guard.call("book", provider) for _ in range(8)), return_exceptions=True)
    assert provider.most_under_way == 2
    assert results[:4] == ["answer"] * 4
    assert all(isinstance(result, CallTimeoutError) for result in results[4:])
    queued = [result.context["queued"] for result in results[4:] if isinstance(result, CallTimeoutError)]
    assert queued == [False, False, True, True]
    assert (provider.cancelled, provider.under_way) == (2, 0)
    assert await guard.call("book", provider) == "answer", "places that timed out are free again"


async def test_calls_that_outlast_their_place_count_against_the_venue() -> None:
    guard = made(
        bulkhead=Bulkhead("venue", timeout_s=0.05),
        policy=CallPolicy(timeout_s=9),
        breaker=CircuitBreaker("venue", BreakerPolicy(in_a_row=2)),
    )
    for _ in range(2):
        with pytest.raises(CallTimeoutError):
            await guard.call("book", Provider("answer", takes_s=60))
    assert guard.breaker.state == "open"


async def test_a_call_cancelled_by_its_caller_says_nothing_of_the_venue() -> None:
    guard = made(breaker=CircuitBreaker("venue", BreakerPolicy(in_a_row=1)))
    call = asyncio.create_task(guard.call("book", Provider("answer", takes_s=60)))
    await asyncio.sleep(0.01)
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    assert guard.breaker.state == "closed"


async def test_every_attempt_costs_its_weight_unless_the_first_is_paid() -> None:
    bucket = TokenBucket("venue", 100, 1e-6)
    guard = made(bucket=bucket)
    await guard.call("book", Provider(ServerError("500"), "answer"), weight=20)
    assert bucket.remaining == pytest.approx(60)
    await guard.call("book", Provider(ServerError("500"), "answer"), weight=20, paid=True)
    assert bucket.remaining == pytest.approx(40)


async def test_one_call_serves_all_who_ask_the_same_at_once() -> None:
    provider = Provider("answer", takes_s=0.05)
    guard = made()
    key = cache_key("candles", {"symbol": "BTC/USDT"})
    before = counted("kandle_call_outcomes_total", operation="candles", outcome="shared")
    calls = [asyncio.create_task(guard.call("candles", provider, key=key)) for _ in range(5)]
    await asyncio.sleep(0.01)
    calls[0].cancel()
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert results[1:] == ["answer"] * 4
    assert len(provider.at_s) == 1
    assert counted("kandle_call_outcomes_total", operation="candles", outcome="shared") - before >= 3
    await guard.call("candles", provider, key=key)
    assert len(provider.at_s) == 2, "no time to live: not cached"


async def test_the_last_who_stops_waiting_cancels_the_call() -> None:
    provider = Provider("answer", takes_s=60)
    guard = made(policy=CallPolicy(timeout_s=99), bulkhead=Bulkhead("venue", timeout_s=99))
    calls = [asyncio.create_task(guard.call("candles", provider, key="candles:1")) for _ in range(3)]
    await asyncio.sleep(0.01)
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    await asyncio.sleep(0)
    assert provider.cancelled == 1


async def test_a_failure_reaches_all_who_wait_and_is_not_kept() -> None:
    guard = made(cache=Cache())
    provider = Provider(ClientError("no such symbol"), "answer")
    key = cache_key("ticker", {"symbol": "BTC/USDT"})
    results = await asyncio.gather(
        *(guard.call("ticker", provider, key=key) for _ in range(3)), return_exceptions=True
    )
    assert [type(result) for result in results] == [ClientError] * 3
    assert await guard.call("ticker", provider, key=key) == "answer"


async def test_a_fresh_value_needs_no_call_not_even_with_an_open_breaker() -> None:
    guard = made(cache=Cache(), breaker=CircuitBreaker("venue", BreakerPolicy(in_a_row=1)))
    key = cache_key("ticker", {"symbol": "BTC/USDT"})
    await guard.call("ticker", Provider("answer"), key=key)
    with pytest.raises(BadAnswerError):
        await guard.call("book", Provider(BadAnswerError("a bomb")))
    assert await guard.call("ticker", Provider("another"), key=key) == "answer"


async def test_warming_fills_the_cache_and_survives_failures() -> None:
    guard = made(cache=Cache())
    keys = {symbol: cache_key("ticker", {"symbol": symbol}) for symbol in "abc"}

    def ask(symbol: str) -> Callable[[], Awaitable[object]]:
        provider = Provider(ClientError("unknown") if symbol == "b" else symbol)
        return lambda: guard.call("ticker", provider, key=keys[symbol])

    assert await warm(ask(symbol) for symbol in "abc") == 2
    assert await guard.call("ticker", Provider("late"), key=keys["a"]) == "a"
    assert await guard.call("ticker", Provider("late"), key=keys["b"]) == "late"
