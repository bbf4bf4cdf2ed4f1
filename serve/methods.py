"""What may be done with a path: HEAD and OPTIONS of every one, and 405 for all else."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.problems import problem

ASKED: Final = ("GET", "POST", "PUT", "DELETE")
ENDLESS: Final = frozenset({"/api/v1/stream"})
"""Answers that never end have no end that HEAD could wait for."""


class Methods:
    """Middleware in front of the routes; the page, which takes what no route does, would answer instead.

    Args:
        app: The application's routes.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, HEAD as a GET whose body is left out, or say which methods there are."""
        if scope["type"] != "http" or scope["method"] == "GET":
            await self._app(scope, receive, send)
            return
        method, allowed = scope["method"], _allowed(scope)
        if not allowed or method in allowed - {"HEAD", "OPTIONS"}:
            await self._app(scope, receive, send)
        elif method == "HEAD" and method in allowed:
            await self._app({**scope, "method": "GET"}, receive, _without_body(send))
        elif method == "OPTIONS":
            await Response(status_code=204, headers={"Allow": _listed(allowed)})(scope, receive, send)
        else:
            detail = f"{scope['path']} takes {_listed(allowed)}; got {method}"
            answer = problem(Request(scope), 405, detail, {"Allow": _listed(allowed)})
            await answer(scope, receive, send)


def _allowed(scope: Scope) -> set[str]:
    """The methods of a path's routes; none where no route has it."""
    routes = [route for route in scope["app"].router.routes if not isinstance(route, Mount)]
    found = {
        method
        for method in ASKED
        if any(route.matches({**scope, "method": method})[0] is Match.FULL for route in routes)
    }
    if "GET" in found and scope["path"] not in ENDLESS:
        found.add("HEAD")
    return found | {"OPTIONS"} if found else found


def _listed(methods: set[str]) -> str:
    return ", ".join(sorted(methods))


def _without_body(send: Send) -> Send:
    async def without_body(message: Message) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await send(message)

    return without_body
