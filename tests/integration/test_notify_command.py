"""`kandle notify`, as users call it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from kandle.commands.notify import notify
from schemas.errors import KandleError
from sinks.notifications.channel import ChannelRefusedError
from tests.rest_server import Reply, RestServer

CANARY = "canarysecretcanary"


def settings_file(folder: Path, url: str, more: str = "") -> None:
    (folder / "my-templates").mkdir()
    (folder / "my-templates" / "signal.subject.j2").write_text("Attention: {{ symbol }}")
    (folder / "my-templates" / "broken.text.j2").write_text("{{ nothing }}")
    (folder / "kandle.toml").write_text(
        f"""
[notifications]
templates = "my-templates"
allow_private = true
timeout_s = 5
{more}
[notifications.channels.desk]
url = "kandle+{url}/{CANARY}?secret={CANARY}"
[notifications.channels.phone]
url = "json://user:{CANARY}@{url.removeprefix("http://")}/{CANARY}"
[notifications.channels.phone2]
url = "json://user:{CANARY}2@{url.removeprefix("http://")}/{CANARY}"
[[notifications.rules]]
name = "all"
channels = ["desk", "phone"]
"""
    )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


async def run(*arguments: str) -> Result:
    outcome = await asyncio.to_thread(CliRunner().invoke, notify, arguments)
    assert CANARY not in f"{outcome.output} {outcome.exception}"
    return outcome


async def test_channels_are_listed_and_tried(folder: Path) -> None:
    async with RestServer().running() as server:
        settings_file(folder, server.url)
        listed = await run("channels", "--json")
        found = [json.loads(line) for line in listed.stdout.splitlines()]
        assert [(each["channel"], each["kind"], each["rules"]) for each in found] == [
            ("desk", "kandle", ["all"]),
            ("phone", "json", ["all"]),
            ("phone2", "json", []),
        ]

        by_kind = await run("test", "kandle")
        assert by_kind.exit_code == 0, by_kind.output
        assert "desk (kandle) took 'Attention: BTC/USDT'" in by_kind.stdout
        by_name = await run("test", "phone", "--type", "trade_executed", "--json")
        assert json.loads(by_name.stdout)["sent"] is True
        assert [json.loads(body).get("title") for body in server.bodies] == [
            None,
            "BUY 0.015 BTC/USDT at 67,250.5",
        ]

        server.answer = lambda _: Reply(b"gone", 410)
        refused = await run("test", "desk")
        assert isinstance(refused.exception, ChannelRefusedError)
        assert "channel desk answers 410" in str(refused.exception)
        server.answer = lambda _: Reply(b"", 429, {"Retry-After": "7"})
        busy = await run("test", "phone", "--json")
        assert busy.exit_code == 1
        outcome = json.loads(busy.stdout)
        assert (outcome["code"], outcome["retriable"]) == ("CHANNEL_BUSY", True)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("test", "nobody"), 2, "there is no channel 'nobody'; channels are: desk (kandle), phone (json)"),
        (("test", "json"), 2, "several channels are of kind 'json': phone, phone2"),
        (("preview", "nothing"), 2, "there is no type 'nothing'"),
        (("preview", "broken"), 1, "template broken.text.j2 for 'broken': 'nothing' is undefined"),
    ],
)
async def test_what_is_wrong_is_said(folder: Path, arguments: tuple[str, ...], code: int, words: str) -> None:
    settings_file(folder, "http://127.0.0.1:1")
    outcome = await run(*arguments)
    assert isinstance(outcome.exception, KandleError)
    assert outcome.exception.exit_code == code
    assert words in str(outcome.exception)


async def test_a_message_is_shown_as_a_channel_would_get_it(folder: Path) -> None:
    settings_file(folder, "http://127.0.0.1:1", 'sender = "Desk <desk@example.com>"')
    shown = await run("preview", "signal")
    assert shown.stdout.startswith(
        "From: Desk <desk@example.com>\nSubject: Attention: BTC/USDT\n\ncross(10,30) says"
    )
    page = await run("preview", "digest", "--html")
    assert page.stdout.startswith("<!doctype html>")
