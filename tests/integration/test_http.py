"""The HTTP client against a real server that does everything wrong."""

import gzip
import time
import zlib
from collections.abc import AsyncIterator

import pytest

from infra.http import HttpClient, HttpLimits
from schemas.errors import (
    BadAnswerError,
    CallTimeoutError,
    ClientError,
    ConfigurationError,
    KandleError,
    UnavailableError,
)
from tests.rest_server import Reply, RestServer

LIMITS = HttpLimits(connect_timeout_s=1.0, read_timeout_s=0.3, body_bytes=1_000_000)


@pytest.fixture
async def server() -> AsyncIterator[RestServer]:
    async with RestServer().running() as running:
        yield running


@pytest.fixture
async def client(server: RestServer) -> AsyncIterator[HttpClient]:
    made = HttpClient(server.url, {"X-Key": "k"}, LIMITS)
    yield made
    await made.close()


async def test_it_says_who_asks_and_for_what(client: HttpClient, server: RestServer) -> None:
    answer = await client.get("/api?symbol=BTCUSDT")
    assert (answer.status, answer.body) == (200, b"{}")
    [head] = server.heads
    assert head.startswith("GET /api?symbol=BTCUSDT ")
    for line in ("Accept: application/json", "Accept-Encoding: gzip, deflate", "X-Key: k"):
        assert line.lower() in head.lower()
    assert "user-agent: kandle/" in head.lower()


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(b'{"a": 1}')),
        ("deflate", zlib.compress(b'{"a": 1}')),
        ("identity", b' \n{"a": 1}'),
    ],
    ids=["gzip", "deflate", "identity"],
)
async def test_bodies_are_decompressed(
    client: HttpClient, server: RestServer, encoding: str, body: bytes
) -> None:
    server.answer = lambda _: Reply(body, headers={"Content-Encoding": encoding})
    assert (await client.get("/")).body.strip() == b'{"a": 1}'


@pytest.mark.parametrize("layers", [1, 2])
async def test_a_bomb_is_seen_before_it_has_gone_off(
    client: HttpClient, server: RestServer, layers: int
) -> None:
    body = b"[" + b" " * 60_000_000
    for _ in range(layers):
        body = gzip.compress(body, 9)
    server.answer = lambda _: Reply(body, headers={"Content-Encoding": ", ".join(["gzip"] * layers)})
    begun = time.monotonic()
    with pytest.raises(BadAnswerError, match="larger than") as refused:
        await client.get("/")
    assert time.monotonic() - begun < 1.0
    assert not refused.value.retriable


async def test_a_body_beyond_its_bound_is_not_read(client: HttpClient, server: RestServer) -> None:
    server.answer = lambda _: Reply(b"[" + b" " * 1_000_000)
    with pytest.raises(BadAnswerError, match="larger than"):
        await client.get("/")


@pytest.mark.parametrize(
    "body", [b"<html>maintenance</html>", b"", b"OK", b"too many requests", b"\xef\xbb\xbf<!DOCTYPE html>"]
)
async def test_a_page_for_people_is_no_answer(client: HttpClient, server: RestServer, body: bytes) -> None:
    server.answer = lambda _: Reply(body, headers={"Content-Type": "text/html"})
    with pytest.raises(BadAnswerError, match="text/html instead of JSON") as refused:
        await client.get("/")
    assert refused.value.retriable


async def test_redirects_are_followed_on_the_same_host_alone(client: HttpClient, server: RestServer) -> None:
    def answer(path: str) -> Reply:
        if path == "/old":
            return Reply(b"", 301, {"Location": "/new?a=1"})
        if path == "/away":
            return Reply(b"", 302, {"Location": "http://192.0.2.1/steal"})
        if path == "/port":
            return Reply(b"", 302, {"Location": "http://127.0.0.1:1/"})
        if path == "/round":
            return Reply(b"", 307, {"Location": "/round"})
        if path == "/nowhere":
            return Reply(b"", 302)
        return Reply(b"[1]")

    server.answer = answer
    assert (await client.get("/old")).body == b"[1]"
    for path in ("/away", "/port", "/nowhere"):
        with pytest.raises(BadAnswerError, match="not followed"):
            await client.get(path)
    with pytest.raises(BadAnswerError, match="for ever"):
        await client.get("/round")
    assert len([path for path in server.paths if path == "/round"]) == 4


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(b"[1, 2]", cut=True), UnavailableError),
        (Reply(b"not gzip", headers={"Content-Encoding": "gzip"}), BadAnswerError),
        (Reply(b"[1, 2]", portion_bytes=3, pause_s=0.6), CallTimeoutError),
        (Reply(b'{"msg": "Invalid symbol."}', 400), ClientError),
    ],
    ids=["cut", "damaged", "stopped", "refused"],
)
async def test_what_went_wrong_is_named(
    client: HttpClient, server: RestServer, reply: Reply, error: type[KandleError]
) -> None:
    server.answer = lambda _: reply
    with pytest.raises(error):
        await client.get("/")


async def test_nobody_there(server: RestServer) -> None:
    refused = HttpClient("http://127.0.0.1:1", limits=LIMITS)
    unknown = HttpClient("http://user:secret@no-such-host.invalid", limits=LIMITS)
    for client in (refused, unknown):
        with pytest.raises(UnavailableError, match="cannot be reached") as failed:
            await client.get("/?key=secret")
        assert "secret" not in str(failed.value)
        await client.close()


async def test_loopback_is_never_asked_for_through_a_proxy(
    server: RestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    client = HttpClient(server.url, limits=LIMITS)
    assert (await client.get("/")).status == 200
    await client.close()


async def test_connections_are_used_again(client: HttpClient, server: RestServer) -> None:
    for _ in range(5):
        await client.get("/")
    assert server.connections == 1


@pytest.mark.parametrize("url", ["ftp://venue", "venue.com", "http://", ""])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="https://host"):
        HttpClient(url)
