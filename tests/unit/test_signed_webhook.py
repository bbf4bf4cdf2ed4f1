"""The signed webhook: what is sent, and that a receiver can verify it as the manual says."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infra.outbound import OutboundPolicy
from schemas.errors import ConfigurationError, UnavailableError
from sinks.notifications.channel import ChannelBusyError, ChannelRefusedError
from sinks.notifications.message import Templates
from sinks.notifications.occasion import occasion_of
from sinks.notifications.webhook import SignedWebhook, signature
from tests.notification_records import event, signal
from tests.rest_server import Reply, RestServer

OPEN = OutboundPolicy(allow_private=True)
MANUAL = Path(__file__).parents[2] / "docs" / "notifications.md"
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
OLD = "an old secret of a desk"


def manual_check() -> Callable[..., bool]:
    """The function that the manual shows."""
    section = MANUAL.read_text().partition("## Signed webhook")[2]
    code = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert code is not None
    names: dict[str, Any] = {}
    exec(code[1], names)
    check: Callable[..., bool] = names["is_genuine"]
    return check


async def sent(
    url: str, server: RestServer, key: str = "key", **options: Any
) -> tuple[dict[str, str], bytes]:
    channel = SignedWebhook(f"kandle+{server.url}/hook?desk=1&{url}", OPEN, **options)
    await channel.send(Templates().render(occasion_of(signal()), channel.kind), key, 5)
    lines = server.heads[-1].split("\r\n")[1:]
    return {
        name.lower(): value for name, _, value in (line.partition(": ") for line in lines)
    }, server.bodies[-1]


def test_a_signature_is_that_of_standard_webhooks() -> None:
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    made = signature([key], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


async def test_a_receiver_verifies_it_as_the_manual_says() -> None:
    check = manual_check()
    async with RestServer().running() as server:
        headers, body = await sent(f"secret={SECRET}&secret={OLD}", server)
    for secret in (SECRET, OLD):
        assert check(headers, body, secret, set())
    assert not check(headers, body, "another secret of a desk", set())
    assert not check(headers, body.replace(b"long", b"short"), SECRET, set())
    for name in ("webhook-id", "webhook-timestamp"):
        assert not check(headers | {name: headers[name] + "0"}, body, SECRET, set())
    assert not check(headers, body, SECRET, {headers["webhook-id"]})


async def test_a_replay_is_refused_after_five_minutes() -> None:
    check = manual_check()
    async with RestServer().running() as server:
        for ago, genuine in ((290, True), (310, False), (-310, False)):
            headers, body = await sent(f"secret={SECRET}", server, clock=lambda ago=ago: time.time() - ago)
            assert check(headers, body, SECRET, set()) is genuine


async def test_it_posts_a_cloud_event_without_the_secret() -> None:
    async with RestServer().running() as server:
        headers, body = await sent(f"secret={SECRET}", server)
        assert server.paths == ["/hook?desk=1"]
    assert headers["content-type"] == "application/cloudevents+json; charset=utf-8"
    made = json.loads(body)
    assert made["specversion"] == "1.0"
    assert made["id"] == headers["webhook-id"]
    assert made["type"] == "kandle.notification.signal"
    assert made["time"] == "2023-11-14T22:13:20Z"
    [told] = made["data"]["occasions"]
    assert (told["symbol"], told["direction"], told["strength"]) == ("BTC/USDT", "long", 0.8)
    assert told["fields"] == {"fast": 1.5, "slow": 1.25}
    assert SECRET not in body.decode() + str(headers)


async def test_every_attempt_has_the_same_id_and_body() -> None:
    async with RestServer().running() as server:
        first, again = await sent(f"secret={OLD}", server), await sent(f"secret={OLD}", server)
        other = await sent(f"secret={OLD}", server, key="another")
    assert first[1] == again[1]
    assert first[0]["webhook-id"] == again[0]["webhook-id"] != other[0]["webhook-id"]


async def test_a_storm_says_how_many_it_stands_for() -> None:
    storm = [occasion_of(event("gap", symbol=f"S{number}")) for number in range(30)]
    async with RestServer().running() as server:
        channel = SignedWebhook(f"kandle+{server.url}/?secret={OLD}", OPEN)
        await channel.send(Templates().render_many(storm, 4711, channel.kind), "key", 5)
        data = json.loads(server.bodies[0])
    assert data["type"] == "kandle.notification.many"
    assert data["data"]["count"] == 4711
    assert [each["symbol"] for each in data["data"]["occasions"]][::9] == ["S0", "S29"]


@pytest.mark.parametrize(
    ("status", "headers", "kind"),
    [
        (410, {}, ChannelRefusedError),
        (401, {}, ChannelRefusedError),
        (301, {"Location": "/there"}, ChannelRefusedError),
        (408, {}, UnavailableError),
        (500, {}, UnavailableError),
        (501, {}, ChannelRefusedError),
        (429, {"Retry-After": "9"}, ChannelBusyError),
        (503, {"Retry-After": "9"}, ChannelBusyError),
    ],
)
async def test_an_answer_says_later_or_never(
    status: int, headers: dict[str, str], kind: type[Exception]
) -> None:
    async with RestServer(lambda _: Reply(b"no", status, headers)).running() as server:
        with pytest.raises(kind) as caught:
            await sent(f"secret={OLD}", server)
    assert type(caught.value) is kind
    assert getattr(caught.value, "retry_after_s", 9) == 9


async def test_it_does_not_post_to_this_machine() -> None:
    async with RestServer().running() as server:
        channel = SignedWebhook(f"kandle+{server.url}/?secret={OLD}", OutboundPolicy())
        with pytest.raises(ChannelRefusedError, match=r"notifications\.allow_private"):
            await channel.send(Templates().render(occasion_of(signal()), channel.kind), "key", 5)
        assert server.connections == 0


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("kandle+https://host/hook", "secret="),
        ("kandle+https://host/hook?secret=short", "16 bytes"),
        ("kandle+https://host/hook?secret=whsec_!!!!", "base64"),
        ("kandle+https://user:pass@host/hook?secret=0123456789abcdef", "no user"),
        ("kandle+ftp://host/hook?secret=0123456789abcdef", "https://host/path"),
    ],
)
def test_a_wrong_url_is_named_without_its_secret(url: str, why: str) -> None:
    with pytest.raises(ConfigurationError, match=why) as caught:
        SignedWebhook(url, OPEN)
    assert "0123456789" not in str(caught.value)
    assert "short" not in str(caught.value)
