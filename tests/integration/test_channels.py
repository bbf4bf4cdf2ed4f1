"""Channels against servers that speak as the services do: taken, later, never, silence."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
import time
from collections.abc import AsyncIterator
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qs

import pytest
from apprise.plugins.discord import NotifyDiscord
from apprise.plugins.pagerduty import PAGERDUTY_API_LOOKUP, NotifyPagerDuty, PagerDutyRegion
from apprise.plugins.slack import NotifySlack
from apprise.plugins.telegram import NotifyTelegram
from apprise.plugins.twilio import NotifyTwilio

from infra.embedded.ports import free_ports
from infra.outbound import OutboundPolicy
from infra.settings import NotificationSettings
from schemas.errors import CallTimeoutError, ConfigurationError, UnavailableError
from schemas.records import Severity
from sinks.notifications.apprise_channel import apprise_plugin
from sinks.notifications.channel import ChannelBusyError, ChannelRefusedError, make_channel
from sinks.notifications.message import Templates
from sinks.notifications.occasion import occasion_of
from tests.channel_sending import MESSAGE, OPEN, error_of_sending
from tests.notification_records import event, price_alert, signal
from tests.rest_server import Reply, RestServer

SLACK_WEBHOOK = "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"
SLACK_BOT = "slack://xoxb-1234567890-1234567890-abcdefghijklmnopqrstuvwx/#desk"
TELEGRAM = "tgram://123456789:AAbbccddeeffgghhiijjkkllmmnnooppqq1/12345"
TWILIO = f"twilio://AC{'a' * 32}:{'b' * 32}@15551234567/15557654321"
DISCORD = "discord://123456789012345678/abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghij"
ALL = {"telegram": TELEGRAM, "slack": SLACK_WEBHOOK, "slack-bot": SLACK_BOT, "twilio": TWILIO}


@pytest.fixture
async def service(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RestServer]:
    async with RestServer().running() as running:
        monkeypatch.setattr(NotifyTelegram, "notify_url", f"{running.url}/bot")
        monkeypatch.setattr(NotifySlack, "webhook_url", f"{running.url}/services")
        monkeypatch.setattr(NotifySlack, "api_url", f"{running.url}/api/{{}}")
        monkeypatch.setattr(NotifyTwilio, "notify_sms_url", f"{running.url}/{{sid}}/Messages.json")
        monkeypatch.setitem(PAGERDUTY_API_LOOKUP, PagerDutyRegion.US, f"{running.url}/enqueue")
        monkeypatch.setattr(NotifyDiscord, "notify_url", f"{running.url}/webhooks")
        for plugin in (NotifySlack, NotifyTwilio, NotifyPagerDuty):
            monkeypatch.setattr(plugin, "request_rate_per_sec", 0)
        yield running


def answering(service: RestServer, status: int, body: Any = b"", **headers: str) -> None:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    service.answer = lambda _: Reply(data, status, named)


async def test_telegram_gets_html_that_it_knows(service: RestServer) -> None:
    answering(service, 200, {"ok": True, "result": {"message_id": 1}})
    channel = make_channel(TELEGRAM, "r", OPEN)
    await channel.send(Templates().render(occasion_of(signal()), channel.kind), "key", 5)
    [path], [body] = service.paths, service.bodies
    assert path == "/bot123456789:AAbbccddeeffgghhiijjkkllmmnnooppqq1/sendMessage"
    sent = json.loads(body)
    assert sent["parse_mode"] == "HTML"
    assert "fast: <b>1.5</b>" in sent["text"]
    assert "<html" not in sent["text"]
    assert "&lt;" not in sent["text"]


async def test_slack_gets_names_with_underscores_as_they_are(service: RestServer) -> None:
    answering(service, 200, b"ok")
    channel = make_channel(SLACK_WEBHOOK, "r", OPEN)
    await channel.send(Templates().render(occasion_of(price_alert()), channel.kind), "key", 5)
    text = service.bodies[0].decode()
    assert "price_alert_high" in text
    assert "70,000.5" in text
    assert "apprise" not in text.lower()


@pytest.mark.parametrize(
    ("severity", "urgency"), [("info", "info"), ("warning", "warning"), ("error", "critical")]
)
async def test_pagerduty_is_told_how_much_it_matters(
    service: RestServer, severity: Severity, urgency: str
) -> None:
    channel = make_channel("pagerduty://integrationkey@apikey", "r", OPEN)
    await channel.send(Templates().render(occasion_of(event("gap", severity)), channel.kind), "key", 5)
    payload = json.loads(service.bodies[0])["payload"]
    assert payload["severity"] == urgency
    assert "it happened" in payload["summary"]


async def test_twilio_gets_text_without_markup(service: RestServer) -> None:
    answering(service, 201, {"sid": "SM1", "status": "queued"})
    await make_channel(TWILIO, "r", OPEN).send(MESSAGE, "key", 5)
    form = parse_qs(service.bodies[0].decode())
    assert form["To"] == ["+15557654321"]
    assert "cross_up says long" in form["Body"][0]
    assert "<" not in form["Body"][0]


async def test_a_long_message_comes_in_parts_or_as_its_beginning(service: RestServer) -> None:
    service.answer = lambda path: Reply(b'{"ok": true}', 201 if "Messages" in path else 200)
    digest = [occasion_of(signal(f"signal/{number}")) for number in range(60)]
    for url in (DISCORD, TWILIO):
        channel = make_channel(url, "r", OPEN)
        await channel.send(Templates().render_digest(digest, channel.kind), "key", 5)
    *parts, sms = service.bodies
    assert len(parts) > 1
    assert all(len(json.loads(part)["content"]) <= 2000 for part in parts)
    assert sum(part.count(b"BTC/USDT long") for part in parts) == 50
    [body] = parse_qs(sms.decode())["Body"]
    assert len(body) <= 160
    assert body.startswith("60 messages")


@pytest.mark.parametrize("url", ALL.values(), ids=ALL)
async def test_a_limit_tells_how_long_in_seconds_or_by_a_date(service: RestServer, url: str) -> None:
    channel = make_channel(url, "r", OPEN)
    answering(service, 429, {"ok": False}, Retry_After="37")
    error = await error_of_sending(channel)
    assert isinstance(error, ChannelBusyError)
    assert error.retry_after_s == 37
    now = time.time()
    dates = [formatdate(now + ahead, usegmt=True) for ahead in (0, 90)]
    answering(service, 429, {"ok": False}, Date=dates[0], Retry_After=dates[1])
    error = await error_of_sending(channel)
    assert isinstance(error, ChannelBusyError)
    assert error.retry_after_s == 90


async def test_a_limit_may_be_told_in_the_body(service: RestServer) -> None:
    channel = make_channel(TELEGRAM, "r", OPEN)
    answering(
        service,
        429,
        {"ok": False, "error_code": 429, "description": "Too Many", "parameters": {"retry_after": 35}},
    )
    error = await error_of_sending(channel)
    assert isinstance(error, ChannelBusyError)
    assert error.retry_after_s == 35


async def test_a_library_that_waits_by_itself_is_not_waited_for(service: RestServer) -> None:
    channel = make_channel(DISCORD, "r", OPEN)
    reset = str(int(time.time()) + 60)
    answering(service, 429, {"retry_after": 61.5}, X_RateLimit_Remaining="0", X_RateLimit_Reset=reset)
    error = await error_of_sending(channel, timeout_s=1.5)
    assert isinstance(error, ChannelBusyError)
    assert error.retry_after_s == 61.5


REFUSALS = {
    "telegram-token": (TELEGRAM, 401, {"ok": False, "error_code": 401, "description": "Unauthorized"}),
    "telegram-blocked": (
        TELEGRAM,
        403,
        {"ok": False, "description": "Forbidden: bot was blocked"},
    ),
    "telegram-unknown-chat": (TELEGRAM, 400, {"ok": False, "description": "Bad Request: chat not found"}),
    "slack-no-service": (SLACK_WEBHOOK, 404, b"no_service"),
    "slack-archived": (SLACK_WEBHOOK, 410, b"channel_is_archived"),
    "slack-token": (SLACK_BOT, 200, {"ok": False, "error": "token_revoked"}),
    "twilio-token": (TWILIO, 401, {"code": 20003, "message": "Authenticate", "status": 401}),
    "twilio-number": (TWILIO, 400, {"code": 21211, "message": "The 'To' number is not valid", "status": 400}),
    "webhook-gone": ("json://{host}/hook", 410, b""),
    "webhook-moved": ("json://{host}/hook", 302, b""),
}


@pytest.mark.parametrize(("url", "status", "body"), REFUSALS.values(), ids=REFUSALS)
async def test_what_is_revoked_is_refused_for_good(
    service: RestServer, url: str, status: int, body: Any
) -> None:
    answering(service, status, body, Location="/elsewhere")
    error = await error_of_sending(make_channel(url.format(host=service.url[7:]), "r", OPEN))
    assert isinstance(error, ChannelRefusedError)
    assert not error.retriable
    assert len(service.requests) == 1
    assert str(status) in str(error) or "token_revoked" in str(error) or "redirect" in str(error)


@pytest.mark.parametrize("url", ALL.values(), ids=ALL)
async def test_a_server_that_fails_may_recover(service: RestServer, url: str) -> None:
    channel = make_channel(url, "r", OPEN)
    answering(service, 500, {"ok": False})
    error = await error_of_sending(channel)
    assert type(error) is UnavailableError
    assert "answers 500" in str(error)
    answering(service, 503, {"ok": False}, Retry_After="12")
    error = await error_of_sending(channel)
    assert isinstance(error, ChannelBusyError)
    assert error.retry_after_s == 12


@pytest.mark.parametrize("portion", [None, 1], ids=["silent", "drop-by-drop"])
async def test_a_hanging_server_is_cut_off(service: RestServer, portion: int | None) -> None:
    service.answer = lambda _: Reply(b"x" * 1000, pause_s=0.1 if portion else 30, portion_bytes=portion)
    channel = make_channel(TELEGRAM, "r", OPEN)
    begun = time.monotonic()
    error = await error_of_sending(channel, timeout_s=0.5)
    assert isinstance(error, CallTimeoutError)
    assert time.monotonic() - begun < 5
    deadline = time.monotonic() + 5
    while any(thread.name == f"channel-{channel.name}" for thread in threading.enumerate()):
        assert time.monotonic() < deadline, "the thread of the attempt goes on"
        await asyncio.sleep(0.02)
    # The next attempt is not held up by the last.
    answering(service, 200, {"ok": True, "result": {}})
    await channel.send(MESSAGE, "key", 5)


async def test_several_messages_are_under_way_at_once(service: RestServer) -> None:
    service.answer = lambda _: Reply(b'{"ok": true}', pause_s=0.3)
    channel = make_channel(f"json://{service.url[7:]}/hook", "r", OPEN)
    await asyncio.gather(*(channel.send(MESSAGE, f"key{number}", 5) for number in range(4)))
    assert service.most_under_way == 4


async def test_nobody_there_may_pass() -> None:
    (port,) = free_ports(1)
    error = await error_of_sending(make_channel(f"json://127.0.0.1:{port}/hook", "r", OPEN))
    assert type(error) is UnavailableError
    assert "cannot be reached" in str(error) or "broke off" in str(error)


LOOPBACK = ("127.0.0.1", "localhost", "127.1", "2130706433", "0177.0.0.1", "0x7f.1", "[::ffff:127.0.0.1]")


@pytest.mark.parametrize("host", LOOPBACK)
async def test_addresses_of_this_machine_are_refused_however_written(service: RestServer, host: str) -> None:
    port = service.url.rpartition(":")[2]
    try:
        channel = make_channel(f"json://{host}:{port}/hook", "r", NotificationSettings())
    except ConfigurationError:
        return  # Apprise reads no such host
    error = await error_of_sending(channel)
    assert isinstance(error, ChannelRefusedError)
    assert "notifications.allow_private" in str(error)
    assert service.connections == 0


async def test_redirects_are_followed_if_a_setting_says_so(service: RestServer) -> None:
    service.answer = lambda path: (
        Reply(b"{}") if path == "/elsewhere" else Reply(b"", 307, {"Location": "/elsewhere"})
    )
    settings = NotificationSettings(allow_private=True, allow_redirects=True)
    await make_channel(f"json://{service.url[7:]}/hook", "r", settings).send(MESSAGE, "key", 5)
    assert service.paths == ["/hook", "/elsewhere"]


def test_kinds_that_no_watch_sees_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="kind 'syslog', whose connections cannot"):
        make_channel("syslog://", "r", NotificationSettings())
    assert make_channel("syslog://", "r", OPEN).kind == "syslog"


async def test_what_is_thrown_away_makes_no_connection_where_no_watch_is_on(service: RestServer) -> None:
    def throw_away() -> None:
        plugin = apprise_plugin(f"emby://user:password@{service.url[7:]}", "r", OutboundPolicy())
        assert type(plugin).__name__ == "NotifyEmby"
        # As after a login; this one logs out in its destructor.
        plugin.access_token, plugin.user_id = "token", "user"
        del plugin
        gc.collect()

    await asyncio.to_thread(throw_away)
    assert service.connections == 0


async def test_no_secret_reaches_a_log_or_an_error(
    service: RestServer, caplog: pytest.LogCaptureFixture
) -> None:
    canary = "canarysecretcanary"
    host = service.url[7:]
    urls = [
        f"json://user:{canary}@{host}/{canary}",
        f"tgram://123456789:{canary}xxxxxxxxxxxxxxxxx/12345",
        f"slack://xoxb-1234567890-1234567890-{canary}abcdef/#desk",
        f"twilio://AC{'a' * 32}:{canary}@15551234567/15557654321",
        f"mailto://user:{canary}@127.0.0.1:1/?from=b@example.com&to=a@example.com&mode=insecure",
        f"kandle+{service.url}/{canary}?secret={canary}",
    ]
    with caplog.at_level(1):
        for url in urls:
            channel = make_channel(url, "r", OPEN)
            assert canary not in channel.name
            for status in (401, 429, 500):
                answering(service, status, f"you sent {canary} to /{canary}".encode())
                error = await error_of_sending(channel)
                assert canary not in str(error)
                assert canary not in repr(error.context)
        for url in (
            f"nosuch://{canary}@host",
            f"kandle+https://host/?secret={canary[:10]}",
            f"tgram://{canary}",
        ):
            with pytest.raises(ConfigurationError) as caught:
                make_channel(url, "r", OPEN)
            assert canary[:10] not in str(caught.value)
    assert any(record.name == "apprise" for record in caplog.records)
    assert any(record.name.startswith("urllib3") for record in caplog.records)
    assert not [text for record in caplog.records if canary in (text := record.getMessage())]
