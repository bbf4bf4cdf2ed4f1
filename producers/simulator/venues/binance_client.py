"""A connection to Binance, the server's side: paths, requests, answers, combined and raw frames."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import msgspec

from producers.simulator.venue import Client

_STREAM: Final = re.compile(r"(?P<symbol>[^@]+)@(?P<kind>[A-Za-z]+)(?:@.*)?")


class _Request(msgspec.Struct):
    method: str
    id: int | str | None = None
    params: list[Any] = []


_REQUEST = msgspec.json.Decoder(_Request)


class BinanceClient(Client):
    """A connection to `/ws`, `/ws/<stream>` or `/stream?streams=<a>/<b>`.

    Args:
        path: Path and query.
        kinds: Prefixes of the path that split streams by kind (`public`), with the kinds that each serves.

    Raises:
        ValueError: The path is none that the venue serves.
    """

    def __init__(self, path: str, kinds: Mapping[str, Callable[[str], bool]]) -> None:
        super().__init__()
        parts = urlsplit(path)
        prefix, _, rest = parts.path.removeprefix("/").partition("/")
        self._serves = kinds.get(prefix)
        route = f"/{rest}" if self._serves is not None else parts.path
        if route == "/stream":
            self.combined = True
            names = "/".join(parse_qs(parts.query).get("streams", [])).split("/")
        elif route == "/ws" or route.startswith("/ws/"):
            self.combined = False
            names = route.removeprefix("/ws").split("/")
        else:
            raise ValueError(f"expected a path below /ws or /stream, got {parts.path}")
        # Clients number their connections by parts of the path that are no streams (`/ws/0`).
        self._subscribe(name for name in names if "@" in name or name.startswith("!"))

    def answer(self, message: str | bytes, now_ms: int) -> list[str]:
        """See `Client.answer`."""
        try:
            request = _REQUEST.decode(message)
        except msgspec.ValidationError as error:
            return [_error(2, f"Invalid request: {error}", None)]
        except msgspec.DecodeError as error:
            return [_error(3, f"Invalid JSON: {error}", None)]
        if request.method in {"SET_PROPERTY", "GET_PROPERTY"}:
            return [self._property(request)]
        names = [name for name in request.params if isinstance(name, str)]
        if len(names) != len(request.params):
            return [_error(2, "Invalid request: params must be strings", request.id)]
        match request.method:
            case "SUBSCRIBE":
                self._subscribe(names)
                return [_result(None, request.id)]
            case "UNSUBSCRIBE":
                for name in names:
                    self.streams.pop(key_of(name), None)
                return [_result(None, request.id)]
            case "LIST_SUBSCRIPTIONS":
                return [_result(list(self.streams.values()), request.id)]
            case _:
                return [_error(2, f"Invalid request: unknown method {request.method}", request.id)]

    def refuse(self, message: str | bytes, now_ms: int) -> list[str]:
        """See `Client.refuse`."""
        return [_error(2, "Invalid request: unknown stream", _REQUEST.decode(message).id)]

    def is_subscription(self, message: str | bytes) -> bool:
        """See `Client.is_subscription`."""
        try:
            return _REQUEST.decode(message).method == "SUBSCRIBE"
        except msgspec.MsgspecError:
            return False

    def frame(self, stream: str, data: bytes) -> bytes:
        """A raw or a combined frame, as the path of the connection has it."""
        return b'{"stream":"%b","data":%b}' % (self.streams[stream].encode(), data) if self.combined else data

    def _subscribe(self, names: Iterable[str]) -> None:
        # As the venue does: a stream that does not exist is accepted and stays mute.
        for name in names:
            key = key_of(name)
            kind = key.partition("@")[2].partition("_")[0]
            if self._serves is None or self._serves(kind):
                self.streams[key] = name

    def _property(self, request: _Request) -> str:
        if request.method == "GET_PROPERTY":
            return _result(self.combined, request.id)
        if len(request.params) == 2 and request.params[0] == "combined":
            self.combined = bool(request.params[1])
        return _result(None, request.id)


def key_of(name: str) -> str:
    """The key of a stream's name: paces of books and mark prices are one stream here."""
    found = _STREAM.fullmatch(name)
    if found is None or found["kind"] not in {"depth", "markPrice"}:
        return name
    return f"{found['symbol']}@{found['kind']}"


def _result(result: Any, request: int | str | None) -> str:
    return msgspec.json.encode({"result": result, "id": request}).decode()


def _error(code: int, text: str, request: int | str | None) -> str:
    return msgspec.json.encode({"error": {"code": code, "msg": text}, "id": request}).decode()
