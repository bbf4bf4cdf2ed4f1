"""Who is told what, by which channel, and how much at once."""

import datetime as dt
import re
import zoneinfo
from collections import Counter
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    SecretStr,
    field_validator,
    model_validator,
)

from infra.settings.section import NameList, Section

DEFAULT_CHANNEL: Final = "email"
"""Where a rule goes that names no channel."""
_CHANNEL_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


def _time_of_day(value: object) -> object:
    """`22:30` as a time; seconds and zones are none of a person's quiet hours."""
    if isinstance(value, str):
        if not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", value):
            raise ValueError(f"a time of day is HH:MM, as 22:30; got {value!r}")
        return dt.time.fromisoformat(value)
    return value


def _zone(name: str) -> str:
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"no time zone is called {name!r}; names are as Europe/Berlin or UTC") from None
    return name


def _channel_name(name: str) -> str:
    if not _CHANNEL_NAME.fullmatch(name):
        raise ValueError(
            f"a channel's name is of small letters, digits, - and _, at most 63 of them; got {name!r}"
        )
    return name


TimeOfDay = Annotated[dt.time, BeforeValidator(_time_of_day)]
ChannelName = Annotated[str, AfterValidator(_channel_name)]


class QuietHours(Section):
    """When nobody is to be disturbed, each day, over midnight if `end` is not after `begin`."""

    begin: TimeOfDay = Field(description="as 22:00, by the clock of the zone")
    end: TimeOfDay = Field(description="as 07:00")
    zone: Annotated[str, AfterValidator(_zone)] = Field("UTC", description="as Europe/Berlin")
    mode: Literal["hold", "drop"] = Field("hold", description="hold: a digest at the end; drop: nothing")
    errors_pass: bool = Field(True, description="what has severity error is told all the same")

    @model_validator(mode="after")
    def _is_not_empty(self) -> Self:
        if self.begin == self.end:
            raise ValueError(
                f"quiet hours begin and end at {self.begin:%H:%M}: they would last all day or never"
            )
        return self


class ChannelLimits(Section):
    """How messages are sent to a channel."""

    timeout_s: PositiveFloat = Field(15.0, description="longest time of one attempt")
    attempts: PositiveInt = Field(3, description="then a message goes to the dead letters")
    at_once: PositiveInt = Field(5, description="messages under way at once; 1 keeps their order strictly")
    per_minute: NonNegativeFloat = Field(60.0, description="messages; what waits is folded. 0: no limit")
    burst: PositiveInt = Field(10, description="messages that may go at once after a pause")
    fold_over: NonNegativeInt = Field(
        5,
        description="of a rule and type so many in a window are told singly, the rest in one. 0: no folding",
    )
    fold_window_s: PositiveFloat = Field(60.0, description="length of that window, in event time")
    max_age_s: NonNegativeFloat = Field(300.0, description="what is older goes into a digest. 0: no limit")
    quiet: QuietHours | None = Field(None, description="as {begin = '22:00', end = '07:00', zone = 'UTC'}")


class ChannelSettings(ChannelLimits):
    """One channel. What is left out is as `notifications` says for all."""

    url: SecretStr = Field(description="Apprise URL, or kandle+https://... for the signed webhook")


class NotificationRule(Section):
    """What goes to which channels. Patterns are shell globs; all that are given have to fit."""

    name: str = Field(min_length=1, max_length=100, description="by which it is known in the ledger")
    channels: NameList = Field(
        default_factory=list, description=f"names of channels; no channels and no urls: {DEFAULT_CHANNEL}"
    )
    urls: list[SecretStr] = Field(default_factory=list, description="Apprise URLs of channels without a name")
    type: NameList = Field(
        default_factory=lambda: ["signal", "price_alert"],
        min_length=1,
        description="of what: signal, price_alert, provider_trouble, ...; * for all",
    )
    venue: str = Field("*", description="shell pattern, as the next four")
    symbol: str = Field("*", description="unified symbol")
    interval: str = Field("*", description="of the candle")
    rule: str = Field("*", description="name of the signal rule with its parameters")
    direction: str = Field("*", description="long, short or neutral")
    min_strength: float = Field(0.0, ge=0.0, le=1.0, description="for what has a strength")
    min_severity: Literal["info", "warning", "error"] = Field("info", description="of a system event")
    quiet: QuietHours | None = Field(None, description="quiet hours of this rule, beside the channel's")


class NotificationSettings(ChannelLimits):
    """Channels, and the rules that choose among them; the limits are those of channels without their own."""

    channels: dict[ChannelName, ChannelSettings] = Field(
        default_factory=dict, description="where messages go, by name"
    )
    rules: list[NotificationRule] = Field(
        default_factory=list, description="what becomes a message, and for which channels"
    )
    sender: str | None = Field(
        None, description="who messages come from, where a channel shows it; default: the channel's own"
    )
    templates: Path | None = Field(
        None, description="folder of your own templates, which outweigh those of the package"
    )
    allow_private: bool = Field(
        False, description="let channels reach private, loopback and link-local addresses"
    )
    allow_redirects: bool = Field(
        False, description="let servers of Apprise's channels send requests on to other URLs"
    )

    @field_validator("rules")
    @classmethod
    def _have_names_of_their_own(cls, rules: list[NotificationRule]) -> list[NotificationRule]:
        twice = sorted(name for name, count in Counter(rule.name for rule in rules).items() if count > 1)
        if twice:
            raise ValueError(f"rules need names of their own; several are called {', '.join(twice)}")
        return rules

    @model_validator(mode="after")
    def _names_what_there_is(self) -> Self:
        known = ", ".join(sorted(self.channels)) or "none"
        for rule in self.rules:
            for name in rule.channels:
                if name not in self.channels:
                    raise ValueError(f"rule {rule.name!r} names the channel {name!r}; channels are: {known}")
            if not rule.channels and not rule.urls and DEFAULT_CHANNEL not in self.channels:
                raise ValueError(
                    f"rule {rule.name!r} names no channel, and the default, "
                    f"[notifications.channels.{DEFAULT_CHANNEL}], is not there; channels are: {known}"
                )
        return self

    def limits_of(self, channel: str) -> ChannelLimits:
        """The limits of a channel by its name: its own, the rest as for all."""
        own = self.channels.get(channel)
        names = ChannelLimits.model_fields
        given = own.model_fields_set & names.keys() if own else frozenset()
        return ChannelLimits(**{name: getattr(own if name in given else self, name) for name in names})
