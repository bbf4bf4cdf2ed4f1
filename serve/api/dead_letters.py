"""REST of single dead letters."""

from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Query, Request
from starlette.responses import Response

from schemas.topics import TOPICS
from serve.api import models
from serve.api.answers import NOT_MODIFIED, answer
from serve.dead_letters import newest
from serve.problems import PROBLEMS
from serve.services import Shared

router = APIRouter(prefix="/api/v1", tags=["operations"], responses={**PROBLEMS, **NOT_MODIFIED})


@router.get("/dead-letters/{topic}", response_model=models.Listing[models.Letter])
async def letters(
    request: Request,
    services: Shared,
    topic: Annotated[
        str, Path(max_length=249, description="a dead letter topic", examples=["market.trades.v1.dlq"])
    ],
    limit: Annotated[int, Query(ge=1, le=500, description="letters, at most")] = 50,
) -> Response:
    """The newest letters of a topic, newest first: why they were put aside, and what they hold."""
    names = [each.dead_letter_name for each in TOPICS if each.dead_letters]
    if topic not in names:
        raise HTTPException(404, f"there is no {topic!r:.100}; dead letter topics are {', '.join(names)}")
    found = await newest(services.settings.kafka, services.brokers, topic, limit)
    return answer(request, {"data": found})
