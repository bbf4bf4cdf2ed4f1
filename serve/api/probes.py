"""GET /livez, /readyz and /startupz: the probes of this process, as on its metrics port."""

from typing import Any, Final

from fastapi import APIRouter
from pydantic import BaseModel
from starlette.responses import JSONResponse

from infra.probes import READINESS, Answer, Probes
from serve.services import Shared

router = APIRouter(tags=["operations"])


class Probe(BaseModel):
    """The answer to a probe: in one word, and by check `ok` or why it fails."""

    status: str
    checks: dict[str, str]


RESPONSES: Final[dict[int | str, dict[str, Any]]] = {503: {"model": Probe, "description": "It does not pass"}}


@router.get("/livez", response_model=Probe, responses=RESPONSES)
async def live(services: Shared) -> JSONResponse:
    """Whether the process's event loop moves. Needs no token."""
    return _answer(_probes(services).live())


@router.get("/readyz", response_model=Probe, responses=RESPONSES)
async def ready(services: Shared) -> JSONResponse:
    """Whether Kafka and the database answer this process. Needs no token."""
    return _answer(_probes(services).ready())


@router.get("/startupz", response_model=Probe, responses=RESPONSES)
async def started(services: Shared) -> JSONResponse:
    """Whether the process was ready once. Needs no token."""
    return _answer(_probes(services).started())


def _probes(services: Shared) -> Probes:
    return Probes(READINESS, services.settings.metrics.loop_silence_s)


def _answer(found: Answer) -> JSONResponse:
    is_well, status, checks = found
    headers = {"Cache-Control": "no-store"}
    return JSONResponse({"status": status, "checks": checks}, 200 if is_well else 503, headers)
