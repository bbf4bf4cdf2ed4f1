"""Fields of a line of the log by the names of the Elastic Common Schema.

What the schema has no name for stands below `kandle.`: it would else meet a field of another meaning, or of
another type, in the index that takes the logs of a whole house.

The names: https://www.elastic.co/docs/reference/ecs/ecs-field-reference
"""

import os
import platform
import sys
import traceback
from importlib import metadata
from types import TracebackType
from typing import Any, Final

ECS_VERSION: Final = "8.17.0"
OWN: Final = "kandle."
"""Before the names of what is ours."""
NAMES: Final = {
    "code": "error.code",
    "error": "error.message",
    "request_id": "http.request.id",
    "trace_id": "trace.id",
    "span_id": "span.id",
    "correlation_id": "labels.correlation_id",
    "url": "url.full",
    "logger": "log.logger",
}
"""What is called otherwise in the code; names with a dot are the schema's already."""

_Raised = tuple[type[BaseException], BaseException, TracebackType | None]


class EcsNames:
    """A processor of structlog: gives an event the schema's names, the first ones in the order it wants.

    Args:
        stage: What this process does; part of the service's name.
    """

    def __init__(self, stage: str) -> None:
        self._process = {
            "ecs.version": ECS_VERSION,
            "service.name": f"kandle-{stage}",
            "service.version": metadata.version("kandle"),
            "host.name": platform.node(),
            "process.pid": os.getpid(),
        }

    def __call__(self, _logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
        """The event with the schema's names."""
        named: dict[str, Any] = {
            "@timestamp": event.pop("timestamp", None),
            "log.level": event.pop("level", None),
            "message": str(event.pop("event", "")),
            **self._process,
        }
        raised = _raised(event.pop("exc_info", None))
        for name, value in event.items():
            if value is not None:
                known = NAMES.get(name)
                full = known or (name if "." in name else OWN + name)
                # What has another name in the schema is a text there.
                named[full] = value if known is None else str(value)
        if raised is not None:
            kind, error, _ = raised
            named["error.type"] = f"{kind.__module__}.{kind.__qualname__}"
            named.setdefault("error.message", str(error))
            named["error.stack_trace"] = "".join(traceback.format_exception(*raised))
        return named


def _raised(info: Any) -> _Raised | None:
    """What `exc_info` means: an exception, what the standard library keeps of one, or True: that of now."""
    if isinstance(info, BaseException):
        return type(info), info, info.__traceback__
    if isinstance(info, tuple) and len(info) == 3 and info[0] is not None:
        return info
    if info is True:
        kind, error, where = sys.exc_info()
        if kind is not None and error is not None:
            return kind, error, where
    return None
