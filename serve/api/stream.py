"""Subscriptions as server-sent events: for EventSource, and for curl."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Final

from fastapi import APIRouter, HTTPException, Query
from starlette.responses import StreamingResponse

from schemas.errors import ConflictError, ValidationError
from serve.api.moments import AnyInterval, AnySymbol, AnyVenue
from serve.hub.asking import subscription_of
from serve.hub.channels import CHANNELS, Subscription
from serve.hub.websocket import Desk
from serve.problems import PROBLEMS
from serve.services import Services, Shared

AWAKE_S: Final = 15.0
"""A line goes out this often at least, so that proxies keep the connection."""

router = APIRouter(prefix="/api/v1", tags=["subscriptions"], responses=PROBLEMS)


@router.get(
    "/stream",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
)
async def stream(
    services: Shared,
    channel: Annotated[list[str], Query(description=f"one or more of {', '.join(CHANNELS)}")],
    venue: AnyVenue = None,
    symbol: AnySymbol = None,
    interval: AnyInterval = None,
) -> StreamingResponse:
    """What /ws sends: a snapshot of each channel, then its changes, without end."""
    try:
        asked = [_subscription(name, venue, symbol, interval) for name in dict.fromkeys(channel)]
    except ValidationError as error:
        raise HTTPException(422, str(error)) from None
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_events(services, asked), 200, headers, "text/event-stream")


def _subscription(name: str, venue: str | None, symbol: str | None, interval: str | None) -> Subscription:
    given = {"channel": name, "venue": venue, "symbol": symbol, "interval": interval}
    channel = CHANNELS.get(name)
    if channel is not None:
        # The query is of all channels: each takes what it knows of.
        used = ("channel", *channel.needs, *channel.narrowed_by)
        given = {part: value for part, value in given.items() if part in used}
    return subscription_of(given)


async def _events(services: Services, asked: list[Subscription]) -> AsyncIterator[str]:
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("a client is served in a task")
    try:
        outbox = services.hub.enter(task, "sse")
    except ConflictError as error:
        yield f"event: error\ndata: {error}\n\n"
        return
    desk = Desk(services.hub, services.snapshots, outbox)
    try:
        for subscription in asked:
            desk.subscribe(subscription)
        is_last = False
        while not is_last:
            try:
                async with asyncio.timeout(AWAKE_S):
                    taken = await outbox.take()
            except TimeoutError:
                yield ":\n\n"
                continue
            is_last = outbox.ended
            for said in taken:
                yield f"event: {said.type}\ndata: {said.text}\n\n"
    finally:
        desk.leave()
