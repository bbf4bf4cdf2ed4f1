"""Subscriptions over WebSocket."""

import asyncio
from typing import Any, Final

from starlette.types import Receive, Scope, Send

from infra.logging import get_logger
from schemas.errors import ConflictError, ValidationError
from serve.hub.asking import question_of, subscription_of
from serve.hub.channels import Subscription
from serve.hub.hub import Hub
from serve.hub.outbox import Outbox, message
from serve.hub.snapshots import Snapshots

TRY_LATER: Final = 1013
PROTOCOL: Final = "kandle.v1"
"""Chosen where a client offers it: one that offers others besides, as its token, must be told of one."""

ABORT: Final = "abort"
"""Where the server puts what cuts a connection, see `serve.server`."""

log = get_logger(__name__)


class Desk:
    """What one client asks, answered into its outbox.

    Args:
        hub: Sends changes.
        snapshots: Sends what was before.
        outbox: The client's.
    """

    def __init__(self, hub: Hub, snapshots: Snapshots, outbox: Outbox) -> None:
        self._hub = hub
        self._snapshots = snapshots
        self._outbox = outbox
        self._asking: set[asyncio.Task[None]] = set()

    def hear(self, text: str) -> None:
        """A message of the client: what is wrong with it, the client is told."""
        try:
            action, asked = question_of(text)
        except ValidationError as error:
            log.warning("a client sent what cannot be read", error=str(error))
            self._outbox.tell(message("warning", message=str(error)))
            return
        try:
            subscription = subscription_of(asked)
            if action == "subscribe":
                self.subscribe(subscription)
            else:
                self._hub.unsubscribe(self._outbox, subscription)
                self._outbox.tell(message("unsubscribed", subscription))
        except ValidationError as error:
            self._outbox.tell(message("error", _named(asked), message=str(error)))

    def subscribe(self, subscription: Subscription) -> None:
        """Begin a subscription.

        Raises:
            ValidationError: The client has too many.
        """
        if self._hub.subscribe(self._outbox, subscription):
            self._outbox.tell(message("subscribed", subscription))
            task = asyncio.create_task(self._begin(subscription))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)
        else:
            self._outbox.tell(message("warning", subscription, message="it is subscribed to already"))

    def leave(self) -> None:
        """The client has gone."""
        for task in self._asking:
            task.cancel()
        self._hub.leave(self._outbox)

    async def _begin(self, subscription: Subscription) -> None:
        self._outbox.release(subscription, await self._snapshots.of(subscription))


class WebSocketEndpoint:
    """The ASGI application of /ws.

    It speaks ASGI itself: Starlette's wrapping of each message costs more than all else here.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one client until it goes, or takes nothing any more."""
        services = scope["app"].state.services
        await receive()
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a client is served in a task")
        chosen = PROTOCOL if PROTOCOL in scope.get("subprotocols", ()) else None
        try:
            outbox = services.hub.enter(task)
        except ConflictError:
            await send({"type": "websocket.accept", "subprotocol": chosen})
            await send({"type": "websocket.close", "code": TRY_LATER, "reason": "too many clients"})
            return
        await send({"type": "websocket.accept", "subprotocol": chosen})
        desk = Desk(services.hub, services.snapshots, outbox)
        writing = asyncio.create_task(_write(outbox, send))
        try:
            while (heard := await receive())["type"] == "websocket.receive":
                text = heard.get("text")
                desk.hear("\x00" if text is None else text)
        except asyncio.CancelledError:
            if not outbox.given_up:
                raise
            # What is on its way to it would never arrive, nor would words of parting.
            abort = scope.get("state", {}).get(ABORT)
            if abort is not None:
                abort()
        finally:
            desk.leave()
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)


async def _write(outbox: Outbox, send: Send) -> None:
    while True:
        for said in await outbox.take():
            await send({"type": "websocket.send", "text": said.text})


def _named(asked: dict[str, Any]) -> Subscription:
    """What a refused question named, as far as it can be repeated."""
    texts = (
        value if isinstance(value := asked.get(name), str) and len(value) <= 100 else None
        for name in Subscription._fields
    )
    return Subscription(*texts)  # type: ignore[arg-type]
