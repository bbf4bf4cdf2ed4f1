"""REST of what people who operate the pipeline look at."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from serve.api import models
from serve.api.answers import NOT_MODIFIED, answer
from serve.api.market import within
from serve.api.moments import NAME, Before, From, Limit, To
from serve.problems import PROBLEMS
from serve.services import Shared
from serve.sources import EVENTS, NOTIFICATIONS

router = APIRouter(prefix="/api/v1", tags=["operations"], responses={**PROBLEMS, **NOT_MODIFIED})


@router.get("/notifications", response_model=models.Page[models.Notification])
async def notifications(
    request: Request,
    services: Shared,
    first: From = None,
    to: To = None,
    before: Before = None,
    limit: Limit = 100,
) -> Response:
    """Messages that channels have taken."""
    rows, older = await services.store.page(NOTIFICATIONS, {}, within(first, to, before, limit))
    return answer(request, {"data": rows, "before": older})


@router.get("/events", response_model=models.Page[models.Event])
async def events(
    request: Request,
    services: Shared,
    severity: Annotated[
        Literal["info", "warning", "error"] | None, Query(description="this severity only")
    ] = None,
    type_: Annotated[str | None, Query(alias="type", pattern=NAME, description="this type only")] = None,
    first: From = None,
    to: To = None,
    before: Before = None,
    limit: Limit = 100,
) -> Response:
    """What happened to the pipeline."""
    wanted = {"severity": severity, "type": type_}
    rows, older = await services.store.page(EVENTS, wanted, within(first, to, before, limit))
    return answer(request, {"data": rows, "before": older})
