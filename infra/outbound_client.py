"""Posts to URLs that users give: names are looked up once, judged, and connected to as judged."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlsplit, urlunsplit

import httpcore2

from infra.http import USER_AGENT
from infra.outbound import AddressRefusedError, OutboundPolicy
from schemas.errors import CallTimeoutError, ConfigurationError, UnavailableError

BODY_BYTES: Final = 16 * 1024
"""What is read of an answer's body."""
KEPT: Final = "/?%:@!$&'()*+,;=-._~"
"""What stays as it is in a path and a query."""
CONNECT_S: Final = 10.0

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""Addresses in numbers, of a host and port."""


@dataclass(frozen=True, slots=True)
class PostAnswer:
    """What a server answered.

    Attributes:
        status: Of HTTP, whichever it is; redirects are not followed.
        headers: Names in lower case.
        body: Its beginning.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


async def resolve(host: str, port: int) -> Sequence[str]:
    """The addresses that the system knows of a name."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class _JudgedNetwork(httpcore2.AnyIOBackend):
    """Connects to addresses that were judged; TLS goes on to check the name of the URL."""

    def __init__(self, policy: OutboundPolicy, resolver: Resolver) -> None:
        self._policy = policy
        self._resolver = resolver

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's own word
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        refusal: Exception | None = None
        try:
            async with asyncio.timeout(timeout):
                addresses = await self._resolver(host, port)
        except TimeoutError:
            raise httpcore2.ConnectTimeout(f"{host} was not found in time") from None
        except OSError as error:
            raise httpcore2.ConnectError(f"{host} cannot be found: {error.strerror or error}") from None
        for address in addresses:
            try:
                self._policy.check(address, host)
                return await super().connect_tcp(address, port, timeout, local_address, socket_options)
            except (AddressRefusedError, httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                refusal = error
        raise refusal or httpcore2.ConnectError(f"{host} has no address")


class OutboundClient:
    """Posts to one URL. No proxy and nothing else of the environment is used.

    Args:
        url: http or https; where to.
        policy: Where it may lead.
        resolver: Looks up names.
        tls: Which certificates are trusted; the system's by default.

    Raises:
        ConfigurationError: The URL has no host, or is of another scheme.
    """

    def __init__(
        self,
        url: str,
        policy: OutboundPolicy,
        resolver: Resolver = resolve,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._url, self._shown = _plain(url)
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=tls or ssl.create_default_context(),
            # Each post connects anew: posts are rare, and where a name leads is judged each time.
            max_keepalive_connections=0,
            network_backend=_JudgedNetwork(policy, resolver),
        )

    async def post(self, body: bytes, headers: Mapping[str, str], timeout_s: float) -> PostAnswer:
        """Post once.

        Args:
            body: As it is sent.
            headers: Beside host, length and agent.
            timeout_s: In total, from the look-up to the end of the answer, s.

        Raises:
            AddressRefusedError: The name leads where it may not.
            CallTimeoutError: No whole answer in time.
            UnavailableError: No connection, or it broke.
        """
        try:
            async with (
                asyncio.timeout(timeout_s),
                self._pool.stream(
                    "POST",
                    self._url,
                    headers=[("User-Agent", USER_AGENT), *headers.items()],
                    content=body,
                    extensions={"timeout": {"connect": min(CONNECT_S, timeout_s)}},
                ) as response,
            ):
                named = (
                    (name.decode("latin-1"), value.decode("latin-1")) for name, value in response.headers
                )
                found = {name.lower(): value for name, value in named}
                return PostAnswer(response.status, found, await _beginning(response))
        except (TimeoutError, httpcore2.TimeoutException):
            raise CallTimeoutError(f"{self._shown} did not answer within {timeout_s:g} s") from None
        except (httpcore2.NetworkError, httpcore2.ProtocolError, ssl.SSLError, OSError) as error:
            why = str(error) or type(error).__name__
            raise UnavailableError(f"{self._shown} cannot be reached: {why}") from None


def _plain(url: str) -> tuple[str, str]:
    """A URL in ASCII, as it goes over the wire, and its host."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode("idna").decode()
        port = f":{parts.port}" if parts.port is not None else ""
    except ValueError:
        host = port = ""
    if not host or parts.scheme not in {"http", "https"}:
        raise ConfigurationError("a URL to post to is written like https://host/path")
    network = f"[{host}]{port}" if ":" in host else f"{host}{port}"
    path, query = quote(parts.path or "/", safe=KEPT), quote(parts.query, safe=KEPT)
    return urlunsplit((parts.scheme, network, path, query, "")), host


async def _beginning(response: httpcore2.Response) -> bytes:
    body = bytearray()
    async for portion in response.aiter_stream():
        body += portion
        if len(body) >= BODY_BYTES:
            break
    return bytes(body[:BODY_BYTES])
