"""A connection to Gate.io, the server's side: subscriptions by channel and payload, pings, answers."""

from abc import abstractmethod
from collections.abc import Collection, Sequence
from typing import Any, ClassVar, Final, Protocol

import msgspec

from producers.simulator.venue import Client

ONE_EACH: Final = frozenset({"order_book_update", "order_book", "obu", "candlesticks"})
"""Channels whose payload is the one symbol of the message and its parameters."""


class _Request(msgspec.Struct):
    channel: str
    event: str = ""
    time: int = 0
    id: int | str | None = None
    payload: list[Any] = []


_REQUEST = msgspec.json.Decoder(_Request)


class Books(Protocol):
    """What a connection asks of its venue."""

    prefix: ClassVar[str]
    """What the names of channels begin with."""

    @property
    def names(self) -> Collection[str]:
        """The venue's symbols."""
        ...

    @abstractmethod
    def key(self, channel: str, name: str) -> str:
        """The key of a stream."""

    @abstractmethod
    def symbol_of(self, key: str) -> str:
        """The venue's symbol in a stream's key."""

    @abstractmethod
    def whole_book(self, key: str, now_ms: int) -> str:
        """The first message of a stream of a whole book."""


class GateClient(Client):
    """A connection to a market.

    Args:
        venue: Knows the symbols and the books that a subscription begins with.
    """

    def __init__(self, venue: Books) -> None:
        super().__init__()
        self._venue = venue

    def answer(self, message: str | bytes, now_ms: int) -> list[str]:
        """See `Client.answer`; a subscription to `spot.obu` is followed by the whole book."""
        try:
            request = _REQUEST.decode(message)
        except msgspec.MsgspecError as error:
            return [_answer(_Request(""), now_ms, error=(1, f"invalid request: {error}"))]
        prefix, _, channel = request.channel.partition(".")
        if channel == "ping":
            pong = {"time": now_ms // 1_000, "time_ms": now_ms, "channel": f"{prefix}.pong", "event": ""}
            return [text_of(pong | {"result": None})]
        if prefix != self._venue.prefix:
            return [_answer(request, now_ms, error=(2, f"unknown channel {request.channel}"))]
        keys = self._keys(channel, request.payload)
        unknown = next((key for key in keys if self._venue.symbol_of(key) not in self._venue.names), None)
        if not keys or unknown is not None:
            what = self._venue.symbol_of(unknown) if unknown is not None else request.payload
            return [_answer(request, now_ms, error=(2, f"unknown currency pair: {what}"))]
        if request.event == "unsubscribe":
            for key in keys:
                self.streams.pop(key, None)
            return [_answer(request, now_ms)]
        if request.event != "subscribe":
            return [_answer(request, now_ms, error=(1, f"unknown event {request.event}"))]
        if channel == "obu" and any(key in self.streams for key in keys):
            return [_answer(request, now_ms, error=(2, f"duplicate subscription: {request.payload}"))]
        self.streams.update(dict.fromkeys(keys, request.channel))
        answers = [_answer(request, now_ms)]
        return answers + [self._venue.whole_book(key, now_ms) for key in keys if channel == "obu"]

    def refuse(self, message: str | bytes, now_ms: int) -> list[str]:
        """See `Client.refuse`."""
        return [_answer(_REQUEST.decode(message), now_ms, error=(5, "internal error"))]

    def is_subscription(self, message: str | bytes) -> bool:
        """See `Client.is_subscription`."""
        try:
            return _REQUEST.decode(message).event == "subscribe"
        except msgspec.MsgspecError:
            return False

    def _keys(self, channel: str, payload: Sequence[Any]) -> list[str]:
        """The streams of a payload: pace and depth make no difference, an interval does."""
        words = [str(word) for word in payload]
        if channel == "candlesticks":
            return [self._venue.key(channel, "_".join(words[:2]))]
        if channel in ONE_EACH:
            words = words[:1]
        return [self._venue.key(channel, word) for word in words]


def _answer(request: _Request, now_ms: int, error: tuple[int, str] | None = None) -> str:
    return text_of(
        {
            "time": now_ms // 1_000,
            "time_ms": now_ms,
            "id": request.id,
            "conn_id": "a1b2c3d4e5f60718",
            "channel": request.channel,
            "event": request.event,
            "payload": request.payload,
            "error": None if error is None else {"code": error[0], "message": error[1]},
            "result": {"status": "success"} if error is None else None,
        }
    )


def text_of(message: dict[str, Any]) -> str:
    """A message as it goes over the wire."""
    return msgspec.json.encode(message).decode()
