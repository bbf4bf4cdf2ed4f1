"""Who may ask: the token, and the names and pages that a browser may come from."""

import base64
import binascii
import hmac
from typing import Final
from urllib.parse import parse_qs, urlsplit

from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from infra.settings import ServeSettings
from infra.settings.serve import LOOPBACK
from serve.problems import problem

GUARDED: Final = (
    *("/api/", "/ws", "/openapi.json", "/docs"),
    *("/subjects", "/schemas", "/config", "/mode", "/compatibility"),
)
"""Paths that want the token; the rest is /health, probes and files that hold no data."""
BEARER: Final = "token."
"""Begins the name of a WebSocket's protocol that holds the token, as base64url."""
ALLOWED_HEADERS: Final = "authorization, content-type, if-none-match, traceparent, x-request-id"
PREFLIGHT: Final = {"Access-Control-Allow-Methods": "GET, HEAD, POST", "Access-Control-Max-Age": "600"}


class Access:
    """Middleware that refuses strangers.

    Without a token only this machine reaches the server, and so does every page in its browser: a page whose
    host name was bent to 127.0.0.1 shows in the Host header, one of another host in the Origin header.

    Args:
        app: What is asked when the request may pass.
        settings: Token and origins.
    """

    def __init__(self, app: ASGIApp, settings: ServeSettings) -> None:
        self._app = app
        self._token = settings.token.get_secret_value() if settings.token else None
        self._origins = frozenset(origin.rstrip("/") for origin in settings.origins)
        self._hosts = LOOPBACK | {settings.host}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request pass, or answer 401 or 403."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        origin = connection.headers.get("origin", "")
        refusal = self._refusal(connection, origin)
        if refusal is None and scope["type"] == "http" and origin.rstrip("/") in self._origins:
            await self._across_origins(scope, receive, send, origin)
        elif refusal is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await WebSocketClose(1008, refusal[1])(scope, receive, send)
        else:
            status, detail = refusal
            headers = {"WWW-Authenticate": 'Basic realm="kandle"'} if status == 401 else None
            await problem(connection, status, detail, headers)(scope, receive, send)  # type: ignore[arg-type]

    def _refusal(self, connection: HTTPConnection, origin: str) -> tuple[int, str] | None:
        host = connection.headers.get("host", "")
        if origin and origin.rstrip("/") not in self._origins and urlsplit(origin).netloc != host:
            return 403, f"pages of {origin} may not ask: name it in serve.origins"
        if self._token is None:
            try:
                name = urlsplit(f"//{host}").hostname
            except ValueError:
                name = None
            return None if name in self._hosts else (403, "ask by the name 127.0.0.1 or localhost")
        path = connection.scope["path"]
        preflight = connection.scope.get("method") == "OPTIONS" and origin
        if preflight or not path.startswith(GUARDED) or self._is_known(connection):
            return None
        return 401, "a token is needed: Authorization: Bearer TOKEN, or ?token=TOKEN"

    def _is_known(self, connection: HTTPConnection) -> bool:
        given = parse_qs(connection.scope["query_string"].decode("latin-1")).get("token", [])
        scheme, _, value = connection.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            given.append(value.strip())
        elif scheme.lower() == "basic":
            given.append(_password(value))
        if connection.scope["type"] == "websocket":
            given += filter(None, map(_named_token, connection.scope.get("subprotocols", ())))
        return any(hmac.compare_digest(one.encode(), (self._token or "").encode()) for one in given)

    async def _across_origins(self, scope: Scope, receive: Receive, send: Send, origin: str) -> None:
        headers = {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Allow-Headers": ALLOWED_HEADERS,
            "Access-Control-Expose-Headers": "x-request-id, etag",
            "Vary": "Origin",
        }
        if scope["method"] == "OPTIONS":
            await Response(status_code=204, headers=headers | PREFLIGHT)(scope, receive, send)
            return
        encoded = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *encoded]
            await send(message)

        await self._app(scope, receive, with_headers)


def _named_token(protocol: str) -> str | None:
    """The token in the name of a protocol, the only header that a page may choose for a WebSocket."""
    if not protocol.startswith(BEARER):
        return None
    name = protocol.removeprefix(BEARER)
    try:
        return base64.urlsafe_b64decode(name + "=" * (-len(name) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None


def _password(value: str) -> str:
    try:
        return base64.b64decode(value, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""
