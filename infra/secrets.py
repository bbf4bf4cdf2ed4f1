"""Keeps secrets out of logs, messages and errors: those of the settings by value, others by their form.

Settings are learnt when they are loaded (`learn`), addresses of channels when these are made (`Mask.hide`).
What is written for people or sent on passes `Mask.masked`: every line of the log, errors of commands,
tracebacks, dead letters, events.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import traceback
import urllib.parse
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, Final

from pydantic import BaseModel, SecretStr

SHORTEST: Final = 6
"""Words shorter than this are no secrets, and occur everywhere."""
HIDDEN: Final = "***"

_QUOTE: Final = r"(?:\\?[\"'])?"
_ESCAPED: Final = r"\\[^\s\"'nrt]"
"""Within JSON, whose own backslashes and quotes have to stay."""
_OF_URL: Final = re.compile(r"(?<=://)([^\s/@:\"']*):([^\s/@\"']+)@")
_NAMED: Final = re.compile(
    r"(?i)\b((?:\w*[_-])?(?:password|passwd|secret|token|passphrase|api[_-]?key|access[_-]?key|signature))"
    rf"=({_QUOTE})(?:[^\s&\"',;)\\]|{_ESCAPED})+"
)
_OF_HEADER: Final = re.compile(
    rf"(?i)\b(authorization|x-api-key)({_QUOTE}\s*:\s*{_QUOTE})(?:\w+ )?(?:[^\s\"',\\]|{_ESCAPED})+"
)
_SECRET_NAME: Final = re.compile(r"(?i)pass|pwd|secret|token|key|sig|auth|credential")


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
    return {url} | _forms(plain)


def password_of(url: str) -> set[str]:
    """The password of a server's address, and those that its query holds."""
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError:
        return {url}
    _, _, password = parts.netloc.rpartition("@")[0].partition(":")
    # Others, as `sslmode=require`, are words that any line may have.
    named = [value for name, value in urllib.parse.parse_qsl(parts.query) if _SECRET_NAME.search(name)]
    words = [password, *named]
    plain = {form for word in words for form in (word, urllib.parse.unquote(word)) if len(form) >= SHORTEST}
    return _forms(plain)


def _forms(words: Iterable[str]) -> set[str]:
    """Words as they are, and as addresses, JSON and Python's own notation have them."""
    known = set(words)
    written = {urllib.parse.quote(word, safe="") for word in known} | {repr(word)[1:-1] for word in known}
    for ascii_only in (True, False):
        written |= {json.dumps(word, ensure_ascii=ascii_only)[1:-1] for word in known}
    return known | written


class Mask(logging.Filter):
    """Replaces secrets in texts and, as a filter of a logger, in what it logs."""

    def __init__(self) -> None:
        super().__init__()
        self._secrets: set[str] = set()
        self._ordered: list[str] = []

    def hide(self, url: str) -> None:
        """Know the secrets of a channel's address from now on."""
        self._add(secrets_of(url))

    def learn(self, settings: BaseModel) -> None:
        """Know the secrets of settings from now on."""
        for path, secret in _secrets_in(settings, ()):
            text = secret.get_secret_value()
            if "notifications" in path:
                self.hide(text)
            elif "://" in text:
                self._add(password_of(text))
            else:
                # Headers are pairs: each value is a secret of its own.
                pairs = [pair.partition("=")[2].strip() for pair in text.split(",")]
                self._add(_forms(word for word in (text, *pairs) if len(word) >= SHORTEST))

    def masked(self, text: str) -> str:
        """A text without secrets."""
        for secret in self._ordered:
            if secret in text:
                text = text.replace(secret, HIDDEN)
        if "://" in text:
            text = _OF_URL.sub(rf"\1:{HIDDEN}@", text)
        text = _NAMED.sub(rf"\1=\2{HIDDEN}", text)
        return _OF_HEADER.sub(rf"\1\2{HIDDEN}", text)

    def filter(self, record: logging.LogRecord) -> bool:
        """Mask a record; all of them pass."""
        record.msg, record.args = self.masked(record.getMessage()), ()
        return True

    def _add(self, secrets: set[str]) -> None:
        self._secrets |= secrets
        # The longest first: one may be part of another.
        self._ordered = sorted(self._secrets, key=len, reverse=True)


def _secrets_in(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], SecretStr]]:
    if isinstance(value, SecretStr):
        yield path, value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _secrets_in(getattr(value, name), (*path, name))
    elif isinstance(value, dict):
        for name, each in value.items():
            yield from _secrets_in(each, (*path, str(name)))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _secrets_in(each, path)


MASK: Final = Mask()
"""The one of this process."""
TALKATIVE: Final = ("apprise", "urllib3.connectionpool", "httpcore2.connection", "httpcore2.http11")
"""Loggers of libraries that write addresses."""
for _name in TALKATIVE:
    logging.getLogger(_name).addFilter(MASK)


def write_traceback(kind: type[BaseException], error: BaseException, where: TracebackType | None, /) -> None:
    """Print a traceback without secrets: for `sys.excepthook`."""
    sys.stderr.write(MASK.masked("".join(traceback.format_exception(kind, error, where))))
