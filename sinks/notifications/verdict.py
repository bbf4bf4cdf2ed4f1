"""What an answer of a channel's server means for a message: later, or never."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping
from typing import Any, Final

from infra.http_status import error_of
from infra.outbound_watch import SeenAnswer
from infra.secrets import MASK
from schemas.errors import KandleError, RateLimitedError, ServerError, UnavailableError
from sinks.notifications.channel import ChannelBusyError, ChannelRefusedError

MAY_PASS: Final = frozenset({408, 425})
"""4xx that a later attempt may not get: too slow, too early."""
FINAL_WORDS: Final = frozenset(
    {
        "account_inactive",
        "channel_is_archived",
        "channel_not_found",
        "invalid_auth",
        "is_archived",
        "missing_scope",
        "no_permission",
        "not_authed",
        "not_in_channel",
        "org_login_required",
        "restricted_action",
        "token_expired",
        "token_revoked",
        "user_not_found",
    }
)
"""What Slack says with status 200 when it refuses for good."""
WAITING_WORDS: Final = frozenset({"ratelimited", "rate_limited"})


def verdict(status: int, headers: Mapping[str, str], body: bytes, where: str) -> KandleError:
    """The error that an answer other than a success stands for.

    Args:
        status: 300 and above, or a success whose body says otherwise.
        headers: Names in lower case.
        body: Its beginning.
        where: Name of the channel.

    Returns:
        ChannelBusyError, ChannelRefusedError, or UnavailableError.
    """
    text = _plain(body, headers)
    said = _json(text)
    if status < 300:
        return _despite_success(status, said, where)
    if status < 400:
        return ChannelRefusedError(f"{where} answers {status}, a redirect; redirects are not followed")
    if "retry-after" not in headers and (wait_s := _wait_in_body(said)) is not None:
        headers = {**headers, "retry-after": f"{wait_s:g}"}
    error = error_of(status, headers, text, where)
    message = MASK.masked(str(error))
    if isinstance(error, RateLimitedError):
        return ChannelBusyError(message, error.wait_s)
    if isinstance(error, ServerError) and error.retriable:
        return UnavailableError(message) if error.wait_s is None else ChannelBusyError(message, error.wait_s)
    return UnavailableError(message) if status in MAY_PASS else ChannelRefusedError(message)


def verdict_of_all(answers: Iterable[SeenAnswer], where: str) -> KandleError:
    """The error of a failed call that made several requests: a wait counts most, then what may pass."""
    errors = [verdict(each.status, each.headers, bytes(each.body), where) for each in answers]
    for kind in (ChannelBusyError, UnavailableError):
        failures = [error for error in errors if isinstance(error, kind)]
        if failures:
            return max(failures, key=lambda error: getattr(error, "retry_after_s", 0.0))
    return errors[-1]


def _despite_success(status: int, said: Any, where: str) -> KandleError:
    word = str(said.get("error", "")) if isinstance(said, dict) else ""
    if word in FINAL_WORDS:
        return ChannelRefusedError(f"{where} refuses: {word}")
    if word in WAITING_WORDS:
        return ChannelBusyError(f"{where} asks us to wait: {word}", _wait_in_body(said) or 60.0)
    shown = f": {MASK.masked(word)}" if word else ""
    return UnavailableError(f"{where} answers {status}, but did not take the message{shown}")


def _wait_in_body(said: Any) -> float | None:
    """The pause that a body names: Telegram's under `parameters`, Discord's at the top."""
    if not isinstance(said, dict):
        return None
    below = said.get("parameters")
    for place in (said, below if isinstance(below, dict) else {}):
        wait = place.get("retry_after")
        if isinstance(wait, int | float) and not isinstance(wait, bool) and wait >= 0:
            return float(wait)
    return None


def _json(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _plain(body: bytes, headers: Mapping[str, str]) -> bytes:
    if headers.get("content-encoding", "").lower() not in {"gzip", "deflate"}:
        return body
    try:
        return zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(body, 4 * len(body) + 1024)
    except zlib.error:
        return b""
