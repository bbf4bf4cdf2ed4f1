"""The one way out: every call to somebody else passes the same parts in the same order.

    coalesce    who asks what is being asked already waits for that answer
    cache       a fresh value needs no call
    breaker     while too much fails, nothing is tried
    bulkhead    so many at once, each for so long at most, the queue included
    then for each attempt:
        tokens  the weight that all users of the address share
        time    one attempt's own

An attempt that fails in passing is made again, after a delay that doubles or that the other side has named.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

import stamina
from stamina.instrumentation import set_on_retry_hooks

from infra import metrics
from infra.logging import get_logger
from infra.resilience.bulkhead import EXCHANGE_TIMEOUT_S, Bulkhead, Place
from infra.resilience.cache import Cache
from infra.resilience.circuit_breaker import CircuitBreaker, State
from infra.resilience.coalescing import Coalescer
from infra.resilience.events import OnEvent, ResilienceEvent, ignore
from infra.resilience.token_bucket import TokenBucket
from schemas.errors import (
    BreakerOpenError,
    CallTimeoutError,
    KandleError,
    RateLimitedError,
    RefusedError,
    ServerError,
    UnavailableError,
)

T = TypeVar("T")

MARGIN_S: Final = 0.005
"""An attempt ends so much before its place does, so it is known that the provider took too long; one that
would have no more time than this is not begun."""

_STATES: Final[dict[State, int]] = {"closed": 0, "half_open": 1, "open": 2}

logger = get_logger(__name__)

# Retries are logged and counted here, by provider and operation.
set_on_retry_hooks(())


@dataclass(frozen=True, slots=True)
class CallPolicy:
    """How often and how patiently a call is made.

    Attributes:
        attempts: At most, the first included.
        delay_s: Before the second attempt, s; doubles with each one after.
        jitter_s: At most so much is added at random, s.
        longest_delay_s: Cap of both together, s.
        timeout_s: Of one attempt, s.
    """

    attempts: int = 3
    delay_s: float = 1.0
    jitter_s: float = 0.3
    longest_delay_s: float = 30.0
    timeout_s: float = EXCHANGE_TIMEOUT_S


class CallGuard:
    """Makes the calls to one provider from one address or account.

    Args:
        provider: A venue's market (`binance-spot`) or a venue of ccxt; in metrics and messages.
        bucket: The budget that all its users share.
        breaker: The guard takes its `on_change`.
        bulkhead: Places for its calls.
        cache: For calls that name a key; None for none.
        policy: Attempts and their time.
        on_event: Told what operators want to know.
    """

    def __init__(
        self,
        provider: str,
        bucket: TokenBucket,
        breaker: CircuitBreaker | None = None,
        bulkhead: Bulkhead | None = None,
        cache: Cache | None = None,
        policy: CallPolicy | None = None,
        on_event: OnEvent = ignore,
    ) -> None:
        self.provider = provider
        self.bucket = bucket
        self.breaker = breaker or CircuitBreaker(provider)
        self.bulkhead = bulkhead or Bulkhead(provider)
        self._cache = cache
        self._policy = policy or CallPolicy()
        self._on_event = on_event
        self._coalescer = Coalescer()
        self.breaker.on_change = self._breaker_changed
        metrics.calls.BREAKER_STATE.labels(provider).set(0)

    async def call(
        self,
        operation: str,
        work: Callable[[], Awaitable[T]],
        *,
        weight: float = 1.0,
        paid: bool = False,
        key: str | None = None,
    ) -> T:
        """Make a call, or have its answer from somewhere nearer.

        Args:
            operation: What is asked for, one of few names: in metrics.
            work: Makes one attempt; raises errors of our tree.
            weight: What an attempt costs of the bucket.
            paid: The weight of the first attempt was taken by the caller, who chose the moment.
            key: Of `infra.resilience.cache_key`, where the same question may have the same answer: calls with
                one key are coalesced, and cached if there is a cache and its context has a time to live. The
                answer is then something that JSON can say.

        Raises:
            RateLimitedError: The budget is spent for longer than the call may wait.
            BreakerOpenError: Calls are suspended.
            CallTimeoutError: No place or no answer in time.
            UnavailableError: All attempts have failed in passing.
            RefusedError: The provider does not want this call.
        """
        if key is None:
            return await self._counted(operation, partial(self._placed, operation, work, weight, paid))
        fetch = partial(self._placed, operation, work, weight, paid)
        joint: tuple[T, bool] = await self._coalescer.share(
            key, partial(self._counted, operation, fetch, key)
        )
        value, shared = joint
        if shared:
            metrics.calls.CALL_OUTCOMES.labels(self.provider, operation, "shared").inc()
        return value

    async def _counted(self, operation: str, fetch: Callable[[], Awaitable[T]], key: str | None = None) -> T:
        outcome = "ok"
        try:
            if key is None or self._cache is None:
                return await fetch()
            cached = await self._cache.get(key)
            if cached is not None:
                value: Any
                value, outcome = cached
                return value  # type: ignore[no-any-return]
            fetched = await fetch()
            await self._cache.put(key, fetched)
        except KandleError as error:
            outcome = error.code.lower()
            raise
        except BaseException:
            outcome = "aborted"
            raise
        else:
            return fetched
        finally:
            metrics.calls.CALL_OUTCOMES.labels(self.provider, operation, outcome).inc()

    async def _placed(self, operation: str, work: Callable[[], Awaitable[T]], weight: float, paid: bool) -> T:
        self.breaker.check()
        async with self.bulkhead.place() as place:
            async for attempt in stamina.retry_context(
                on=partial(self._delay, operation, place),
                attempts=self._policy.attempts,
                timeout=None,
                wait_initial=self._policy.delay_s,
                wait_max=self._policy.longest_delay_s,
                wait_jitter=self._policy.jitter_s,
                wait_exp_base=2,
            ):
                with attempt:
                    if attempt.num > 1:
                        metrics.calls.CALL_RETRIES.labels(self.provider, operation).inc()
                    if not paid or attempt.num > 1:
                        waited_s = await self.bucket.take(weight, place.remaining_s)
                        metrics.calls.RATE_WAIT_SECONDS.labels(self.provider).inc(waited_s)
                    timeout_s = min(self._policy.timeout_s, place.remaining_s - MARGIN_S)
                    if timeout_s <= MARGIN_S:
                        raise CallTimeoutError(
                            f"no place in time among calls to {self.provider}", queued=True
                        )
                    with self.breaker.trial(_is_failure):
                        return await self._attempt(operation, work, timeout_s)
        raise AssertionError("an attempt returns or raises")

    async def _attempt(self, operation: str, work: Callable[[], Awaitable[T]], timeout_s: float) -> T:
        begun_s = time.perf_counter()
        reachable = metrics.calls.REST_REACHABLE.labels(self.provider)
        try:
            async with asyncio.timeout(timeout_s) as limit:
                result = await work()
        except TimeoutError:
            if not limit.expired():
                raise
            reachable.set(0)
            raise CallTimeoutError(
                f"{self.provider} has not answered a call for {operation} within {timeout_s:.2g} s",
                queued=False,
            ) from None
        except KandleError as error:
            reachable.set(isinstance(error, RefusedError | RateLimitedError))
            self._heed(operation, error)
            raise
        finally:
            metrics.calls.CALL_SECONDS.labels(self.provider, operation).observe(time.perf_counter() - begun_s)
            metrics.calls.RATE_REMAINING.labels(self.provider).set(self.bucket.remaining)
        reachable.set(1)
        return result

    def _delay(self, operation: str, place: Place, error: Exception) -> bool | float:
        """Whether to make another attempt, and when if the usual delay is not to be kept."""
        if not isinstance(error, KandleError) or not error.retriable or isinstance(error, BreakerOpenError):
            return False
        if self.breaker.state == "open":
            return False
        logger.info("a call has failed", provider=self.provider, operation=operation, why=str(error))
        told_s = error.wait_s if isinstance(error, RateLimitedError | ServerError) else None
        if told_s is None:
            return place.remaining_s > self._policy.delay_s
        # The bucket is paused for as long as we were told: the next attempt waits for its tokens there.
        return 0.0 if told_s < place.remaining_s else False

    def _heed(self, operation: str, error: KandleError) -> None:
        """Wait as told, with every call of this address."""
        wait_s = error.wait_s if isinstance(error, RateLimitedError | ServerError) else None
        if wait_s is None:
            return
        longer = wait_s > self.bucket.paused_s
        was_paused = self.bucket.paused_s > 0
        self.bucket.pause(wait_s)
        if not isinstance(error, RateLimitedError):
            return
        metrics.calls.RATE_LIMIT_HITS.labels(self.provider).inc()
        # Calls that were under way together are told the same: one event is enough.
        if not was_paused or (error.banned and longer):
            logger.warning("a provider tells us to wait", provider=self.provider, wait_s=round(wait_s, 1))
            self._on_event(
                ResilienceEvent(
                    "rate_limit.hit",
                    "error" if error.banned else "warning",
                    str(error),
                    {
                        "provider": self.provider,
                        "operation": operation,
                        "wait_s": round(wait_s, 3),
                        "reset_at": error.reset_at,
                        "banned": error.banned,
                    },
                )
            )

    def _breaker_changed(self, state: State) -> None:
        metrics.calls.BREAKER_STATE.labels(self.provider).set(_STATES[state])
        logger.info("the circuit breaker has changed", provider=self.provider, state=state)
        if state == "open":
            retry_in_s = self.breaker.retry_in_s
            self._on_event(
                ResilienceEvent(
                    "circuit_breaker.open",
                    "error",
                    f"calls to {self.provider} are suspended for {retry_in_s:.0f} s: too many have failed",
                    {"provider": self.provider, "retry_in_s": round(retry_in_s, 3)},
                )
            )


def _is_failure(error: BaseException) -> bool | None:
    """What an error says of the provider; see `CircuitBreaker.trial`."""
    match error:
        case RateLimitedError():
            return None
        case UnavailableError():
            return True
        case KandleError():
            return False
        case Exception():
            return True
        case _:
            return None
