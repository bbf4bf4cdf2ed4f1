"""Binance spot's protocol as the server sees it: a client's streams, its requests, their answers. Pure."""

from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import msgspec

RAW_PATH: Final = "/ws"
COMBINED_PATH: Final = "/stream"


class Request(msgspec.Struct):
    """A message of a client."""

    method: str
    id: int | str | None = None
    params: list[Any] = []


class ClientProtocol:
    """What one client is subscribed to, and in which form its frames come.

    Args:
        path: Path and query of the connection: `/ws`, `/ws/<stream>` or `/stream?streams=<a>/<b>`.

    Raises:
        ValueError: The path is none that Binance serves.
    """

    def __init__(self, path: str) -> None:
        parts = urlsplit(path)
        self.streams: dict[str, None] = {}
        if parts.path == COMBINED_PATH:
            self.combined = True
            names = "/".join(parse_qs(parts.query).get("streams", [])).split("/")
        elif parts.path == RAW_PATH or parts.path.startswith(f"{RAW_PATH}/"):
            self.combined = False
            names = parts.path.removeprefix(RAW_PATH).split("/")
        else:
            raise ValueError(f"expected a path below {RAW_PATH} or {COMBINED_PATH}, got {parts.path}")
        self._subscribe(name for name in names if name)

    def answer(self, message: str | bytes) -> str:
        """The answer to a message of the client; subscriptions are in force when it returns."""
        try:
            request = msgspec.json.decode(message, type=Request)
        except msgspec.ValidationError as error:
            return _error(2, f"Invalid request: {error}", None)
        except msgspec.DecodeError as error:
            return _error(3, f"Invalid JSON: {error}", None)
        names = [name for name in request.params if isinstance(name, str)]
        if len(names) != len(request.params):
            return _error(2, "Invalid request: params must be strings", request.id)
        match request.method:
            case "SUBSCRIBE":
                self._subscribe(names)
                return _result(None, request.id)
            case "UNSUBSCRIBE":
                for name in names:
                    self.streams.pop(name, None)
                return _result(None, request.id)
            case "LIST_SUBSCRIPTIONS":
                return _result(list(self.streams), request.id)
            case _:
                return _error(2, f"Invalid request: unknown method {request.method}", request.id)

    def _subscribe(self, names: Iterable[str]) -> None:
        # As the venue does: a stream that does not exist is accepted and stays mute.
        for name in names:
            self.streams[name] = None


def combined(stream: str, data: bytes) -> bytes:
    """The frame of a client that came by `/stream`."""
    return b'{"stream":"%b","data":%b}' % (stream.encode(), data)


def _result(result: Any, request: int | str | None) -> str:
    return msgspec.json.encode({"result": result, "id": request}).decode()


def _error(code: int, text: str, request: int | str | None) -> str:
    return msgspec.json.encode({"error": {"code": code, "msg": text}, "id": request}).decode()
