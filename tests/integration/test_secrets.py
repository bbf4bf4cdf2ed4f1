"""No secret is ever told: a canary in every setting that holds a secret, then all is made to fail."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from pydantic import BaseModel

from infra import logging as logs
from infra import secrets
from infra.kafka.dead_letters import error_headers
from infra.settings import LoggingSettings, Settings, load
from kandle.__main__ import main
from producers import stage as producer_stage
from schemas.topics import SYSTEM_EVENTS
from sinks import stage as sink_stage
from tests.producer_harness import Topics

CANARY = "cAnaryBird"
"""Part of every secret here: whoever tells one tells this."""
FAR = "127.0.0.1:1"
"""Where nobody answers."""
TOML = f"""
[[notifications.rules]]
name = "desk"
urls = ["slack://T{CANARY}1/B{CANARY}2/{CANARY}3AbCdEfGhIjKlMn"]
"""


def bird(number: int) -> str:
    return f"{CANARY}{number}xYz"


SECRETS = {
    "KANDLE_KAFKA__SASL_PASSWORD": bird(1),
    "KANDLE_KAFKA__SSL_KEY_PASSWORD": bird(2),
    "KANDLE_CACHE__URL": f"redis://:{bird(3)}@{FAR}/0",
    "KANDLE_ARCHIVE__ACCESS_KEY_ID": bird(4),
    "KANDLE_ARCHIVE__SECRET_ACCESS_KEY": bird(5),
    "KANDLE_SERVE__TOKEN": bird(6),
    "KANDLE_TRACING__HEADERS": f"api-key={bird(7)}, x={bird(8)}",
    "KANDLE_VENUES__BINANCE__API_KEY": bird(9),
    "KANDLE_VENUES__BINANCE__SECRET": bird(10),
    "KANDLE_VENUES__BINANCE__PASSPHRASE": bird(11),
    "KANDLE_NOTIFICATIONS__CHANNELS__HOOK__URL": f"kandle+http://{FAR}/{bird(12)}?secret={bird(13)}AbCdEfGhIjKl",
    "DATABASE_URL": f"postgresql://kandle:{bird(14)}@{FAR}/kandle?connect_timeout=1",
    # Not secrets by their type, but an address may hold one.
    "KANDLE_PRODUCER__WEBSOCKET_URL": f"ws://me:{bird(15)}@{FAR}",
    "KANDLE_PRODUCER__REST_URL": f"http://me:{bird(17)}@{FAR}",
    "KANDLE_TRACING__ENDPOINT": f"http://me:{bird(16)}@{FAR}",
}
COMMANDS = (
    *("config", "config --json", "doctor", "archive list", "cache ticker BTC/USDT", "notify channels"),
    *("verify", "sql SELECT", "backup out.dump", "sink migrate", "notify test --channel HOOK"),
    *("simulate --capture none", f"produce --venue nowhere --rest-url http://u:{bird(19)}@x:99999"),
)
WAITING = (
    *("topics", "sink accept", "events", "status", "dlq list", "alerts list", "tail market.trades.v1"),
    *("produce", "process", "ticker BTC/USDT", "reprocess BTC/USDT"),
)
"""Commands that wait for a Kafka, or a venue, before they give up."""


@pytest.fixture
def told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> Iterator[Callable[[], str]]:
    """Secrets in the environment, and all that was written since."""
    mask = secrets.Mask()
    for module in [
        each for each in list(sys.modules.values()) if isinstance(vars(each).get("MASK"), secrets.Mask)
    ]:
        monkeypatch.setattr(module, "MASK", mask)
    for name in [name for name in os.environ if name.startswith("KANDLE_")]:
        monkeypatch.delenv(name)
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "kandle.toml").write_text(TOML)
    monkeypatch.chdir(tmp_path)

    def written() -> str:
        out, err = capfd.readouterr()
        files = [file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()]
        return out + err + "\n".join(data.decode("utf-8", "replace") for data in files).replace(TOML, "")

    root = logging.getLogger()
    handlers, level, config = root.handlers[:], root.level, structlog.get_config()
    yield written
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**config)


def paths(model: type[BaseModel], prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Where secrets stand in the settings."""
    for name, info in model.model_fields.items():
        if "SecretStr" in str(info.annotation):
            yield (*prefix, name)
        for kind in _models(info.annotation):
            yield from paths(kind, (*prefix, name))


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in getattr(annotation, "__args__", ()):
        yield from _models(inner)


def test_every_setting_that_holds_a_secret_has_one_here(told: Callable[[], str]) -> None:
    settings = load()
    found = {secret.get_secret_value() for _, secret in secrets._secrets_in(settings, ())}
    assert all(CANARY in secret for secret in found)
    named = {path[-1] for path, _ in secrets._secrets_in(settings, ())}
    assert named == {path[-1] for path in paths(Settings)}
    assert (
        len(found) == len([name for name in SECRETS if "PRODUCER" not in name and "ENDPOINT" not in name]) + 1
    )


@pytest.mark.parametrize(
    "command", [*COMMANDS, *(pytest.param(command, marks=pytest.mark.full) for command in WAITING)]
)
def test_commands_that_fail_tell_no_secret(
    command: str, told: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", FAR)
    monkeypatch.setattr(sys, "argv", ["kandle", *command.split()])
    with contextlib.suppress(SystemExit):
        main()
    text = told()
    assert text.strip(), "the command says nothing"
    assert CANARY not in text, text


async def test_a_producer_whose_venue_is_away_tells_no_secret(
    kafka: str, told: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka)
    topics = Topics(kafka)
    topics.renew()
    settings = load(tracing={"sample": 1.0})
    logs.configure(LoggingSettings(level="debug", format="json"), "produce")
    stop = asyncio.Event()
    running = asyncio.create_task(producer_stage.run(settings, stop))
    await asyncio.sleep(4.0)
    stop.set()
    running.cancel()
    await asyncio.wait([running], timeout=20)
    events = topics.read(SYSTEM_EVENTS.name)
    assert CANARY not in str([(one.value, one.headers) for one in events])
    text = told()
    assert CANARY not in text, text


async def test_a_sink_whose_database_is_away_tells_no_secret(
    kafka: str, told: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka)
    settings = load(sink={"run": ["timescale", "notifications", "cache"]})
    logs.configure(LoggingSettings(level="debug", format="json"), "sink")
    stop = asyncio.Event()
    running = asyncio.create_task(sink_stage.run(settings, stop))
    await asyncio.sleep(1.5)
    stop.set()
    await asyncio.wait([running], timeout=20)
    text = told()
    assert "the database is away" in text
    assert CANARY not in text, text


def test_a_dead_letter_tells_no_secret_of_the_fault_that_made_it(told: Callable[[], str]) -> None:
    load()
    try:
        raise OSError(f"{SECRETS['DATABASE_URL']} does not answer, nor {bird(3)}")
    except OSError as error:
        headers = error_headers(stage="s", topic="t", partition=0, offset=1, reason=str(error), error=error)
    assert CANARY not in str(headers)
