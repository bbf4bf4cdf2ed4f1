"""Traces: how many, and where they are sent."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, NonNegativeFloat, PositiveFloat, PositiveInt, SecretStr

from infra.settings.section import Section


def _endpoint(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("an OTLP endpoint is http://host:port or https://host:port")
    return text


def _headers(secret: SecretStr) -> SecretStr:
    if any(not pair.partition("=")[0].strip() or "=" not in pair for pair in _pairs(secret)):
        raise ValueError("headers are name=value, several between commas")
    if not (secret.get_secret_value().isascii() and secret.get_secret_value().isprintable()):
        raise ValueError("headers are written in one line of ASCII")
    return secret


def _pairs(secret: SecretStr) -> list[str]:
    return [pair for pair in secret.get_secret_value().split(",") if pair.strip()]


class TracingSettings(Section):
    """Traces by OpenTelemetry's protocol over HTTP (OTLP). Off unless `sample` is set."""

    sample: float = Field(0.0, ge=0.0, le=1.0, description="share of frames and requests to trace; 0: off")
    most_per_s: PositiveInt = Field(
        100, description="traces that a process begins in a second: a bound on the cost where much comes in"
    )
    endpoint: Annotated[str, AfterValidator(_endpoint)] = Field(
        "http://127.0.0.1:4318", description="collector; without a path, /v1/traces is asked for"
    )
    headers: Annotated[SecretStr, AfterValidator(_headers)] | None = Field(
        None, description="sent along, name=value between commas: what a collector in a cloud wants"
    )
    candle_every_s: NonNegativeFloat = Field(
        10.0,
        description="time in the log between trades of a partition whose traces candles continue; 0: any",
    )
    queue: PositiveInt = Field(8_192, description="spans that wait for the collector; more are dropped")
    timeout_s: PositiveFloat = Field(5.0, description="for an answer of the collector")

    @property
    def is_on(self) -> bool:
        """Whether anything is traced."""
        return self.sample > 0.0

    @property
    def pairs(self) -> dict[str, str]:
        """The headers by name."""
        if self.headers is None:
            return {}
        parts = [pair.partition("=") for pair in _pairs(self.headers)]
        return {name.strip(): value.strip() for name, _, value in parts}
