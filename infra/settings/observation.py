"""Metrics and logs."""

from pathlib import Path
from typing import Literal

from pydantic import Field, PositiveFloat

from infra.settings.section import Section


class MetricsSettings(Section):
    """Prometheus metrics and probes over HTTP."""

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(0, ge=0, le=65535, description="0 serves none")
    loop_silence_s: PositiveFloat = Field(
        30, description="/livez fails once the event loop has not moved for so long, s"
    )
    last_file: Path | None = Field(None, description="takes the last values when the process ends")


class LoggingSettings(Section):
    """Logs on standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="what is less is left out"
    )
    format: Literal["auto", "human", "json"] = Field("auto", description="auto: human in a terminal")
