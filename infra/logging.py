"""Logs: structlog on standard error, for people in a terminal and JSON (ECS names) otherwise.

Libraries log through the standard library; their records take the same road, and what they say below a
warning stays out. Nothing that is not for the user is a warning here.
"""

import logging
import sys
from typing import Any

import structlog

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


def configure(settings: LoggingSettings, stage: str) -> None:
    """Set up logging for this process; `stage` is part of every line. Call once, at start."""
    human = settings.format == "human" or (settings.format == "auto" and sys.stderr.isatty())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="timestamp"),
        structlog.processors.format_exc_info,
    ]
    renderer: list[Any] = (
        [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
        if human
        else [_ecs_names(stage), structlog.processors.JSONRenderer()]
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.level.upper())
    for name in SILENT:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, settings.level.upper())),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def _ecs_names(stage: str) -> Any:
    def rename(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
        named = {
            "@timestamp": event.pop("timestamp", None),
            "log.level": event.pop("level", None),
            "message": event.pop("event", ""),
            "service.name": f"kandle-{stage}",
        }
        if "exception" in event:
            named["error.stack_trace"] = event.pop("exception")
        return {**named, **event}

    return rename


def get_logger(name: str) -> Any:
    """A logger; call as `logger.info("what happened", key=value)`."""
    return structlog.get_logger(name)
