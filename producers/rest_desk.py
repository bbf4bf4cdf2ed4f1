"""Where all REST calls to a venue's market are handed in: made in order of urgency, within its budget."""

import asyncio
import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Protocol

from infra import metrics
from infra.http import HttpAnswer, HttpClient, HttpLimits
from infra.logging import get_logger
from infra.resilience.bulkhead import EXCHANGE_CALLS, EXCHANGE_TIMEOUT_S, Bulkhead
from infra.resilience.call_guard import CallGuard, CallPolicy
from infra.resilience.circuit_breaker import BreakerPolicy, CircuitBreaker
from infra.resilience.events import OnEvent, ResilienceEvent, ignore
from infra.resilience.token_bucket import HEADROOM, TokenBucket
from producers.exchange import Call, Limits
from producers.rest_budget import Budget, budget_of
from producers.rest_queue import QUEUE_CALLS, Answer, CallQueue, Deliver, Job
from schemas.errors import BreakerOpenError, KandleError, RateLimitedError, RefusedError, UnavailableError

LOOK_EVERY_S: Final = 1.0
"""How often calls that wait for the end of a pause are looked at."""
LOW: Final = 0.2
"""Share of a budget below which it is reported at once."""

logger = get_logger(__name__)


class RestClient(Protocol):
    """What makes the calls; `HttpClient` unless a desk is given another."""

    async def get(self, path: str) -> HttpAnswer:
        """The answer to a path; raises errors of our tree."""
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...


class RestMarket(Protocol):
    """What a desk wants to know of a market; every `Exchange` tells it."""

    @property
    def venue(self) -> str:
        """Name of the venue."""
        ...

    @property
    def market(self) -> str:
        """Kind of market."""
        ...

    @property
    def limits(self) -> Limits:
        """What the venue allows."""
        ...

    @property
    def ping_path(self) -> str:
        """REST path that answers cheaply."""
        ...


@dataclass(frozen=True, slots=True)
class DeskFigures:
    """The figures of a desk.

    Attributes:
        at_once: Calls under way at most.
        timeout_s: Longest time of one call with all its attempts, s.
        queue: Calls that wait at most.
        patience_s: While the venue makes us wait or fails, a call that has waited so long is given up, s.
            A call that only waits for its turn is not.
        health_every_s: An idle desk asks so often whether the venue is there, s.
        status_every_s: The budget is reported at most so often, s, unless it runs low.
        calls: Attempts of a call.
        breaker: When calls are suspended.
        http: Bounds of an answer.
    """

    at_once: int = EXCHANGE_CALLS
    timeout_s: float = EXCHANGE_TIMEOUT_S
    queue: int = QUEUE_CALLS
    patience_s: float = 60.0
    health_every_s: float = 60.0
    status_every_s: float = 60.0
    calls: CallPolicy = field(default_factory=CallPolicy)
    breaker: BreakerPolicy = field(default_factory=BreakerPolicy)
    http: HttpLimits = field(default_factory=HttpLimits)


class RestDesk:
    """Makes the calls to one market from this address: one desk for all who call it.

    Trades that close a gap come first, then snapshots of books, then what is polled. Calls for the same path
    are made once. A call leaves when the budget has its weight, so hundreds of snapshots asked for at once
    are paced. When the venue tells us to wait, everything waits as long as it says.

    Args:
        exchange: The market: its name, its limits, what to ping.
        base_url: Of its REST interface.
        on_answer: Takes the answers of calls that name nobody else.
        on_event: Told of limits, bans, budgets and the breaker.
        headers: Sent with every request, as an API key is.
        figures: Bounds and times.
        client: Makes the calls instead of HTTP to `base_url`.
    """

    def __init__(
        self,
        exchange: RestMarket,
        base_url: str,
        on_answer: Deliver,
        *,
        on_event: OnEvent = ignore,
        headers: Mapping[str, str] | None = None,
        figures: DeskFigures | None = None,
        client: RestClient | None = None,
    ) -> None:
        self.provider = f"{exchange.venue}-{exchange.market}"
        self._figures = figures or DeskFigures()
        self._on_answer = on_answer
        self._on_event = on_event
        self._attempts = self._figures.calls.attempts
        self._limit = exchange.limits.rest_weight_per_minute
        self._ping = Call("time", exchange.ping_path)
        self._client: RestClient = client or HttpClient(base_url, headers, self._figures.http)
        self.guard = CallGuard(
            self.provider,
            TokenBucket.of_minute(self.provider, self._limit),
            CircuitBreaker(self.provider, self._figures.breaker),
            Bulkhead(self.provider, self._figures.at_once, self._figures.timeout_s),
            policy=self._figures.calls,
            on_event=on_event,
        )
        self._queue = CallQueue(self._figures.queue)
        self._jobs: dict[str, Job] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._failure: BaseException | None = None
        self._blocked_s: float | None = None
        self._answered_s = time.monotonic()
        self._told: Budget | None = None
        self._status_s = 0.0
        self._is_low = False

    def __len__(self) -> int:
        """Calls that were asked for and are not answered."""
        return len(self._jobs)

    def submit(self, call: Call, deliver: Deliver | None = None) -> None:
        """Ask for a call; never blocks. Its answer comes once, unless the desk is stopped before.

        The answer has no body once all attempts have failed, the venue has refused for good, the queue is
        full of what is more urgent, or patience has ended.

        Args:
            call: What is asked for; asked for again while it waits or is under way, it is made once.
            deliver: Takes the answer instead of `on_answer`.
        """
        asker = (call, deliver or self._on_answer)
        job = self._jobs.get(call.path)
        if job is not None:
            if asker not in job.askers:
                job.askers.append(asker)
            return
        job = self._jobs[call.path] = Job(*asker, time.monotonic())
        surplus = self._queue.put(job)
        if surplus is not None:
            # Not at once: an asker that asks again would come back here.
            asyncio.get_running_loop().call_soon(self._settle, surplus, None, "too many calls wait")
        self._wake.set()

    async def fetch(self, call: Call) -> bytes:
        """Submit a call and wait for its body; the desk must be running.

        Raises:
            UnavailableError: It could not be had.
        """
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

        def take(answer: Answer) -> None:
            if not answered.done():
                answered.set_result(answer)

        self.submit(call, take)
        answer = await answered
        if answer.body is None:
            raise UnavailableError(f"{self.provider} {call.path}: {answer.error}")
        return answer.body

    def retry_now(self) -> None:
        """Try again what was suspended: the venue was just seen by another way, as by a socket that opens."""
        self.guard.breaker.reset()
        self._wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Make the calls until `stop` is set; those under way are cancelled then and have no answer.

        Raises:
            Exception: What a taker of answers has raised.
        """
        stopping = asyncio.create_task(stop.wait())
        stopping.add_done_callback(lambda _: self._wake.set())
        try:
            while not stop.is_set():
                self._wake.clear()
                delay_s = self._dispatch()
                metrics.calls.REST_QUEUE.labels(self.provider).set(len(self._queue))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(delay_s):
                        await self._wake.wait()
                if self._failure is not None:
                    raise self._failure
        finally:
            for task in (stopping, *self._tasks):
                task.cancel()
            await asyncio.gather(stopping, *self._tasks, return_exceptions=True)

    async def close(self) -> None:
        """Close the connections; call it after `run` has ended."""
        await self._client.close()

    def _dispatch(self) -> float:
        """Begin every call that may be made now; returns the seconds until there may be more to do."""
        now = time.monotonic()
        while True:
            self._give_up(now)
            job = self._queue.first
            if job is None:
                return self._check_health(now)
            limit = self.guard.breaker.limit
            at_once = self._figures.at_once if limit is None else min(limit, self._figures.at_once)
            delay_s = max(self.guard.bucket.delay_s(job.call.weight), self.guard.breaker.retry_in_s)
            if delay_s > 0 or len(self._tasks) >= at_once:
                # The end of a call wakes us; a pause is looked at, since patience may end before it does.
                return min(delay_s, LOOK_EVERY_S) if delay_s > 0 else LOOK_EVERY_S
            self.guard.bucket.try_take(job.call.weight)
            task = asyncio.create_task(self._make(self._queue.take()))
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    async def _make(self, job: Job) -> None:
        call = job.call
        job.turns += 1
        try:
            answer = await self.guard.call(
                call.kind, partial(self._client.get, call.path), weight=call.weight, paid=True
            )
        except (RateLimitedError, BreakerOpenError):
            # Not this call's fault: its turn comes again when the venue lets us.
            self._block()
            self._queue.put_back(job)
        except KandleError as error:
            if error.retriable and self.guard.breaker.state == "open" and job.turns < self._attempts:
                # The breaker has cut its attempts short.
                self._queue.put_back(job)
                return
            if isinstance(error, RefusedError):
                self._answered()
            logger.info("a call was given up", provider=self.provider, path=call.path, why=str(error))
            self._settle(job, None, str(error))
        else:
            self._answered()
            self._take_budget(answer)
            self._settle(job, answer.body, None)

    def _settle(self, job: Job, body: bytes | None, error: str | None) -> None:
        if self._jobs.get(job.call.path) is job:
            del self._jobs[job.call.path]
        for call, deliver in job.askers:
            deliver(Answer(call, body, error))

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._failure = task.exception()
        self._wake.set()

    def _answered(self) -> None:
        self._blocked_s = None
        self._answered_s = time.monotonic()

    def _block(self) -> None:
        if self._blocked_s is None:
            self._blocked_s = time.monotonic()

    def _give_up(self, now: float) -> None:
        """Answer those who have waited too long for a venue that lets nothing through."""
        if self.guard.bucket.paused_s <= 0 and self.guard.breaker.limit != 0:
            return
        self._block()
        assert self._blocked_s is not None
        patience_s = self._figures.patience_s
        if now - self._blocked_s <= patience_s:
            return
        why = "the venue makes us wait" if self.guard.bucket.paused_s > 0 else "calls are suspended"
        for job in self._queue.take_older(now - patience_s):
            self._settle(job, None, f"{why}; given up after {patience_s:g} s")

    def _check_health(self, now: float) -> float:
        """Ask an idle venue whether it is there: the breaker and a gauge know before somebody needs it."""
        due_s = self._answered_s + self._figures.health_every_s - now
        if due_s > 0 or self._tasks:
            return max(due_s, LOOK_EVERY_S)
        self._answered_s = now  # not again before the next time, answered or not
        self.submit(self._ping, lambda _: None)
        return 0.0

    def _take_budget(self, answer: HttpAnswer) -> None:
        """Believe what the venue says of the budget, and report it now and then."""
        bucket = self.guard.bucket
        now_s = time.time()
        told = budget_of(answer.headers, self._limit, now_s)
        if told is not None:
            bucket.told_remaining(told.remaining - self._limit * HEADROOM, told.reset_in_s)
            remaining, reset_at = told.remaining, int((now_s + told.reset_in_s) * 1_000_000)
        else:
            remaining, reset_at = bucket.remaining, bucket.reset_at
        was_low, self._is_low = self._is_low, told is not None and remaining < LOW * self._limit
        due = self._answered_s - self._status_s >= self._figures.status_every_s
        if not due and self._is_low <= was_low:
            return
        self._status_s = self._answered_s
        self._on_event(
            ResilienceEvent(
                "rate_limit.status",
                "warning" if self._is_low else "info",
                f"{self.provider} has {remaining:.0f} of {self._limit:.0f} a minute left",
                {"provider": self.provider, "remaining": round(remaining, 1), "reset_at": reset_at},
            )
        )
