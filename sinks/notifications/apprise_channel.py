"""Channels by Apprise: e-mail, SMS, Telegram, Slack, Discord, PagerDuty and a hundred others."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any, Final

import apprise

from infra.settings import NotificationSettings
from schemas.errors import ConfigurationError, UnavailableError
from sinks.notifications.channel import Channel
from sinks.notifications.message import Message
from sinks.notifications.secrets import MASK

_apprise_log: Final = logging.getLogger("apprise")
_apprise_log.addFilter(MASK)


class AppriseChannel(Channel):
    """One Apprise URL.

    Args:
        kind: Scheme of the URL; that without encryption where there are two.
        url: The URL.
        plugin: What Apprise made of it.
    """

    def __init__(self, kind: str, url: str, plugin: Any) -> None:
        super().__init__(kind, url)
        self._plugin = plugin
        self._busy: threading.Thread | None = None

    @classmethod
    def from_url(cls, url: str, rule_name: str, settings: NotificationSettings) -> AppriseChannel:
        """As `channel.make_channel`."""
        MASK.hide(url)
        kind = url.partition("://")[0].lower() if "://" in url else "?"
        _apprise_log.disabled = True
        try:
            plugin = apprise.Apprise.instantiate(url, asset=apprise.AppriseAsset(app_id="Kandle"))
        finally:
            _apprise_log.disabled = False
        if plugin is None:
            raise ConfigurationError(
                f"notification rule {rule_name!r} has a URL of kind {kind!r} that Apprise cannot use; "
                "see https://github.com/caronc/apprise/wiki for the forms"
            )
        return cls(_plain(plugin, kind), url, plugin)

    async def send(self, message: Message, dedup_key: str, timeout_s: float) -> None:
        """As `Channel.send`; Apprise blocks, so that each attempt has a thread."""
        if self._busy is not None and self._busy.is_alive():
            raise UnavailableError(f"channel {self.name} still hangs in an earlier attempt")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[bool] = loop.create_future()

        def settle(delivered: bool) -> None:
            if not answer.done():
                answer.set_result(delivered)

        def deliver() -> None:
            delivered = False
            try:
                delivered = bool(self._plugin.notify(title=message.subject, body=message.text))
            except Exception as error:  # whatever a plugin raises is this channel's failure alone
                _apprise_log.warning("channel %s: %s", self.name, error)
            if not loop.is_closed():
                loop.call_soon_threadsafe(settle, delivered)

        # A daemon: it must not hold up the end of the process.
        self._busy = threading.Thread(target=deliver, name=f"channel-{self.name}", daemon=True)
        self._busy.start()
        try:
            delivered = await asyncio.wait_for(answer, timeout_s)
        except TimeoutError:
            raise UnavailableError(f"channel {self.name} did not answer within {timeout_s:g} s") from None
        if not delivered:
            raise UnavailableError(f"channel {self.name} refused the message")


def _plain(plugin: Any, scheme: str) -> str:
    """One name for a service, whichever of its schemes a URL has."""
    for schemes in (plugin.protocol, plugin.secure_protocol):
        if schemes:
            return str(schemes if isinstance(schemes, str) else schemes[0])
    return scheme
