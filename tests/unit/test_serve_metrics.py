"""What the server counts of requests and of clients."""

import asyncio
from types import SimpleNamespace

import pytest
from prometheus_client import REGISTRY
from starlette.types import Message, Receive, Scope, Send

from infra.settings import ServeSettings
from serve.hub import hub as hubs
from serve.hub.hub import Hub
from serve.hub.outbox import message
from serve.requests import OTHER, Requests


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def ask(path: str, pattern: str | None) -> None:
    """A request through the middleware; `pattern` is that of the route that answers it."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if pattern is not None:
            scope["route"] = SimpleNamespace(path=pattern)
        await send({"type": "http.response.start", "status": 404, "headers": []})

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(_: Message) -> None:
        pass

    await Requests(app)({"type": "http", "path": path, "headers": [], "method": "GET"}, receive, send)


@pytest.mark.parametrize(("pattern", "route"), [("/things/{name}", "/things/{name}"), (None, OTHER)])
async def test_requests_are_counted_by_the_pattern_of_their_route(pattern: str | None, route: str) -> None:
    before = value("kandle_serve_requests_total", route=route, status="404")
    timed = value("kandle_serve_request_seconds_count", route=route)
    for number in range(3):
        await ask(f"/things/{number}", pattern)
    assert value("kandle_serve_requests_total", route=route, status="404") == before + 3
    assert value("kandle_serve_request_seconds_count", route=route) == timed + 3


async def test_clients_and_deliveries_are_counted_by_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hubs, "SWEEP_S", 0.01)
    before = {name: value(f"kandle_serve_{name}", kind="sse") for name in ("clients", "deliveries_total")}
    dropped = value("kandle_serve_clients_dropped_total", kind="sse")
    hub = Hub(ServeSettings(slow_client_s=0.05))
    client = hub.enter(asyncio.ensure_future(asyncio.sleep(60)), "sse")
    assert value("kandle_serve_clients", kind="sse") == before["clients"] + 1
    for _ in range(2):
        client.tell(message("warning"))
    await client.take()
    assert value("kandle_serve_deliveries_total", kind="sse") == before["deliveries_total"] + 2
    sweeping = asyncio.create_task(hub.sweep())
    async with asyncio.timeout(5):
        while value("kandle_serve_clients_dropped_total", kind="sse") == dropped:
            await asyncio.sleep(0.01)
    sweeping.cancel()
    hub.leave(client)
    hub.leave(client)
    assert value("kandle_serve_clients", kind="sse") == before["clients"]
