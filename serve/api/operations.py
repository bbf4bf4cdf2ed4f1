"""REST of what people who operate the pipeline look at."""

import dataclasses
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from serve.api import models
from serve.api.answers import NOT_MODIFIED, answer
from serve.api.moments import NAME, newest
from serve.problems import PROBLEMS
from serve.services import Shared
from serve.sources import EVENTS, NOTIFICATIONS
from serve.store import Range

router = APIRouter(prefix="/api/v1", tags=["operations"], responses={**PROBLEMS, **NOT_MODIFIED})


@router.get("/notifications", response_model=models.Page[models.Notification])
async def notifications(
    request: Request,
    services: Shared,
    range_: Annotated[Range, newest(100)],
) -> Response:
    """Messages that channels have taken."""
    rows, older = await services.store.page(NOTIFICATIONS, {}, range_)
    return answer(request, {"data": rows, "before": older})


@router.get("/events", response_model=models.Page[models.Event])
async def events(
    request: Request,
    services: Shared,
    range_: Annotated[Range, newest(100)],
    severity: Annotated[
        Literal["info", "warning", "error"] | None, Query(description="this severity only")
    ] = None,
    type_: Annotated[str | None, Query(alias="type", pattern=NAME, description="this type only")] = None,
) -> Response:
    """What happened to the pipeline."""
    wanted = {"severity": severity, "type": type_}
    rows, older = await services.store.page(EVENTS, wanted, range_)
    return answer(request, {"data": rows, "before": older})


@router.get("/venues", response_model=models.Listing[models.Venue])
async def venues(request: Request, services: Shared) -> Response:
    """Venues of which something is stored or heard, and how their feeds stand."""
    rows = await services.store.rows(
        "SELECT venue, count(*) AS instruments FROM kandle.instruments GROUP BY venue"
    )
    counts = {row["venue"]: row["instruments"] for row in rows}
    states = services.feeds.states()
    data = []
    for venue in sorted(counts.keys() | states.keys()):
        state = states.get(venue)
        data.append(
            {
                "venue": venue,
                "instruments": counts.get(venue, 0),
                "connected": state and state.connected,
                "silent_s": state and state.silent_s,
                "delay_s": state and state.delay_s,
                "skew_s": state and state.skew_s,
                "gaps": state.gaps if state else 0,
            }
        )
    return answer(request, {"data": data})


@router.get("/dead-letters", response_model=models.Listing[models.DeadLetters])
async def dead_letters(request: Request, services: Shared) -> Response:
    """What waits in the dead letter topics; `kandle dlq` shows and settles it."""
    look = await services.pipeline.look()
    data = [{"topic": name, "records": count} for name, count in sorted(look.dead_letters.items())]
    return answer(request, {"data": data})


@router.get("/pipeline", response_model=models.PipelineState)
async def pipeline(request: Request, services: Shared) -> Response:
    """Stages, topics, sinks and venues, with rates and lags."""
    look = await services.pipeline.look()
    states = services.feeds.states()
    content = dataclasses.asdict(look) | {
        "venues": [{"venue": venue, **dataclasses.asdict(state)} for venue, state in states.items()],
        "dead_letters": sum(look.dead_letters.values()),
        "server": services.hub.figures(),
    }
    return answer(request, content)
