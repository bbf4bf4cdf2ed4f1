"""Lines of the log: by Elastic's names, with the ids of what they belong to, without secrets."""

import io
import json
import logging
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from aiokafka.errors import KafkaConnectionError
from pydantic import SecretStr

from infra import logging as ours
from infra.secrets import HIDDEN, Mask, write_traceback
from infra.settings import (
    DatabaseSettings,
    KafkaSettings,
    LoggingSettings,
    NotificationRule,
    NotificationSettings,
    Settings,
    TracingSettings,
)
from infra.tracing import SpanContext, bound

ECS_FIELDS = {
    "@timestamp": str,
    "client.ip": str,
    "ecs.version": str,
    "error.code": str,
    "error.message": str,
    "error.stack_trace": str,
    "error.type": str,
    "event.duration": int,
    "host.name": str,
    "http.request.id": str,
    "http.request.method": str,
    "http.response.status_code": int,
    "labels.correlation_id": str,
    "log.level": str,
    "log.logger": str,
    "message": str,
    "process.pid": int,
    "service.name": str,
    "service.version": str,
    "span.id": str,
    "trace.id": str,
    "url.full": str,
    "url.path": str,
    "user_agent.original": str,
}
"""Of the field reference of ECS 8.17, with the types of their values; `labels.*` are keywords."""

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], io.StringIO]]:
    """Sets up logging in one of its forms and gives what is written; all is as before afterwards."""
    root = logging.getLogger()
    handlers, level, config = root.handlers[:], root.level, structlog.get_config()

    def configure(form: str) -> io.StringIO:
        written = io.StringIO()
        monkeypatch.setattr(sys, "stderr", written)
        ours.configure(LoggingSettings(format=form, level="debug"), "produce")
        return written

    yield configure
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**config)


def lines(written: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in written.getvalue().splitlines()]


def test_every_field_is_of_the_schema_or_below_our_own_name(
    configured: Callable[[str], io.StringIO],
) -> None:
    written = configured("json")
    log = ours.get_logger("tests.ecs")
    span = SpanContext.root()
    with bound(span), structlog.contextvars.bound_contextvars(correlation_id="c-1", request_id=7):
        log.warning("ü is told", symbol="BTC/USDT", error=OSError("away"), url="http://x/", attempt=3)
    log.info("request", **{"url.path": "/p", "event.duration": 5})
    logging.getLogger("aiokafka.conn").critical("by %s", "the library")
    try:
        raise ValueError("a fault")
    except ValueError:
        log.exception("it failed", code="BAD")
        logging.getLogger("other").exception("so did this")
    log.error("handed over", exc_info=KeyError("k"))
    first, request, library, failed, so_did, handed = found = lines(written)
    for line in found:
        for name, value in line.items():
            if not name.startswith("kandle."):
                assert isinstance(value, ECS_FIELDS[name]), (name, value)
        assert list(line)[:4] == ["@timestamp", "log.level", "message", "ecs.version"]
        assert {"service.name", "service.version", "host.name", "process.pid"} <= line.keys()
        assert line["service.name"] == "kandle-produce"
    assert (first["trace.id"], first["span.id"]) == (span.trace_id.hex(), span.span_id.hex())
    assert (first["labels.correlation_id"], first["http.request.id"]) == ("c-1", "7")
    assert (first["error.message"], first["kandle.symbol"], first["kandle.attempt"]) == (
        "away",
        "BTC/USDT",
        3,
    )
    assert (first["message"], first["log.level"], first["log.logger"]) == (
        "ü is told",
        "warning",
        "tests.ecs",
    )
    assert (request["url.path"], request["event.duration"]) == ("/p", 5)
    assert (library["message"], library["log.logger"]) == ("by the library", "aiokafka.conn")
    for line in (failed, so_did):
        assert (line["error.type"], line["error.message"]) == ("builtins.ValueError", "a fault")
        assert line["error.stack_trace"].endswith("ValueError: a fault\n")
    assert (failed["error.code"], handed["error.type"]) == ("BAD", "builtins.KeyError")
    assert "trace.id" not in request


def test_tasks_that_a_client_leaves_unread_at_a_stop_are_no_errors_of_ours(
    configured: Callable[[str], io.StringIO],
) -> None:
    written = configured("json")
    for error in (KafkaConnectionError("closed"), ConnectionError("ours")):
        logging.getLogger("asyncio").error("Task exception was never retrieved", exc_info=error)
    logging.getLogger("ours").error("an answer", exc_info=KafkaConnectionError("closed"))
    found = [(line["log.logger"], line["error.type"]) for line in lines(written)]
    assert found == [
        ("asyncio", "builtins.ConnectionError"),
        ("ours", "aiokafka.errors.KafkaConnectionError"),
    ]


def test_people_read_a_line_without_the_names_of_machines(
    configured: Callable[[str], io.StringIO],
) -> None:
    written = configured("human")
    ours.get_logger("tests.people").info("listening", port=5)
    (line,) = written.getvalue().splitlines()
    assert "listening" in line
    assert "port=5" in line
    assert "service" not in line
    assert "tests.people" not in line


@pytest.mark.parametrize("form", ["human", "json"])
def test_no_line_holds_a_secret_of_the_settings(
    configured: Callable[[str], io.StringIO], form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = 'p"w/ür%2Ed-canary'
    mask = Mask()
    monkeypatch.setattr(ours, "MASK", mask)
    mask.learn(
        Settings(
            kafka=KafkaSettings(sasl_password=SecretStr(secret)),
            database=DatabaseSettings(url=SecretStr("postgresql://kandle:dbpass-canary@db/kandle")),
            notifications=NotificationSettings(
                rules=[NotificationRule(name="r", urls=[SecretStr("slack://tokenA-canary/tokenB-canary")])]
            ),
            tracing=TracingSettings(headers=SecretStr("api-key=header-canary,x=y")),
        )
    )
    written = configured(form)
    log = ours.get_logger("tests.secrets")
    log.warning("refused", password=secret, address=f"sasl://u:{secret}@broker", deep={"in": [secret]})
    log.error("no database: password dbpass-canary", url="postgresql://kandle:dbpass-canary@db/kandle")
    log.error("no channel tokenB-canary", header="header-canary", kafka="kandle")
    logging.getLogger("library").error("by a library: %s", secret)
    try:
        raise ValueError(f"in a traceback: {secret}")
    except ValueError:
        log.exception("failed")
    text = written.getvalue()
    assert "canary" not in text, text
    assert text.count(HIDDEN) >= 8
    # A word that is no secret stays readable.
    assert "kandle" in text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("at postgresql://me:word@db:5432/x", "at postgresql://me:***@db:5432/x"),
        ("host=db password=word user=me", "host=db password=*** user=me"),
        ("GET /ws?token=abc&x=1", "GET /ws?token=***&x=1"),
        (
            "wss://v/ws?listenKey=1&api_key=k2&signature=ff",
            "wss://v/ws?listenKey=1&api_key=***&signature=***",
        ),
        ("{'Authorization': 'Bearer abc.def'}", "{'Authorization': '***'}"),
        ("set the token (setting serve.token)", "set the token (setting serve.token)"),
        ("http://127.0.0.1:80/a@b", "http://127.0.0.1:80/a@b"),
    ],
)
def test_what_looks_like_a_secret_is_hidden_though_nobody_has_named_it(text: str, shown: str) -> None:
    assert Mask().masked(text) == shown


def test_a_traceback_of_a_command_is_written_without_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        raise OSError("no answer from redis://:hidden-word@cache:6379")
    except OSError as error:
        write_traceback(type(error), error, error.__traceback__)
    said = capsys.readouterr().err
    assert "OSError: no answer from redis://:***@cache:6379" in said
    assert "hidden-word" not in said
