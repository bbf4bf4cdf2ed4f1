"""The monitor: states of checks, their time, what is kept, and what is told."""

import asyncio
from collections.abc import Sequence

import pytest

from infra.health.monitor import HealthMonitor
from infra.health.results import Check, State, Verdict, healthy, unhealthy, unknown
from schemas.errors import ConfigurationError

SAYS = {"good": healthy(lag=3), "bad": unhealthy("too far behind", lag=99), "early": unknown("is starting")}


class Hand:
    """A clock that is moved by hand, µs and s."""

    def __init__(self) -> None:
        self.us = 1_000_000

    def now_us(self) -> int:
        return self.us

    def elapsed_s(self) -> float:
        return self.us / 1e6


def monitor_of(check: Check, critical: bool = True) -> tuple[HealthMonitor, Hand]:
    clock = Hand()
    monitor = HealthMonitor(clock=clock, elapsed_s=clock.elapsed_s)
    monitor.register("thing", check, critical)
    return monitor, clock


def says(*words: str) -> Check:
    """A check that says these one after the other; `raises` is an exception."""
    left = list(words)

    async def check() -> Verdict:
        word = left.pop(0)
        if word == "raises":
            raise OSError("no route to it")
        return SAYS[word]

    return check


async def told(*words: str, critical: bool = True) -> list[Sequence[str]]:
    """The kinds of what is told, check by check."""
    monitor, _ = monitor_of(says(*words), critical)
    return [[notice.kind for notice in await monitor.round()] for _ in words]


async def test_what_a_library_raises_tells_no_password() -> None:
    async def check() -> Verdict:
        raise OSError("cannot reach redis://me:wordOfMouth@h:6379")

    monitor, _ = monitor_of(check)
    await monitor.round()
    (service,) = monitor.services
    assert service.results[-1].message == "OSError: cannot reach redis://me:***@h:6379"


@pytest.mark.parametrize(
    ("word", "state", "message"),
    [
        ("good", "healthy", ""),
        ("bad", "unhealthy", "too far behind"),
        ("early", "unknown", "is starting"),
        ("raises", "error", "OSError: no route to it"),
    ],
)
async def test_a_check_gives_a_state(word: str, state: State, message: str) -> None:
    monitor, clock = monitor_of(says(word))
    (service,) = monitor.services
    assert (service.state, service.since, list(service.results)) == ("unknown", None, [])
    await monitor.round()
    (result,) = service.results
    assert (result.state, result.message, result.time) == (state, message, clock.us)
    assert service.state == state
    assert result.details == (SAYS[word].details if word in SAYS else {})


async def test_the_response_time_is_measured_and_never_negative() -> None:
    clock = Hand()

    async def check() -> Verdict:
        clock.us += 250_000
        return healthy()

    monitor = HealthMonitor(clock=clock, elapsed_s=clock.elapsed_s)
    monitor.register("thing", check)
    await monitor.round()
    (service,) = monitor.services
    assert (service.results[0].time, service.results[0].response_s) == (1_000_000, 0.25)


async def test_a_check_that_takes_too_long_is_an_error_and_holds_up_no_other() -> None:
    async def never() -> Verdict:
        await asyncio.Event().wait()
        return healthy()

    monitor = HealthMonitor(timeout_s=0.05)
    for number in range(100):
        monitor.register(f"stuck-{number}", never)
    monitor.register("good", says("good"))
    async with asyncio.timeout(4):
        await monitor.round()
    states = {service.name: service.state for service in monitor.services}
    assert states.pop("good") == "healthy"
    assert set(states.values()) == {"error"}
    stuck = monitor.service("stuck-0")
    assert stuck is not None
    assert stuck.results[-1].message == "no answer within 0.05 s"


async def test_a_timeout_of_the_check_itself_keeps_its_words() -> None:
    async def check() -> Verdict:
        raise TimeoutError("the broker is slow")

    monitor, _ = monitor_of(check)
    await monitor.round()
    (service,) = monitor.services
    assert service.results[-1].message == "TimeoutError: the broker is slow"


async def test_the_third_failure_in_a_row_of_a_critical_service_is_an_alert_once() -> None:
    assert await told(*["bad", "raises", "bad", "bad", "raises"]) == [
        *(["failed"], ["failed"], ["failed", "alert"], ["failed"], ["failed"]),
    ]
    assert await told(*["bad"] * 4, critical=False) == [["failed"]] * 4


async def test_a_recovery_is_told_and_ends_the_streak() -> None:
    kinds = await told("good", "bad", "bad", "good", "bad", "bad", "bad", "good", "good")
    assert kinds == [
        *([], ["failed"], ["failed"], ["recovered"]),
        *(["failed"], ["failed"], ["failed", "alert"], ["recovered"], []),
    ]


async def test_a_recovery_says_whether_an_alert_was_raised() -> None:
    monitor, _ = monitor_of(says("bad", "good", "bad", "bad", "bad", "good"))
    notices = [notice for _ in range(6) for notice in await monitor.round()]
    assert [each.was_alerted for each in notices if each.kind == "recovered"] == [False, True]
    assert [each.failures for each in notices if each.kind == "recovered"] == [1, 3]


async def test_a_check_that_cannot_say_is_no_failure_and_ends_no_streak() -> None:
    assert await told("early", "bad", "early", "bad", "bad") == [
        *([], ["failed"], [], ["failed"], ["failed", "alert"]),
    ]


async def test_since_is_when_the_state_began() -> None:
    monitor, clock = monitor_of(says("good", "good", "bad", "raises", "raises"))
    (service,) = monitor.services
    since = []
    for _ in range(5):
        clock.us += 60_000_000
        await monitor.round()
        since.append((service.since or 0) // 60_000_000)
    assert since == [1, 1, 3, 4, 4]


async def test_only_services_in_the_wanted_states_are_checked_again() -> None:
    monitor = HealthMonitor()
    monitor.register("late", says("early", "good"))
    monitor.register("good", says("good"))
    await monitor.round()
    await monitor.round({"unknown"})
    assert [len(service.results) for service in monitor.services] == [2, 1]
    assert monitor.report().status == "healthy"


def test_a_name_is_registered_once() -> None:
    monitor, _ = monitor_of(says("good"))
    with pytest.raises(ConfigurationError, match="'thing' is registered already"):
        monitor.register("thing", says("good"))
    assert monitor.service("other") is None
