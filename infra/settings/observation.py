"""Metrics and logs."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from infra.settings.section import Section


class MetricsSettings(Section):
    """Prometheus metrics over HTTP."""

    host: str = "127.0.0.1"
    port: int = Field(0, ge=0, le=65535, description="0 serves none")
    last_file: Path | None = Field(None, description="takes the last values when the process ends")


class LoggingSettings(Section):
    """Logs on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "human", "json"] = Field("auto", description="auto: human in a terminal")
