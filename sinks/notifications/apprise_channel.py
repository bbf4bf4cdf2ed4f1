"""Channels by Apprise: SMS, Telegram, Slack, Discord, PagerDuty and a hundred others."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

import apprise

from infra.outbound import OutboundPolicy
from infra.outbound_watch import OutboundWatch
from infra.secrets import MASK
from schemas.errors import ConfigurationError, UnavailableError
from schemas.records import Severity
from sinks.notifications.message import Message
from sinks.notifications.verdict import verdict_of_all
from sinks.notifications.watched_channel import WatchedChannel

_apprise_log: Final = logging.getLogger("apprise")
UNWATCHED: Final = frozenset(
    [
        "blink1",
        "dbus",
        "deltachat",
        "gio",
        "glib",
        "gnome",
        "kde",
        "macosx",
        "mqtt",  # a thread of its own connects again, to wherever the name leads by then
        "qt",
        "syslog",
        "windows",
        "xmpp",
    ]
)
"""Kinds that stay on this machine or connect where no watch sees it."""
NOTIFY_TYPES: Final[Mapping[Severity, str]] = {"info": "info", "warning": "warning", "error": "failure"}
"""How Apprise calls severities; services show them by a colour or a degree of urgency."""
SHORT: Final = 1_500
"""Characters. A service that takes fewer gets the beginning of a long message; others all of it, in parts."""
OURS: Final = {"app_id": "Kandle", "app_desc": "Kandle", "image_url_mask": "", "image_url_logo": ""}
"""Who messages are from, where a service shows it; no picture of Apprise's."""
PLAIN_TIMEOUT_S: Final = 4.0
"""How long Apprise waits for each answer where its URL does not say."""


class AppriseChannel(WatchedChannel):
    """One Apprise URL.

    Args:
        url: The URL.
        plugin: What Apprise made of it.
        policy: Where it may connect to.
    """

    def __init__(self, url: str, plugin: Any, policy: OutboundPolicy) -> None:
        super().__init__(kind_of(plugin), url, policy)
        self._url = url
        self._says_overflow = "overflow=" in url.lower()
        self._idle = [plugin]

    def deliver(self, message: Message, dedup_key: str, timeout_s: float, watch: OutboundWatch) -> None:
        """As `WatchedChannel.deliver`. Apprise says only whether it failed; the watch says why."""
        # One instance an attempt: they keep state between calls, and may be left behind in one that hangs.
        plugin = self._idle.pop() if self._idle else instance(self._url)
        plugin.redirects = self._policy.allow_redirects
        if plugin.socket_read_timeout == PLAIN_TIMEOUT_S:
            plugin.socket_read_timeout = timeout_s
        form, body = ("html", message.html) if _prefers_html(plugin) else ("text", message.text)
        kind = NOTIFY_TYPES[message.severity]
        cut = None if self._says_overflow else ("truncate" if plugin.body_maxlen < SHORT else "split")
        taken = plugin.notify(
            title=message.subject, body=body, body_format=form, overflow=cut, notify_type=kind
        )
        self._idle.append(plugin)
        if taken:
            return
        if watch.answers:
            raise verdict_of_all(watch.answers, f"channel {self.name}")
        raise UnavailableError(
            f"channel {self.name} "
            + ("broke off the connection" if watch.was_connected else "cannot be reached")
        )


def instance(url: str) -> Any:
    """What Apprise makes of a URL; None if it is none of its own."""
    MASK.hide(url)
    _apprise_log.disabled = True
    try:
        plugin = apprise.Apprise.instantiate(url, asset=apprise.AppriseAsset(**OURS))
    finally:
        _apprise_log.disabled = False
    if plugin is not None:
        # Some log out when they are thrown away: in any thread, the event loop's too, where no watch is on.
        kind = type(plugin)
        plugin.__class__ = type(kind.__name__, (kind,), {"__del__": _leave_silently})
    return plugin


def _leave_silently(plugin: Any) -> None:
    """The destructor of a plugin."""


def apprise_plugin(url: str, rule_name: str, policy: OutboundPolicy) -> Any:
    """The plugin of a URL.

    Raises:
        ConfigurationError: Apprise has none, or it is one that cannot be watched.
    """
    plugin = instance(url)
    if plugin is None:
        kind = url.partition("://")[0].lower() if "://" in url else "?"
        raise ConfigurationError(
            f"notification rule {rule_name!r} has a URL of kind {kind!r} that Apprise cannot use; "
            "see https://github.com/caronc/apprise/wiki for the forms"
        )
    if kind_of(plugin) in UNWATCHED and not policy.allow_private:
        raise ConfigurationError(
            f"notification rule {rule_name!r} has a URL of kind {kind_of(plugin)!r}, whose connections "
            "cannot be watched; notifications.allow_private allows it"
        )
    return plugin


def kind_of(plugin: Any) -> str:
    """One name for a service, whichever of its schemes a URL has: the one without encryption, if any."""
    for schemes in (plugin.protocol, plugin.secure_protocol):
        if schemes:
            return str(schemes if isinstance(schemes, str) else schemes[0])
    return "?"


def _prefers_html(plugin: Any) -> bool:
    return str(plugin.resolve_format(None).value) == "html"
