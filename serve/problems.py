"""Answers that say what went wrong: RFC 9457, one shape for every error."""

import http
from collections.abc import Mapping
from typing import Any, Final

import psycopg
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from infra.logging import get_logger
from infra.metrics.stages import count_error
from schemas.errors import ConfigurationError, UnavailableError
from serve.api.moments import MEANINGS

MEDIA_TYPE: Final = "application/problem+json"
RETRY_AFTER_S: Final = "5"

log = get_logger(__name__)


class Problem(BaseModel):
    """What went wrong."""

    type: str = Field("about:blank", description="always about:blank: the status says it all")
    title: str = Field(description="the status in words")
    status: int = Field(description="HTTP status")
    detail: str = Field(description="what was expected, what came, what to do next")
    request_id: str = Field("", description="X-Request-ID of this answer, for the log")


_CONTENT: Final = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    "4XX": {"description": "The question is wrong, or not allowed", "content": _CONTENT},
    "503": {"description": "The database or Kafka does not answer, or not in time", "content": _CONTENT},
}
"""What every route may answer besides its own; for OpenAPI."""


def problem(
    request: Request, status: int, detail: str, headers: dict[str, str] | None = None
) -> JSONResponse:
    """An answer that says what went wrong."""
    content = Problem(
        title=http.HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        request_id=request.scope.get("request_id", ""),
    )
    return JSONResponse(content.model_dump(), status, headers, MEDIA_TYPE)


def answer_problems(app: FastAPI) -> None:
    """Make an application answer every error as a problem."""

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> JSONResponse:
        detail = str(error.detail)
        if detail == http.HTTPStatus(error.status_code).phrase and error.status_code == 404:
            detail = f"there is nothing at {request.url.path}; /docs lists what there is"
        return problem(request, error.status_code, detail, dict(error.headers or {}))

    @app.exception_handler(RequestValidationError)
    async def wrong(request: Request, error: RequestValidationError) -> JSONResponse:
        return problem(request, 422, "; ".join(map(_fault, error.errors())))

    @app.exception_handler(UnavailableError)
    async def away(request: Request, error: UnavailableError) -> JSONResponse:
        log.warning("a service does not answer", error=str(error))
        count_error("serve", error)
        # What a driver says may name hosts and users: that is for the log.
        detail = "the database or Kafka does not answer; try again"
        return problem(request, 503, detail, {"Retry-After": RETRY_AFTER_S})

    @app.exception_handler(ConfigurationError)
    async def missing(request: Request, error: ConfigurationError) -> JSONResponse:
        return problem(request, 503, str(error))

    @app.exception_handler(psycopg.errors.QueryCanceled)
    async def too_slow(request: Request, error: psycopg.errors.QueryCanceled) -> JSONResponse:
        detail = "the database took too long: ask for fewer rows or a shorter range"
        return problem(request, 503, detail, {"Retry-After": RETRY_AFTER_S})

    @app.exception_handler(psycopg.OperationalError)
    async def lost(request: Request, error: psycopg.OperationalError) -> JSONResponse:
        log.warning("the database does not answer", error=repr(error))
        count_error("serve", UnavailableError())
        return problem(
            request, 503, "the database does not answer; try again", {"Retry-After": RETRY_AFTER_S}
        )

    @app.exception_handler(psycopg.errors.UndefinedTable)
    async def empty(request: Request, error: psycopg.errors.UndefinedTable) -> JSONResponse:
        return problem(request, 503, "the database has no tables yet: run `kandle sink migrate`")

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> JSONResponse:
        log.error("a request has failed", exc_info=error, path=request.url.path)
        count_error("serve", error)
        return problem(request, 500, "the server has failed; its log says why under this request_id")


def _fault(error: Mapping[str, Any]) -> str:
    """What is wrong with a part of a question, in words for people."""
    name = ".".join(str(part) for part in error["loc"][1:])
    match error["type"]:
        case "missing":
            return f"{name} must be given"
        case "string_pattern_mismatch" if meaning := MEANINGS.get(error["ctx"]["pattern"]):
            return f"{name} is {meaning}; got {error['input']!r:.60}"
        case "value_error":
            return f"{name}: {error['ctx']['error']}"
    return f"{name}: {error['msg']}"
