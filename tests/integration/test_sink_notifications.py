"""Notifications, really delivered: to a web server and a mail server in this process."""

from __future__ import annotations

import asyncio
import http.server
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from aiosmtpd.controller import Controller
from pydantic import SecretStr

from infra.embedded.ports import free_ports
from infra.settings import NotificationRule, NotificationSettings, Settings
from schemas import rows
from schemas.errors import ConfigurationError, UnavailableError
from schemas.records import Notification, Signal
from schemas.topics import SIGNALS
from sinks import stage
from sinks.notifications.channel import make_channel
from sinks.notifications.message import Message
from sinks.notifications.occasion import occasion_of
from sinks.notifications.routing import matches
from tests.sink_harness import (
    BASE_US,
    PARTITIONS,
    Log,
    fresh_topics,
    mark,
    query,
    running,
    settings_for,
    totals,
    until_passed,
)

Databases = Callable[[], str]
ONLY = ("notifications",)


def signal(number: int, direction: str = "long", strength: float = 0.8) -> Signal:
    return Signal(
        *(f"signal/{number}", "binance", "BTC/USDT", "1m", BASE_US, BASE_US + number, "cross(10,30)"),
        *(direction, strength, {"fast": 1.5}, f"candle/{number}", True),  # type: ignore[arg-type]
    )


class Webhook:
    """A web server that keeps what it is sent."""

    def __init__(self) -> None:
        self.received: list[dict[str, Any]] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.received.append(json.loads(body))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def url(self, path: str = "hook") -> str:
        return f"json://127.0.0.1:{self._server.server_port}/{path}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def webhooks() -> Iterator[Callable[..., Webhook]]:
    made: list[Webhook] = []

    def make() -> Webhook:
        made.append(Webhook())
        return made[-1]

    yield make
    for hook in made:
        hook.close()


class Mailbox:
    def __init__(self) -> None:
        self.messages: list[str] = []

    async def handle_DATA(self, server: object, session: object, envelope: Any) -> str:  # noqa: N802
        self.messages.append(envelope.content.decode())
        return "250 OK"


def rule(url: str, name: str = "all", **options: Any) -> NotificationRule:
    return NotificationRule(name=name, urls=[SecretStr(url)], **options)


def start(kafka: str, url: str, *rules: NotificationRule) -> Settings:
    settings = settings_for(kafka, url, rules=rules)
    fresh_topics(settings.kafka)
    return settings


async def run_to_the_end(settings: Settings, url: str, instance: str = "run") -> None:
    log = Log(settings.kafka.bootstrap_servers or "")
    async with running(settings, ONLY) as task:
        for partition in range(PARTITIONS):
            log.put(SIGNALS, partition, [mark(BASE_US, final=True, instance=instance)])
        await until_passed(url, "notifications", SIGNALS, instance=instance, task=task)


def outcomes(url: str) -> dict[str, int]:
    return dict(query(url, "SELECT outcome, count(*) FROM kandle.notifications GROUP BY 1"))


async def test_matching_signals_arrive_once_by_web_and_by_mail(
    kafka: str, postgres: Databases, webhooks: Callable[..., Webhook]
) -> None:
    hook, mailbox = webhooks(), Mailbox()
    (port,) = free_ports(1)
    mail = Controller(mailbox, hostname="127.0.0.1", port=port)
    mail.start()
    try:
        address = f"mailto://127.0.0.1:{port}?from=kandle@example.com&to=desk@example.com&mode=insecure"
        url = postgres()
        wanted = rule(hook.url(), direction="long"), rule(address, "mail", min_strength=0.9)
        settings = start(kafka, url, *wanted)
        log = Log(kafka)
        log.put(SIGNALS, 0, [signal(1), signal(2, "short"), signal(3, strength=0.95), signal(1)], key=b"key")
        await run_to_the_end(settings, url)
        titles = [message["title"] for message in hook.received]
        assert titles == ["BTC/USDT long: cross(10,30) (binance, 1m)"] * 2
        assert "strength 0.8" in hook.received[0]["message"]
        assert len(mailbox.messages) == 1
        assert "strength 0.95" in mailbox.messages[0]
        assert "desk@example.com" in mailbox.messages[0]
        assert outcomes(url) == {"sent": 3}
        assert totals(url, "notifications", SIGNALS)[1] == 3
        told = [rows.decode(message.value()) for message in log.read("notifications.v1")]
        assert all(isinstance(record, Notification) for record in told)
        causes = sorted(record.cause_id for record in told if isinstance(record, Notification))
        assert causes == ["signal/1", "signal/3", "signal/3"]

        # Another run reads on behind; the same signals again are known by the ledger.
        log.put(SIGNALS, 0, [signal(1), signal(3, strength=0.95), signal(4)])
        await run_to_the_end(settings, url, "second")
        assert len(hook.received) == 3
        assert len(mailbox.messages) == 1
    finally:
        mail.stop()


async def test_the_end_of_a_feed_waits_for_no_window_of_folding(
    kafka: str, postgres: Databases, webhooks: Callable[..., Webhook]
) -> None:
    hook, url = webhooks(), postgres()
    settings = start(kafka, url, rule(hook.url()))
    hours = settings.notifications.model_copy(update={"fold_window_s": 86_400.0, "fold_over": 2})
    now_us = time.time_ns() // 1_000
    late = [msgspec.structs.replace(signal(number), event_time=now_us + number) for number in range(8)]
    Log(kafka).put(SIGNALS, 0, late)
    await run_to_the_end(settings.model_copy(update={"notifications": hours}), url)
    assert "pending" not in outcomes(url)
    assert sum(outcomes(url).values()) == 8
    assert len(hook.received) <= 3


async def test_a_url_of_no_kind_is_refused_without_its_secret(kafka: str, postgres: Databases) -> None:
    settings = start(kafka, postgres(), rule("nosuch://topsecret@host", "desk"))
    with pytest.raises(ConfigurationError, match="rule 'desk' has a URL of kind 'nosuch'") as caught:
        await stage.run(settings, asyncio.Event(), ONLY)
    assert "topsecret" not in str(caught.value)


async def test_secrets_of_a_channel_do_not_reach_the_log(caplog: pytest.LogCaptureFixture) -> None:
    channel = make_channel(
        "json://someuser:verysecret@127.0.0.1:1/tokenpath", "r", NotificationSettings(allow_private=True)
    )
    assert "secret" not in channel.name
    refused = pytest.raises(UnavailableError, match="broke off the connection")
    with caplog.at_level(logging.DEBUG, logger="apprise"), refused:
        await channel.send(Message(None, "subject", "text", "<p>text</p>"), "key", 5)
    assert caplog.records
    assert "verysecret" not in caplog.text
    assert "tokenpath" not in caplog.text


def test_every_pattern_of_a_rule_has_to_fit() -> None:
    wanted = occasion_of(signal(1))
    assert matches(
        rule("json://h", symbol="BTC/*", rule="cross*", direction="long", min_strength=0.8), wanted
    )
    for options in (
        {"symbol": "ETH/*"},
        {"venue": "gateio"},
        {"interval": "1s"},
        {"rule": "rsi*"},
        {"direction": "short"},
        {"min_strength": 0.81},
    ):
        assert not matches(rule("json://h", **options), wanted)
