"""Rows as an answer: JSON at once, and 304 where nothing has changed."""

import hashlib
from typing import Any, Final

import msgspec
from fastapi import Request
from starlette.responses import Response

NOT_MODIFIED: Final[dict[int | str, dict[str, Any]]] = {
    304: {"description": "As the ETag that was sent says; without a body"}
}
_encoder: Final = msgspec.json.Encoder()


def answer(request: Request, content: object) -> Response:
    """Content as JSON (what is not finite as null), with its ETag.

    Built from rows of the database, it is not validated again: a test holds it against the models.
    """
    body = _encoder.encode(content)
    tag = f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    asked = request.headers.get("if-none-match", "")
    if tag in asked.replace("W/", "").split(", "):
        return Response(status_code=304, headers=headers)
    return Response(body, 200, headers, "application/json")
