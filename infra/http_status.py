"""What an HTTP answer that is not a success means: the error of our tree for each status."""

import datetime as dt
import email.utils
import json
import time
from collections.abc import Mapping
from typing import Final

from schemas.errors import (
    AuthenticationError,
    AuthorizationError,
    ClientError,
    KandleError,
    RateLimitedError,
    ServerError,
)

RETRIABLE: Final = frozenset({500, 502, 503, 504})
WAIT_IF_LIMITED_S: Final = 60.0
"""Where a 429 does not say how long."""
WAIT_IF_BANNED_S: Final = 120.0
"""Where a 418 does not say how long: the shortest ban that venues give."""
LONGEST_WAIT_S: Final = 3 * 86_400.0
"""The longest ban that venues give; what asks for more is not meant so."""
RESET_HEADERS: Final = ("x-gate-ratelimit-reset-timestamp", "x-ratelimit-reset")
"""In which servers that send no `Retry-After` tell when a limit ends, s since the epoch."""
MESSAGE_CHARACTERS: Final = 200


def error_of(
    status: int, headers: Mapping[str, str], body: bytes, where: str, now_s: float | None = None
) -> KandleError:
    """The error that an answer stands for.

    Args:
        status: 400 and above.
        headers: Names in lower case.
        body: Up to its bound.
        where: What was called, for the message; without secrets.
        now_s: Wall clock, s since the epoch; the present by default.
    """
    now_s = time.time() if now_s is None else now_s
    message = f"{where} answers {status}: {_words(body)}"
    wait_s = retry_after_s(headers, now_s)
    if status in {418, 429}:
        banned = status == 418
        if wait_s is None:
            wait_s = WAIT_IF_BANNED_S if banned else WAIT_IF_LIMITED_S
        return RateLimitedError(
            f"{message}; we go on in {wait_s:.0f} s",
            wait_s,
            int((now_s + wait_s) * 1_000_000),
            banned,
            status=status,
        )
    if status >= 500:
        return ServerError(message, status in RETRIABLE, wait_s, status=status)
    kind = {401: AuthenticationError, 403: AuthorizationError}.get(status, ClientError)
    return kind(message, status=status)


def retry_after_s(headers: Mapping[str, str], now_s: float) -> float | None:
    """Seconds that an answer asks us to wait; None where it does not say.

    `Retry-After` is a number or a date; without it, the time of a `RESET_HEADERS` counts. Times are measured
    against the server's own `Date`, where there is one: clocks differ.
    """
    text = headers.get("retry-after", "").strip()
    server_s = _date_s(headers.get("date", ""))
    now_s = now_s if server_s is None else server_s
    wait_s = _number(text)
    if wait_s is None:
        until_s = _date_s(text)
        for name in RESET_HEADERS:
            until_s = _number(headers.get(name, "")) if until_s is None else until_s
        if until_s is None:
            return None
        wait_s = max(0.0, until_s - now_s)
    return min(wait_s, LONGEST_WAIT_S)


def _number(text: str) -> float | None:
    return float(text) if text.isascii() and text.replace(".", "", 1).isdigit() else None


def _date_s(text: str) -> float | None:
    try:
        date = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    return (date if date.tzinfo is not None else date.replace(tzinfo=dt.UTC)).timestamp()


def _words(body: bytes) -> str:
    """What the body says, for people: the message of a JSON error, else its text."""
    text = body[: 16 * MESSAGE_CHARACTERS].decode(errors="replace")
    try:
        error = json.loads(text)
    except ValueError:
        error = None
    if isinstance(error, dict):
        text = next((str(error[name]) for name in ("message", "msg", "label") if error.get(name)), text)
    return " ".join(text.split())[:MESSAGE_CHARACTERS] or "unknown"
