"""Which signals go to which channels."""

from __future__ import annotations

from fnmatch import fnmatchcase

from infra.settings import NotificationRule, NotificationSettings
from schemas.records import Signal
from sinks.notifications.channel import Channel, make_channel


def matches(rule: NotificationRule, signal: Signal) -> bool:
    """Whether a rule wants a signal: every pattern fits and the signal is strong enough."""
    return signal.strength >= rule.min_strength and all(
        fnmatchcase(value, pattern)
        for value, pattern in (
            (signal.venue, rule.venue),
            (signal.symbol, rule.symbol),
            (signal.interval, rule.interval),
            (signal.rule, rule.rule),
            (signal.direction, rule.direction),
        )
    )


class Routing:
    """The rules of the settings.

    Args:
        settings: Rules, in the order of the settings, and what channels may do.

    Raises:
        ConfigurationError: A URL is none that Apprise knows.
    """

    def __init__(self, settings: NotificationSettings) -> None:
        self.channels: dict[str, Channel] = {}
        """All channels by name; one address is one channel, whichever rules name it."""
        self._routes: list[tuple[NotificationRule, list[Channel]]] = []
        for rule in settings.rules:
            found = [make_channel(url.get_secret_value(), rule.name, settings) for url in rule.urls]
            self._routes.append((rule, found))
            self.channels |= {channel.name: channel for channel in found}

    def route(self, signal: Signal) -> dict[str, str]:
        """Names of the channels that a signal goes to, each with the name of the first rule that says so."""
        chosen: dict[str, str] = {}
        for rule, channels in self._routes:
            if matches(rule, signal):
                for channel in channels:
                    chosen.setdefault(channel.name, rule.name)
        return chosen
