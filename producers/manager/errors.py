"""ccxt's errors as errors of our tree."""

import re
import time
from collections.abc import Iterable
from typing import Final

import aiohttp
import ccxt

from infra.http_status import RETRIABLE, WAIT_IF_BANNED_S, WAIT_IF_LIMITED_S, retry_after_s
from producers.manager.answer import HttpAnswer
from schemas.errors import (
    AuthenticationError,
    AuthorizationError,
    BadAnswerError,
    CallTimeoutError,
    ClientError,
    ConfigurationError,
    KandleError,
    RateLimitedError,
    ServerError,
    UnavailableError,
)

MESSAGE_CHARACTERS: Final = 300

_QUERY: Final = re.compile(r"(https?://[^\s?]+)\?\S*")


def error_of(error: Exception, where: str, answer: HttpAnswer, secrets: Iterable[str] = ()) -> KandleError:
    """The error of our tree that one of ccxt stands for.

    ccxt has one class for a server that is down, a path that is not there and a country that is shut out;
    the status of the answer tells them apart.

    Args:
        error: What a call of ccxt has raised.
        where: Whom was asked for what, for the message.
        answer: The last HTTP answer of the call.
        secrets: Texts that no message may show.
    """
    if isinstance(error, KandleError):
        return error
    message = f"{where}: {_words(error, secrets)}"
    wait_s = retry_after_s(answer.headers, time.time())
    match error:
        case ccxt.RateLimitExceeded() | ccxt.DDoSProtection():
            return _limited(message, wait_s, answer)
        case ccxt.RequestTimeout():
            return CallTimeoutError(message, queued=False)
        case ccxt.InvalidNonce():
            return ClientError(
                f"{message}; our clock differs from the venue's: set it, or raise recv_window_ms"
            )
        case ccxt.PermissionDenied() | ccxt.AccountSuspended() | ccxt.RestrictedLocation():
            return AuthorizationError(message)
        case ccxt.AuthenticationError():
            return AuthenticationError(message)
        case ccxt.InvalidProxySettings():
            return ConfigurationError(message)
        case ccxt.BadResponse():
            return BadAnswerError(message)
        case ccxt.OnMaintenance():
            return ServerError(message, wait_s=wait_s)
        case ccxt.ExchangeNotAvailable():
            return _by_status(message, wait_s, answer)
        case ccxt.OperationFailed() | ccxt.ExchangeError() if (answer.status or 0) >= 500:
            return _by_status(message, wait_s, answer)
        case ccxt.OperationFailed():
            return UnavailableError(message)
        case ccxt.ExchangeError() if isinstance(error.__cause__, aiohttp.ClientError):
            # The connection broke in the middle of an answer.
            return UnavailableError(message)
        case ccxt.ExchangeError():
            return AuthenticationError(message) if answer.status == 401 else ClientError(message)
        case _:
            # What ccxt cannot read makes it stumble, in as many ways as there are answers.
            return BadAnswerError(
                f"{where}: the answer has not the form that was expected ({_words(error, secrets)})"
            )


def _limited(message: str, wait_s: float | None, answer: HttpAnswer) -> RateLimitedError:
    banned = answer.status == 418
    if wait_s is None:
        wait_s = WAIT_IF_BANNED_S if banned else WAIT_IF_LIMITED_S
    reset_at = int((time.time() + wait_s) * 1_000_000)
    return RateLimitedError(f"{message}; we go on in {wait_s:.0f} s", wait_s, reset_at, banned)


def _by_status(message: str, wait_s: float | None, answer: HttpAnswer) -> KandleError:
    match answer.status:
        case None:
            return UnavailableError(f"{message}: no connection")
        case 403 | 451:
            return AuthorizationError(f"{message}; it may not serve the country of this address")
        case status if status >= 500:
            return ServerError(message, status in RETRIABLE, wait_s, status=status)
        case status if status >= 400:
            return ClientError(message, status=status)
        case _:
            return ServerError(message, wait_s=wait_s)


def _words(error: Exception, secrets: Iterable[str]) -> str:
    """What an error says, on one line, without queries (they are signed) and secrets."""
    cause = f" ({error.__cause__})" if isinstance(error.__cause__, OSError | aiohttp.ClientError) else ""
    text = " ".join(f"{error or type(error).__name__}{cause}".split())
    text = _QUERY.sub(r"\1", text)
    for secret in secrets:
        text = text.replace(secret, "***")
    return text if len(text) <= MESSAGE_CHARACTERS else f"{text[:MESSAGE_CHARACTERS]} ..."
