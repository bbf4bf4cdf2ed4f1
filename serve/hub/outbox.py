"""What waits for one client: bounded, newest first where only the newest matters."""

import asyncio
import time
from collections.abc import Hashable
from dataclasses import dataclass
from itertools import count
from typing import Literal, TypeAlias

import msgspec

from infra import metrics
from serve.hub.channels import CHANNELS, Data, Subscription

ClientKind: TypeAlias = Literal["websocket", "sse"]

_encoder = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Message:
    """A text for a client, and its type for adapters that name it."""

    type: str
    text: str


def message(type_: str, about: Subscription | None = None, **more: object) -> Message:
    """A message about a subscription."""
    content: dict[str, object] = {"type": type_}
    if about is not None:
        content |= {name: value for name, value in about._asdict().items() if value is not None}
    return Message(type_, _encoder.encode(content | more).decode())


class Outbox:
    """Messages on their way to one client.

    A message that says the same thing anew takes the place of the one that still waits. When `limit` wait,
    the oldest one is given up; how many were, is told before the next message.

    Args:
        limit: Messages that wait, at most.
        kind: How the client is connected.

    Attributes:
        sending_since: Monotonic time since which what was taken is on its way, s; None while nothing is.
        subscriptions: How many the client has.
        given_up: Whether the client is disconnected since it takes nothing.
        ended: Whether nothing more will come.
    """

    def __init__(self, limit: int, kind: ClientKind = "websocket") -> None:
        self._limit = limit
        self.kind = kind
        self._deliveries = metrics.serving.DELIVERIES.labels(kind)
        self._waiting: dict[Hashable, tuple[Subscription | None, Message]] = {}
        self._held: dict[Subscription, dict[Hashable, Message]] = {}
        self._dropped: dict[Subscription, int] = {}
        self._numbers = count()
        self._filled = asyncio.Event()
        self.sending_since: float | None = None
        self.subscriptions = 0
        self.given_up = False
        self.ended = False

    def __len__(self) -> int:
        return len(self._waiting) + sum(map(len, self._held.values()))

    def tell(self, said: Message) -> None:
        """An answer to the client itself."""
        self._put(next(self._numbers), None, said)

    def hold(self, subscription: Subscription) -> None:
        """Keep back what comes of a subscription until its snapshot is there."""
        self._held[subscription] = {}

    def release(self, subscription: Subscription, snapshot: Message) -> None:
        """The snapshot, and then what has come meanwhile."""
        held = self._held.pop(subscription, None)
        if held is None:
            # Unsubscribed meanwhile.
            return
        self._put(next(self._numbers), subscription, snapshot)
        for slot, said in held.items():
            self._put(slot, subscription, said)

    def forget(self, subscription: Subscription) -> None:
        """Nothing more of a subscription."""
        self._held.pop(subscription, None)
        self._dropped.pop(subscription, None)
        for slot in [slot for slot, (about, _) in self._waiting.items() if about == subscription]:
            del self._waiting[slot]

    def change(self, subscription: Subscription, data: Data, said: Message) -> None:
        """A change of what the client has subscribed to."""
        channel = CHANNELS[subscription.channel]
        slot: Hashable = next(self._numbers)
        if not channel.each_matters:
            slot = (subscription, channel.identity(data))
        held = self._held.get(subscription)
        if held is None:
            self._put(slot, subscription, said)
            return
        held[slot] = said
        if len(self) > self._limit:
            del held[next(iter(held))]
            self._dropped[subscription] = self._dropped.get(subscription, 0) + 1

    async def take(self) -> list[Message]:
        """All that waits, at least one message unless it has ended; who has sent them calls again."""
        self.sending_since = None
        await self._filled.wait()
        self._filled.clear()
        self.sending_since = time.monotonic()
        taken = [message("dropped", about, count=number) for about, number in self._dropped.items()]
        taken += [said for _, said in self._waiting.values()]
        self._dropped.clear()
        self._waiting.clear()
        self._deliveries.inc(len(taken))
        return taken

    def end(self) -> None:
        """What waits is the last."""
        self.ended = True
        self._filled.set()

    def _put(self, slot: Hashable, about: Subscription | None, said: Message) -> None:
        self._waiting[slot] = (about, said)
        if len(self._waiting) > self._limit:
            lost, _ = self._waiting.pop(next(iter(self._waiting)))
            if lost is not None:
                self._dropped[lost] = self._dropped.get(lost, 0) + 1
        self._filled.set()
