"""The rules by which services make a whole."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from infra.health.results import State

Overall: TypeAlias = Literal["healthy", "degraded", "unhealthy"]

HEALTHY_PERCENT: Final = 90
DEGRADED_PERCENT: Final = 70


@dataclass(frozen=True, slots=True)
class Report:
    """How the services stand together.

    Attributes:
        status: Of the whole.
        healthy: Services that are healthy.
        total: Services that there are.
        percentage: Share of the healthy ones, 0 to 100; 0 without services.
        critical_failures: Names of critical services that are not healthy, in order.
    """

    status: Overall
    healthy: int
    total: int
    percentage: float
    critical_failures: tuple[str, ...]


def report_of(services: Mapping[str, tuple[State, bool]]) -> Report:
    """Judge services by their state and whether they are critical.

    One critical service that is not healthy makes the whole degraded, whatever the rest is like: the share of
    healthy ones is only looked at when all critical ones are. So "degraded" is also the word when nothing at
    all is healthy but critical ones failed; "unhealthy" says that many others fail while they work. A service
    that is unknown is not healthy.

    Args:
        services: State, and whether it is critical, by name.
    """
    healthy = sum(state == "healthy" for state, _ in services.values())
    total = len(services)
    failures = tuple(
        name for name, (state, critical) in sorted(services.items()) if critical and state != "healthy"
    )
    # Whole numbers: 9 of 10 are 90 % exactly.
    if failures:
        status: Overall = "degraded"
    elif total and healthy * 100 >= HEALTHY_PERCENT * total:
        status = "healthy"
    elif total and healthy * 100 >= DEGRADED_PERCENT * total:
        status = "degraded"
    else:
        status = "unhealthy"
    return Report(status, healthy, total, round(100 * healthy / total, 2) if total else 0.0, failures)
