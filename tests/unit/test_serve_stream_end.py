"""The end of a server-sent stream, without a server."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from infra.settings import ServeSettings
from serve.api.stream import _events
from serve.hub.channels import Subscription
from serve.hub.hub import Hub
from serve.hub.outbox import Message, message

EVENTS = Subscription("events")


class Empty:
    """Snapshots of a place where nothing has happened."""

    async def of(self, subscription: Subscription) -> Message:
        return message("snapshot", subscription, data=[])


async def test_what_waits_when_the_server_stops_is_the_last() -> None:
    hub = Hub(ServeSettings())
    services: Any = SimpleNamespace(hub=hub, snapshots=Empty())
    stream = _events(services, [EVENTS])
    async with asyncio.timeout(20):
        assert (await anext(stream)).startswith("event: subscribed\n")
        await asyncio.sleep(0)
        hub.end()
        assert [said.partition("\n")[0] for said in [part async for part in stream]] == ["event: snapshot"]
    assert hub.figures()["clients"] == 0
