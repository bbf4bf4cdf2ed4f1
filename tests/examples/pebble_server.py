"""Pebble, the venue of examples/own_venue.py: deals over WebSocket and REST on one port."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

START_MS = 1_700_000_000_000
LOST = (20, 21)
"""Ids that are never streamed: REST has them."""


def deal(number: int) -> dict[str, object]:
    return {
        "id": number,
        "price": f"{100 + number % 7}.5",
        "size": "0.25",
        "side": "buy" if number % 2 else "sell",
        "time": START_MS + number * 100,
    }


def frame(number: int) -> bytes:
    return json.dumps({"stream": "deals:BTC-USDT", "deal": deal(number)}, separators=(",", ":")).encode()


def _answered(connection: ServerConnection, request: Request) -> Response | None:
    asked = urlsplit(request.path)
    if asked.path == "/ws":
        return None
    if asked.path == "/markets":
        found: object = [
            {"name": "BTC-USDT", "base": "BTC", "quote": "USDT", "tick": "0.5", "lot": "0.01"},
        ]
    elif asked.path == "/deals":
        first = int(parse_qs(asked.query).get("from", ["1"])[0])
        found = [deal(number) for number in range(first, first + 10)]
    else:
        found = {"serverTime": START_MS}
    body = json.dumps(found).encode()
    headers = Headers({"Content-Type": "application/json", "Content-Length": str(len(body))})
    return Response(HTTPStatus.OK.value, "OK", headers, body)


async def _deals(connection: ServerConnection) -> None:
    asked = json.loads(await connection.recv())
    await connection.send(json.dumps({"re": asked["id"]}))
    number = 0
    while True:
        number += 1
        if number not in LOST:
            await connection.send(frame(number))
        await asyncio.sleep(0.01)


@asynccontextmanager
async def pebble() -> AsyncIterator[str]:
    """The venue on a free port; gives host and port."""
    async with serve(_deals, "127.0.0.1", 0, process_request=_answered) as server:
        host, port = server.sockets[0].getsockname()[:2]
        yield f"{host}:{port}"
