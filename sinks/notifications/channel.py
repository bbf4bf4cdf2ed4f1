"""One address that messages go to, by Apprise."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
import threading
import urllib.parse
from typing import Any, Final

import apprise

from schemas.errors import ConfigurationError, UnavailableError

_apprise_log: Final = logging.getLogger("apprise")
SHORTEST_SECRET: Final = 6


class _Mask(logging.Filter):
    """Keeps the secrets of addresses out of what Apprise logs."""

    def __init__(self) -> None:
        super().__init__()
        self.secrets: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        for secret in sorted(self.secrets, key=len, reverse=True):
            text = text.replace(secret, "***")
        record.msg, record.args = text, ()
        return True


_mask: Final = _Mask()
_apprise_log.addFilter(_mask)


def secrets_of(url: str) -> set[str]:
    """What of an address may be secret: all of it, user, password, path, query, a host that is a token."""
    parts = urllib.parse.urlsplit(url)
    network, _, host = parts.netloc.rpartition("@")
    words = [*re.split(r"[:@]", network), *parts.path.split("/")]
    words += [value for _, value in urllib.parse.parse_qsl(parts.query)]
    if "." not in host and not host.startswith("localhost"):
        words.append(host)
    return {url} | {
        form for word in words for form in (word, urllib.parse.unquote(word)) if len(form) >= SHORTEST_SECRET
    }


class Channel:
    """An address.

    Attributes:
        name: Its kind and a hash of the address: stable, and without secrets.
    """

    def __init__(self, name: str, target: Any) -> None:
        self.name = name
        self._target = target
        self._busy: threading.Thread | None = None

    @classmethod
    def from_url(cls, url: str, rule: str) -> Channel:
        """A channel to an Apprise URL.

        Args:
            url: For example `mailto://user:password@example.com`, `json://host/path`, `tgram://token/chat`.
            rule: Name of the rule that has it, for the error.

        Raises:
            ConfigurationError: Apprise does not know such a URL; the message shows nothing but its kind.
        """
        _mask.secrets |= secrets_of(url)
        kind = url.partition("://")[0] if "://" in url else "?"
        target = apprise.Apprise()
        _apprise_log.disabled = True
        try:
            known = target.add(url)
        finally:
            _apprise_log.disabled = False
        if not known:
            raise ConfigurationError(
                f"notification rule {rule!r} has a URL of kind {kind!r} that Apprise cannot use; "
                "see https://github.com/caronc/apprise/wiki for the forms"
            )
        return cls(f"{kind}-{hashlib.sha256(url.encode()).hexdigest()[:8]}", target)

    async def send(self, subject: str, body: str, timeout_s: float) -> None:
        """Deliver a message; does not block the event loop.

        A call that hangs beyond the timeout cannot be ended. Until it ends by itself, every further attempt
        fails at once, so that at most one thread a channel is lost; it may yet deliver: at least once.

        Raises:
            UnavailableError: The channel refused the message, or did not take it in time.
        """
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
                delivered = bool(self._target.notify(title=subject, body=body))
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
