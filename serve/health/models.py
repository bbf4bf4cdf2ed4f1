"""What REST answers of the health monitor. Times are microseconds since the epoch, UTC."""

from typing import Literal

from pydantic import BaseModel, Field

MICROS = "µs since the epoch, UTC"
STATE = "unknown: too early to say; unhealthy: the check says no; error: it raised or took too long"
State = Literal["unknown", "healthy", "unhealthy", "error"]


class CheckResult(BaseModel):
    """One check of a service."""

    time: int = Field(description=f"when it began, {MICROS}")
    status: State = Field(description=STATE)
    response_ms: float = Field(description="how long it took, ms")
    message: str = Field(description="why it is not healthy; empty if it is")
    details: dict[str, str | int | float | bool | None] = Field(description="figures by name")


class CheckedService(BaseModel):
    """A service, and how it is."""

    name: str = Field(description="its name")
    critical: bool = Field(description="whether the whole is degraded without it")
    status: State = Field(description=STATE)
    since: int | None = Field(description=f"when this status began, {MICROS}; null before the first check")
    failures: int = Field(description="failed checks in a row")
    last: CheckResult | None = Field(description="its last check; null before the first")
    recent: list[State] = Field(description="how its last 60 checks ended, oldest first")


class HealthReport(BaseModel):
    """How the services stand together."""

    time: int = Field(description=f"when this was told, {MICROS}")
    status: Literal["healthy", "degraded", "unhealthy"] = Field(
        description="degraded if a critical one is not healthy; else by the share of healthy ones: healthy "
        "from 90 %, degraded from 70 %"
    )
    healthy: int = Field(description="services that are healthy")
    total: int = Field(description="services that there are")
    percentage: float = Field(description="share of the healthy ones, 0 to 100")
    critical_failures: list[str] = Field(description="critical services that are not healthy")
    every_s: float = Field(description="s between two checks")
    services: list[CheckedService]
