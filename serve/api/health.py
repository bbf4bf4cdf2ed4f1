"""GET /health: whether what the server needs is there."""

import asyncio
import time
from collections.abc import Awaitable
from typing import Any, Final

from fastapi import APIRouter
from starlette.responses import JSONResponse

from serve.api import models
from serve.health.checks import ping_redis
from serve.services import Shared

PATIENCE_S: Final = 3.0
"""A service that has not answered by then is down."""

router = APIRouter(tags=["operations"])


@router.get(
    "/health",
    response_model=models.Health,
    responses={503: {"model": models.Health, "description": "A service is down"}},
)
async def health(services: Shared) -> JSONResponse:
    """Services up or down: 200 if all are up, else 503. Needs no token."""
    checks: dict[str, Awaitable[Any]] = {
        "database": services.store.rows("SELECT 1"),
        "kafka": services.brokers.layout(),
    }
    if services.settings.cache.url is not None:
        checks["redis"] = ping_redis(services.settings)
    up = dict(zip(checks, await asyncio.gather(*map(_is_up, checks.values())), strict=True))
    up["exchange"] = any(state.connected for state in services.feeds.states().values())
    content = {
        "status": "healthy" if all(up.values()) else "unhealthy",
        "timestamp": time.time_ns() // 1_000,
        "services": {name: "up" if is_up else "down" for name, is_up in up.items()},
    }
    return JSONResponse(content, 200 if all(up.values()) else 503, {"Cache-Control": "no-store"})


async def _is_up(check: Awaitable[Any]) -> bool:
    try:
        async with asyncio.timeout(PATIENCE_S):
            await check
    except Exception:
        # Whatever it is that fails: the answer is that it does.
        return False
    return True
