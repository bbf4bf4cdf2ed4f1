"""E-mail by SMTP: one message with text and HTML, and the server's own words of why it was not taken."""

from __future__ import annotations

import contextlib
import email.utils
import hashlib
import smtplib
import ssl
from email.message import EmailMessage
from email.policy import SMTP
from typing import Any, Final

from infra.logging import get_logger
from infra.outbound import OutboundPolicy
from infra.outbound_watch import OutboundWatch
from infra.secrets import MASK
from schemas.errors import UnavailableError
from sinks.notifications.apprise_channel import kind_of
from sinks.notifications.channel import ChannelRefusedError
from sinks.notifications.message import Message
from sinks.notifications.watched_channel import WatchedChannel

KIND: Final = "mailto"
LEAVE_S: Final = 1.0
FINAL: Final = 500
"""SMTP's codes from here on say that a repeat is of no use (RFC 5321, 4.2.1)."""

log = get_logger(__name__)


class EmailChannel(WatchedChannel):
    """A `mailto://` or `mailtos://` URL, read by Apprise, which knows the servers of the large providers.

    Args:
        url: The URL.
        plugin: What Apprise made of it.
        policy: Where it may connect to.
    """

    def __init__(self, url: str, plugin: Any, policy: OutboundPolicy) -> None:
        super().__init__(kind_of(plugin), url, policy)
        self._plugin = plugin

    def deliver(self, message: Message, dedup_key: str, timeout_s: float, watch: OutboundWatch) -> None:
        """As `WatchedChannel.deliver`. All recipients of the URL get one mail; it is enough if some do."""
        mail = self._mail(message, dedup_key)
        receivers = [address for _, address in self._plugin.targets]
        receivers += [*sorted(self._plugin.cc), *sorted(self._plugin.bcc)]
        try:
            smtp = self._connection(timeout_s)
            try:
                refused = smtp.send_message(mail, self._plugin.from_addr[1], receivers)
            finally:
                _leave(smtp)
        except smtplib.SMTPRecipientsRefused as error:
            final = all(code >= FINAL for code, _ in error.recipients.values())
            code, words = next(iter(error.recipients.values()))
            raise self._error(final, f"no recipient is accepted: {code} {_said(words)}") from None
        except smtplib.SMTPResponseException as error:
            raise self._error(
                error.smtp_code >= FINAL, f"{error.smtp_code} {_said(error.smtp_error)}"
            ) from None
        except (smtplib.SMTPNotSupportedError, ssl.SSLCertVerificationError) as error:
            raise self._error(True, str(error)) from None
        except (smtplib.SMTPException, OSError) as error:
            raise self._error(False, str(error) or type(error).__name__) from None
        for code, words in refused.values():
            log.warning(
                "a recipient of a mail was refused",
                channel=self.name,
                code=code,
                answer=MASK.masked(_said(words)),
            )

    def _connection(self, timeout_s: float) -> smtplib.SMTP:
        """A connection that is secured and logged in to, as the URL says."""
        plugin = self._plugin
        context = ssl.create_default_context()
        if not plugin.verify_certificate:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        smtp: smtplib.SMTP
        if plugin.secure_mode == "ssl":
            smtp = smtplib.SMTP_SSL(plugin.smtp_host, plugin.port, timeout=timeout_s, context=context)
        else:
            smtp = smtplib.SMTP(plugin.smtp_host, plugin.port, timeout=timeout_s)
        try:
            if plugin.secure_mode == "starttls":
                smtp.starttls(context=context)
            if plugin.user and plugin.password:
                smtp.login(plugin.user, plugin.password)
        except BaseException:
            smtp.close()
            raise
        return smtp

    def _mail(self, message: Message, dedup_key: str) -> EmailMessage:
        plugin = self._plugin
        name, address = plugin.from_addr
        sender_name, sender_address = email.utils.parseaddr(message.sender or "")
        if "@" not in sender_address:
            sender_name, sender_address = message.sender or "", ""
        address = sender_address or address
        mail = EmailMessage(policy=SMTP)
        mail["From"] = email.utils.formataddr((sender_name or name or "", address))
        mail["To"] = ", ".join(email.utils.formataddr((to or "", target)) for to, target in plugin.targets)
        for header, addresses in (("Cc", plugin.cc), ("Reply-To", plugin.reply_to)):
            if addresses:
                mail[header] = ", ".join(sorted(addresses))
        mail["Subject"] = message.subject
        mail["Date"] = email.utils.localtime()
        # The same for every attempt: mailboxes show a mail that arrives again once.
        unique = hashlib.sha256(dedup_key.encode()).hexdigest()[:32]
        mail["Message-ID"] = f"<{unique}@{address.rpartition('@')[2] or 'kandle'}>"
        mail["Auto-Submitted"] = "auto-generated"
        for header, value in plugin.headers.items():
            mail[header] = value
        mail.set_content(message.text + "\n")
        mail.add_alternative(message.html, subtype="html")
        return mail

    def _error(self, final: bool, why: str) -> ChannelRefusedError | UnavailableError:
        kind = ChannelRefusedError if final else UnavailableError
        return kind(f"channel {self.name}: {MASK.masked(why)}")


def _leave(smtp: smtplib.SMTP) -> None:
    """Take leave; what the server says to that changes nothing of what it took."""
    with contextlib.suppress(smtplib.SMTPException, OSError):
        if smtp.sock is not None:
            smtp.sock.settimeout(LEAVE_S)
        smtp.quit()
    smtp.close()


def is_plain_mail(plugin: Any) -> bool:
    """Whether a plugin of Apprise is one for mails that are not encrypted; those are left to Apprise."""
    return kind_of(plugin) == KIND and str(plugin.pgp_mode) == "no"


def _said(words: bytes | str) -> str:
    text = words.decode(errors="replace") if isinstance(words, bytes) else words
    return " ".join(text.split())[:200]
