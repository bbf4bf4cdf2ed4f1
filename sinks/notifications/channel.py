"""What every address that messages go to has in common, and which class serves which URL."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod

from infra.outbound import OutboundPolicy
from infra.settings import NotificationSettings
from schemas.errors import ConfigurationError, RefusedError, UnavailableError
from sinks.notifications.message import Message


class ChannelBusyError(UnavailableError):
    """A channel asks us to wait (429).

    Args:
        message: For people.
        retry_after_s: How long, s.
        **context: Details by name.
    """

    code = "CHANNEL_BUSY"

    def __init__(self, message: str, retry_after_s: float, **context: object) -> None:
        super().__init__(message, **context)
        self.retry_after_s = retry_after_s


class ChannelRefusedError(RefusedError):
    """A channel will not take this message however often it is sent: revoked, unknown, forbidden."""

    code = "CHANNEL_REFUSED"


class Channel(ABC):
    """An address.

    Args:
        kind: Of which service it is: mailto, tgram, slack, kandle; names variants of templates.
        url: The whole address, with its secrets.

    Attributes:
        name: Kind and a hash of the address: stable, and without secrets.
        kind: As given.
    """

    def __init__(self, kind: str, url: str) -> None:
        self.kind = kind
        self.name = f"{kind}-{hashlib.sha256(url.encode()).hexdigest()[:8]}"

    @abstractmethod
    async def send(self, message: Message, dedup_key: str, timeout_s: float) -> None:
        """Deliver a message; does not block the event loop. One attempt.

        Args:
            message: What to deliver.
            dedup_key: The same for every attempt at one message, for channels that can drop a repeat.
            timeout_s: For the whole attempt, s. What hangs beyond it is cut off.

        Raises:
            ChannelBusyError: It asks us to wait; not before `retry_after_s`.
            UnavailableError: It failed or did not answer in time; a later attempt may succeed.
            ChannelRefusedError: It refuses for good.
        """


def make_channel(url: str, rule_name: str, settings: NotificationSettings) -> Channel:
    """The channel of a URL.

    Args:
        url: `mailto://user:password@example.com`, `tgram://token/chat`, `kandle+https://host/path?secret=...`.
        rule_name: Name of the rule or channel that has it, for the error.
        settings: What is allowed.

    Raises:
        ConfigurationError: No channel has such a URL; the message shows nothing but its kind.
    """
    # They take their base from here. Apprise is large, and a signed webhook needs none of it.
    from infra.secrets import MASK
    from sinks.notifications.webhook import SCHEME, SignedWebhook

    MASK.hide(url)
    policy = OutboundPolicy(settings.allow_private, settings.allow_redirects)
    if url.startswith(SCHEME):
        try:
            return SignedWebhook(url, policy)
        except ConfigurationError as error:
            raise ConfigurationError(f"notification rule {rule_name!r}: {error}") from None
    from sinks.notifications.apprise_channel import AppriseChannel, apprise_plugin
    from sinks.notifications.email_channel import EmailChannel, is_plain_mail

    plugin = apprise_plugin(url, rule_name, policy)
    return EmailChannel(url, plugin, policy) if is_plain_mail(plugin) else AppriseChannel(url, plugin, policy)
