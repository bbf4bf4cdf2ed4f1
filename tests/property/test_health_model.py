"""The monitor against its rules, whatever the checks say."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from infra.health.monitor import HealthMonitor
from infra.health.report import report_of
from infra.health.results import Check, State, Verdict
from infra.health.service import KEPT

STATES: list[State] = ["unknown", "healthy", "unhealthy", "error"]
FAILED = {"unhealthy", "error"}
states = st.sampled_from(STATES)


def says(sequence: list[State]) -> Check:
    left = iter(sequence)

    async def check() -> Verdict:
        state = next(left)
        if state == "error":
            raise ValueError
        return Verdict(state)

    return check


@given(st.dictionaries(st.text(max_size=5), st.tuples(states, st.booleans()), max_size=30))
def test_the_whole_is_judged_as_the_rules_say(services: dict[str, tuple[State, bool]]) -> None:
    report = report_of(services)
    good = [name for name, (state, _) in services.items() if state == "healthy"]
    vital = {name for name, (state, critical) in services.items() if critical and state != "healthy"}
    assert (report.healthy, report.total) == (len(good), len(services))
    assert set(report.critical_failures) == vital
    share = len(good) / len(services) if services else 0.0
    assert abs(report.percentage - 100 * share) <= 0.005
    if vital:
        assert report.status == "degraded"
    else:
        assert report.status == ("healthy" if share >= 0.9 else "degraded" if share >= 0.7 else "unhealthy")


@given(st.dictionaries(st.text(max_size=5), st.tuples(states, st.booleans()), min_size=1, max_size=30))
def test_a_service_that_gets_well_makes_nothing_worse(services: dict[str, tuple[State, bool]]) -> None:
    before = report_of(services)
    for name, (_, critical) in services.items():
        after = report_of(services | {name: ("healthy", critical)})
        assert after.percentage >= before.percentage
        assert set(after.critical_failures) <= set(before.critical_failures)
        if not before.critical_failures:
            order = ["unhealthy", "degraded", "healthy"]
            assert order.index(after.status) >= order.index(before.status)


@given(st.lists(states, max_size=60), st.booleans())
def test_alerts_and_recoveries_follow_the_streaks(sequence: list[State], critical: bool) -> None:
    monitor = HealthMonitor()
    monitor.register("thing", says(sequence), critical)
    (service,) = monitor.services

    async def rounds() -> list[list[str]]:
        return [[notice.kind for notice in await monitor.round()] for _ in sequence]

    kinds = asyncio.run(rounds())
    streak, alerted = 0, False
    for state, told in zip(sequence, kinds, strict=True):
        if state in FAILED:
            streak += 1
            is_alert = critical and streak >= 3 and not alerted
            assert told == (["failed", "alert"] if is_alert else ["failed"])
            alerted = alerted or is_alert
        elif state == "healthy":
            assert told == (["recovered"] if streak else [])
            streak, alerted = 0, False
        else:
            assert told == []
    assert service.failures == streak
    assert [result.state for result in service.results] == sequence
    assert service.state == (sequence[-1] if sequence else "unknown")


async def test_the_last_thousand_results_are_kept_in_order() -> None:
    monitor = HealthMonitor()
    sequence = STATES[2:3] * 300 + STATES[1:2] * KEPT
    monitor.register("thing", says(sequence))
    for _ in sequence:
        await monitor.round()
    (service,) = monitor.services
    assert len(service.results) == KEPT == 1_000
    assert {result.state for result in service.results} == {"healthy"}
    times = [result.time for result in service.results]
    assert times == sorted(times)
