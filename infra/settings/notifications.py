"""Who is told what, by which channel."""

from pathlib import Path

from pydantic import Field, PositiveFloat, PositiveInt, SecretStr

from infra.settings.section import Section


class NotificationRule(Section):
    """Which signals go to which channels. Patterns are shell globs."""

    name: str
    urls: list[SecretStr] = Field(min_length=1, description="Apprise URLs, one a channel")
    venue: str = "*"
    symbol: str = "*"
    interval: str = "*"
    rule: str = "*"
    direction: str = "*"
    min_strength: float = Field(0.0, ge=0.0, le=1.0)


class NotificationSettings(Section):
    """Channels for signals."""

    rules: list[NotificationRule] = Field(default_factory=list)
    timeout_s: PositiveFloat = 15.0
    attempts: PositiveInt = 3
    sender: str | None = Field(
        None, description="who messages come from, where a channel shows it; default: the channel's own"
    )
    templates: Path | None = Field(
        None, description="folder of your own templates, which outweigh those of the package"
    )
    allow_private: bool = Field(
        False, description="let channels reach private, loopback and link-local addresses"
    )
