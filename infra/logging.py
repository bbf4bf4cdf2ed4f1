"""Logs: structlog on standard error, for people in a terminal and JSON by Elastic's names (ECS) otherwise.

Libraries log through the standard library; their records take the same road, and what they say below a
warning stays out. Nothing that is not for the user is a warning here. No line holds a secret: all pass
`infra.secrets`. What is bound as `correlation_id` (structlog's contextvars), and the span in `SPAN`, stand in
every line that is written meanwhile. docs/logs.md lists the fields.
"""

import logging
import sys
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

import structlog

from infra.ecs import EcsNames
from infra.secrets import MASK
from infra.settings import LoggingSettings

QUIET = (
    "faust",
    "mode",
    "asyncio",
    "websockets",
    "httpx2",
    "httpcore2",
    "psycopg",
    "numba",
)
"""Libraries whose information is of no use to the user of a pipeline."""
SILENT = ("aiokafka", "apprise", "psycopg.pool")
"""Libraries that log as errors what they retry by themselves; what they give up on is raised as well."""


SPAN: ContextVar[tuple[bytes, bytes] | None] = ContextVar("SPAN", default=None)
"""Trace id and span id of what is being worked on; cheaper to set than structlog's variables."""


class _Masked(structlog.stdlib.ProcessorFormatter):
    """Formats a line, then hides what must not be read in it: tracebacks included."""

    def format(self, record: logging.LogRecord) -> str:
        return MASK.masked(super().format(record))


def configure(settings: LoggingSettings, stage: str) -> None:
    """Set up logging for this process; `stage` is part of every line. Call once, at start."""
    human = settings.format == "human" or (settings.format == "auto" and sys.stderr.isatty())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        _with_span,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="timestamp"),
    ]
    renderer: list[Any] = (
        [
            _for_people,
            structlog.processors.format_exc_info,
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()),
        ]
        if human
        else [EcsNames(stage), structlog.processors.JSONRenderer(ensure_ascii=False)]
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        _Masked(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.level.upper())
    for name in SILENT:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    handler.addFilter(_is_of_interest)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, settings.level.upper())),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def _is_of_interest(record: logging.LogRecord) -> bool:
    """Whether it is not about a task that a client left unread when its connections closed at a stop."""
    raised = record.exc_info[0] if record.exc_info else None
    return record.name != "asyncio" or raised is None or raised.__module__.partition(".")[0] not in SILENT


def _with_span(_logger: Any, _method: str, event: dict[str, Any]) -> Mapping[str, Any]:
    span = SPAN.get()
    if span is not None:
        event["trace_id"], event["span_id"] = span[0].hex(), span[1].hex()
    return event


def _for_people(_logger: Any, _method: str, event: dict[str, Any]) -> Mapping[str, Any]:
    event.pop("logger", None)
    return event


def get_logger(name: str) -> Any:
    """A logger; call as `logger.info("what happened", key=value)`."""
    return structlog.get_logger(name)
