"""Keeps the secrets of addresses out of logs and errors."""

from __future__ import annotations

import logging
import re
import urllib.parse
from typing import Final

SHORTEST: Final = 6
"""Words shorter than this are no secrets, and occur everywhere."""
HIDDEN: Final = "***"


def secrets_of(url: str) -> set[str]:
    """What of an address may be secret: all of it, user, password, path, query, a host that is a token."""
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError:
        return {url}
    network, _, host = parts.netloc.rpartition("@")
    words = [*re.split(r"[:@]", network), *parts.path.split("/")]
    words += [value for _, value in urllib.parse.parse_qsl(parts.query)]
    words += [pair.partition("=")[2] for pair in parts.query.split("&")]
    if "." not in host and not host.startswith("localhost"):
        words.append(host)
    # Libraries write a URL anew: in another form than that in which it came.
    plain = {form for word in words for form in (word, urllib.parse.unquote(word)) if len(form) >= SHORTEST}
    return {url} | plain | {urllib.parse.quote(word, safe="") for word in plain}


class Mask(logging.Filter):
    """Replaces secrets in texts and, as a filter of a logger, in what it logs."""

    def __init__(self) -> None:
        super().__init__()
        self._secrets: set[str] = set()

    def hide(self, url: str) -> None:
        """Know the secrets of an address from now on."""
        self._secrets |= secrets_of(url)

    def masked(self, text: str) -> str:
        """A text without secrets."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, HIDDEN)
        return text

    def filter(self, record: logging.LogRecord) -> bool:
        """Mask a record; all of them pass."""
        record.msg, record.args = self.masked(record.getMessage()), ()
        return True


MASK: Final = Mask()
"""The one of this process."""
TALKATIVE: Final = ("apprise", "urllib3.connectionpool", "httpcore2.connection", "httpcore2.http11")
"""Loggers of libraries that write addresses."""
for _name in TALKATIVE:
    logging.getLogger(_name).addFilter(MASK)
