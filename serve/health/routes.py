"""REST of the health monitor."""

import dataclasses
import itertools
import time
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from infra.health.results import Result
from infra.health.service import KEPT
from serve.api.models import Listing
from serve.health.models import CheckResult, HealthReport
from serve.health.watch import HealthWatch
from serve.problems import PROBLEMS
from serve.services import Shared

RECENT: Final = 60
FRESH: Final = {"Cache-Control": "no-store"}
Name = Annotated[str, Path(description="name of a service", pattern=r"^[^/\x00-\x1f\x7f]{1,100}$")]

router = APIRouter(prefix="/api/v1/health", tags=["operations"], responses=PROBLEMS)


@router.get("/services", response_model=HealthReport)
async def services(services: Shared) -> JSONResponse:
    """How the services are, each by its last check, and together."""
    return JSONResponse(health_report(services.health), headers=FRESH)


@router.get("/services/{name}/results", response_model=Listing[CheckResult])
async def results(
    services: Shared,
    name: Name,
    limit: Annotated[int, Query(ge=1, le=KEPT, description="results, at most")] = 100,
) -> JSONResponse:
    """The last checks of a service, oldest first."""
    service = services.health.monitor.service(name)
    if service is None:
        raise HTTPException(404, f"there is no service {name!r}; /api/v1/health/services lists them")
    kept = itertools.islice(service.results, max(len(service.results) - limit, 0), None)
    return JSONResponse({"data": [_result(each) for each in kept]}, headers=FRESH)


def health_report(watch: HealthWatch) -> dict[str, Any]:
    """The report as REST answers it, see `HealthReport`."""
    monitor = watch.monitor
    return {
        "time": time.time_ns() // 1_000,
        **dataclasses.asdict(monitor.report()),
        "every_s": watch.every_s,
        "services": [
            {
                "name": each.name,
                "critical": each.critical,
                "status": each.state,
                "since": each.since,
                "failures": each.failures,
                "last": _result(each.results[-1]) if each.results else None,
                "recent": [one.state for one in list(each.results)[-RECENT:]],
            }
            for each in monitor.services
        ],
    }


def _result(result: Result) -> dict[str, Any]:
    return {
        "time": result.time,
        "status": result.state,
        "response_ms": round(result.response_s * 1_000, 3),
        "message": result.message,
        "details": dict(result.details),
    }
