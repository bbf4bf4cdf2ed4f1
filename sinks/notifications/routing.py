"""Which occasions go to which channels."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Final

from infra.settings import NotificationRule, NotificationSettings
from infra.settings.notifications import DEFAULT_CHANNEL
from schemas.errors import ConfigurationError
from sinks.notifications.channel import Channel, make_channel
from sinks.notifications.occasion import OTHER, TYPES, Occasion

KNOWN_TYPES: Final = tuple(sorted({"signal", "price_alert", OTHER, *TYPES.values()}))
OWN_SOURCE: Final = "notifications/"
"""How the source begins of events about a channel; its name follows."""
_SEVERITIES: Final = ("info", "warning", "error")


def matches(rule: NotificationRule, occasion: Occasion) -> bool:
    """Whether a rule wants an occasion: all patterns fit, and it is strong and severe enough."""
    return (
        any(fnmatchcase(occasion.type, pattern) for pattern in rule.type)
        and (occasion.strength is None or occasion.strength >= rule.min_strength)
        and _SEVERITIES.index(occasion.severity) >= _SEVERITIES.index(rule.min_severity)
        and all(
            fnmatchcase(value, pattern)
            for value, pattern in (
                (occasion.venue, rule.venue),
                (occasion.symbol, rule.symbol),
                (occasion.interval, rule.interval),
                (occasion.rule, rule.rule),
                (occasion.direction, rule.direction),
            )
        )
    )


class Routing:
    """The channels and rules of the settings.

    Args:
        settings: Channels by name; rules, in their order; what channels may do.

    Raises:
        ConfigurationError: A URL is none that a channel has, or a rule is for a type that does not exist.
    """

    def __init__(self, settings: NotificationSettings) -> None:
        self.channels: dict[str, Channel] = {}
        """All channels by name; one address is one channel, whichever rules name it."""
        names: dict[str, str] = {}
        for name, channel in settings.channels.items():
            url = channel.url.get_secret_value()
            self.channels[name] = made = make_channel(url, name, settings)
            made.name = name
            names.setdefault(url, name)
        self._routes: list[tuple[NotificationRule, list[str]]] = []
        for rule in settings.rules:
            _check_types(rule)
            chosen = list(rule.channels)
            for secret in rule.urls:
                url = secret.get_secret_value()
                if url not in names:
                    made = make_channel(url, rule.name, settings)
                    self.channels[made.name] = made
                    names[url] = made.name
                chosen.append(names[url])
            self._routes.append((rule, chosen or [DEFAULT_CHANNEL]))
        self.rules = {rule.name: rule for rule in settings.rules}
        """The rules by name."""

    def route(self, occasion: Occasion) -> dict[str, str]:
        """Names of the channels that an occasion goes to, each with the name of the first rule that says so.

        No channel is told of its own trouble: that could only make more of it.
        """
        source = occasion.fields.get("source")
        chosen: dict[str, str] = {}
        for rule, channels in self._routes:
            if matches(rule, occasion):
                for name in channels:
                    if source != f"{OWN_SOURCE}{name}":
                        chosen.setdefault(name, rule.name)
        return chosen

    def rules_of(self, channel: str) -> list[str]:
        """Names of the rules that use a channel."""
        return [rule.name for rule, channels in self._routes if channel in channels]


def _check_types(rule: NotificationRule, known: Sequence[str] = KNOWN_TYPES) -> None:
    for pattern in rule.type:
        if not any(fnmatchcase(name, pattern) for name in known):
            raise ConfigurationError(
                f"notification rule {rule.name!r} is for the type {pattern!r}; types are {', '.join(known)}"
            )
