"""An HTTP client for JSON interfaces that trusts nothing: every answer is bounded and checked.

It makes one attempt and says what came of it. Time in total, retries and budgets are the matter of
`infra.resilience.call_guard`, which every call goes through.
"""

import importlib.metadata
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urljoin, urlsplit, urlunsplit

import httpx2

from infra.http_status import error_of
from schemas.errors import BadAnswerError, CallTimeoutError, ConfigurationError, UnavailableError

LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
USER_AGENT: Final = f"kandle/{importlib.metadata.version('kandle')}"
REDIRECTS: Final = 3
ERROR_BYTES: Final = 16 * 1024
"""What is read of an error's body."""
_JSON_STARTS: Final = (b"{", b"[")
"""Venues answer with an object or an array; text like `too many requests` begins as other JSON may."""


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Time and size.

    Attributes:
        connect_timeout_s: To connect, s.
        read_timeout_s: Between two portions of an answer, s.
        pool_timeout_s: For a connection to be free, s.
        connections: At once.
        idle_s: After which a connection is closed, s; before it is used again the library looks whether it
            is still open.
        body_bytes: Of an answer, decompressed.
    """

    connect_timeout_s: float = 10.0
    read_timeout_s: float = 60.0
    pool_timeout_s: float = 10.0
    connections: int = 10
    idle_s: float = 30.0
    body_bytes: int = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A successful answer.

    Attributes:
        status: 200 to 299.
        headers: Names in lower case.
        body: Decompressed; looks like JSON.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


class HttpClient:
    """Asks one server.

    Args:
        base_url: Scheme, host and what precedes every path; a user and password in it become basic
            authentication, and appear in no message.
        headers: Sent with every request, as an API key is.
        limits: Time and size.

    Raises:
        ConfigurationError: The URL has no host, or is of another scheme than http and https.
    """

    def __init__(
        self, base_url: str, headers: Mapping[str, str] | None = None, limits: HttpLimits | None = None
    ) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ConfigurationError(f"a REST URL is written like https://host/path; got {_shown(base_url)}")
        self._base_url = base_url.rstrip("/")
        self._limits = limits or HttpLimits()
        # A server on this machine is never asked for through a proxy of the environment.
        trusts_environment = parts.hostname not in LOOPBACK
        self._client = httpx2.AsyncClient(
            headers={
                "User-Agent": USER_AGENT,
                "Accept": "application/json",
                "Accept-Encoding": "gzip, deflate",
                **(headers or {}),
            },
            timeout=httpx2.Timeout(
                self._limits.read_timeout_s,
                connect=self._limits.connect_timeout_s,
                pool=self._limits.pool_timeout_s,
            ),
            limits=httpx2.Limits(
                max_connections=self._limits.connections,
                max_keepalive_connections=self._limits.connections,
                keepalive_expiry=self._limits.idle_s,
            ),
            trust_env=trusts_environment,
            follow_redirects=False,
        )

    async def get(self, path: str) -> HttpAnswer:
        """The answer to a GET.

        Args:
            path: Path and query, below the base URL.

        Raises:
            CallTimeoutError: Connecting took too long, or an answer stopped in the middle.
            RateLimitedError: 429 or 418.
            ServerError: 500 and above.
            BadAnswerError: Not JSON, too large, damaged, or a redirect that leads elsewhere.
            RefusedError: 400 to 499.
            UnavailableError: No connection, or it broke.
        """
        url = self._base_url + path
        try:
            for _ in range(REDIRECTS + 1):
                answer = await self._get(url)
                if isinstance(answer, HttpAnswer):
                    return answer
                url = answer
        except httpx2.TimeoutException as error:
            raise CallTimeoutError(f"{_shown(url)} is too slow ({type(error).__name__})") from None
        except httpx2.DecodingError as error:
            raise BadAnswerError(f"the body of {_shown(url)} is damaged: {error}", retriable=True) from None
        except httpx2.InvalidURL as error:
            raise BadAnswerError(f"{_shown(url)} is no URL: {error}") from None
        except (httpx2.HTTPError, ssl.SSLError, OSError) as error:
            why = str(error) or type(error).__name__
            raise UnavailableError(f"{_shown(url)} cannot be reached: {why}") from None
        raise BadAnswerError(f"{_shown(self._base_url + path)} redirects for ever")

    async def close(self) -> None:
        """Close all connections; calls under way fail."""
        await self._client.aclose()

    async def _get(self, url: str) -> HttpAnswer | str:
        """An answer, or the URL on the same host where it is."""
        async with self._client.stream("GET", url) as response:
            headers = {name.lower(): value for name, value in response.headers.items()}
            if response.status_code >= 400:
                body = await self._body(response, ERROR_BYTES, url, cut=True)
                raise error_of(response.status_code, headers, body, _shown(url))
            if 300 <= response.status_code < 400:
                return self._target(url, response.status_code, headers.get("location", ""))
            length = headers.get("content-length", "")
            if length.isdigit() and int(length) > self._limits.body_bytes:
                raise self._too_large(url)
            body = await self._body(response, self._limits.body_bytes, url)
        if not body[:64].lstrip().startswith(_JSON_STARTS):
            kind = headers.get("content-type", "no type")
            raise BadAnswerError(
                f"{_shown(url)} answers {response.status_code} with {kind} instead of JSON: "
                f"{body[:80].decode(errors='replace')!r}",
                # A page that announces maintenance, or that of a proxy: it passes.
                retriable=True,
            )
        return HttpAnswer(response.status_code, headers, body)

    async def _body(self, response: httpx2.Response, limit: int, url: str, cut: bool = False) -> bytes:
        """The body, decompressed piece by piece so that a bomb is seen before it has gone off."""
        portions: list[bytes] = []
        size = 0
        async for portion in response.aiter_bytes():
            size += len(portion)
            portions.append(portion)
            if size > limit:
                if cut:
                    break
                raise self._too_large(url)
        return b"".join(portions)

    def _too_large(self, url: str) -> BadAnswerError:
        megabytes = self._limits.body_bytes / 1024 / 1024
        return BadAnswerError(f"the body of {_shown(url)} is larger than {megabytes:g} MB")

    def _target(self, url: str, status: int, location: str) -> str:
        target = urljoin(url, location)
        here, there = urlsplit(url), urlsplit(target)
        same = (there.hostname, there.port) == (here.hostname, here.port)
        if not location or not same or there.scheme != here.scheme:
            raise BadAnswerError(
                f"{_shown(url)} answers {status} and points to {_shown(target)}, "
                "another host; it is not followed: set the REST URL to where the venue is"
            )
        # What the base URL knows of a user is kept.
        return urlunsplit(there._replace(netloc=here.netloc))


def _shown(url: str) -> str:
    """A URL for people: without user, password and query."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
