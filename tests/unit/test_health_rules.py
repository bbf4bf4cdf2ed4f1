"""The rules by which services make a whole, at their bounds."""

import pytest

from infra.health.report import report_of
from infra.health.results import State


def services(healthy: int, unhealthy: int, critical: State | None = None) -> dict[str, tuple[State, bool]]:
    found: dict[str, tuple[State, bool]] = {f"good-{n}": ("healthy", False) for n in range(healthy)}
    found |= {f"bad-{n}": ("unhealthy", False) for n in range(unhealthy)}
    return found | ({} if critical is None else {"vital": (critical, True)})


@pytest.mark.parametrize(
    ("healthy", "unhealthy", "status", "percentage"),
    [
        (1, 0, "healthy", 100.0),
        (9, 1, "healthy", 90.0),
        (899, 101, "degraded", 89.9),
        (7, 3, "degraded", 70.0),
        (699, 301, "unhealthy", 69.9),
        (0, 1, "unhealthy", 0.0),
        (0, 0, "unhealthy", 0.0),
    ],
)
def test_the_share_of_healthy_services_decides(
    healthy: int, unhealthy: int, status: str, percentage: float
) -> None:
    report = report_of(services(healthy, unhealthy))
    assert (report.status, report.percentage) == (status, percentage)
    assert (report.healthy, report.total) == (healthy, healthy + unhealthy)
    assert report.critical_failures == ()


@pytest.mark.parametrize("state", ["unknown", "unhealthy", "error"])
@pytest.mark.parametrize(("healthy", "unhealthy"), [(999, 0), (8, 2), (0, 3)])
def test_a_critical_service_that_is_not_healthy_makes_all_of_it_degraded(
    state: State, healthy: int, unhealthy: int
) -> None:
    report = report_of(services(healthy, unhealthy, critical=state))
    assert (report.status, report.critical_failures) == ("degraded", ("vital",))


def test_critical_services_that_are_healthy_count_like_others() -> None:
    assert report_of(services(8, 1, critical="healthy")).status == "healthy"
    assert report_of(services(8, 2, critical="healthy")).status == "degraded"
