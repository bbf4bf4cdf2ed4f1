"""The tree of errors: every error that Kandle raises on purpose derives from `KandleError`.

    KandleError                      root; `code` and `retriable` say what a caller should do
    ├── ConfigurationError           settings, arguments or an installation are wrong: tell the user, exit 2
    ├── UnavailableError             something outside is away: retry with backoff (retriable)
    │   ├── CallTimeoutError         no answer in time
    │   ├── RateLimitedError         we are told to wait, until `reset_at`
    │   ├── ServerError              the other side has failed (5xx); `retriable` depends on the status
    │   ├── BadAnswerError           an answer that is none: HTML, a bomb, a redirect to another host
    │   └── BreakerOpenError         calls are suspended: not before `retry_in_s`
    ├── RefusedError                 the other side has understood and refuses: do not repeat it
    │   ├── AuthenticationError      it does not know who we are (401)
    │   ├── AuthorizationError       it knows, and we may not (403)
    │   └── ClientError              what we asked is wrong (other 4xx)
    ├── DataError                    a value is wrong: send it to the dead letters, go on
    │   ├── DecodeError              bytes that are not what the contract says
    │   └── ValidationError          decoded, but against a rule of the domain
    ├── ConflictError                another process holds it, or what is stored contradicts us: stop
    └── ResourceError                disk, memory or ports are exhausted: stop, tell the user

Messages say what was expected, what came and what to do next.
"""

from typing import ClassVar


class KandleError(Exception):
    """Root of all errors raised on purpose.

    Args:
        *args: The message for people, as of any exception.
        **context: Details by name, for logs and events.

    Attributes:
        code: Stable name for logs and metrics, upper case.
        retriable: Whether the same call may succeed later.
        exit_code: What the `kandle` command returns when the error ends it.
    """

    code: ClassVar[str] = "ERROR"
    retriable: bool = False
    exit_code: ClassVar[int] = 1

    def __init__(self, *args: object, **context: object) -> None:
        super().__init__(*args)
        self.context = context


class ConfigurationError(KandleError):
    """Settings, arguments or the installation are wrong; the user can mend it."""

    code = "CONFIGURATION"
    exit_code = 2


class UnavailableError(KandleError):
    """A network, broker, database or venue is away; try again later."""

    code = "UNAVAILABLE"
    retriable = True


class CallTimeoutError(UnavailableError):
    """A call was not answered in time, its wait for a place included."""

    code = "TIMEOUT"


class RateLimitedError(UnavailableError):
    """A budget is spent; more calls before `reset_at` make it worse.

    Args:
        message: For people.
        wait_s: How long to wait, s.
        reset_at: When the wait is over, µs since the epoch.
        banned: Whether the other side has shut us out for going on regardless (418).
        **context: Details by name.
    """

    code = "RATE_LIMITED"

    def __init__(
        self, message: str, wait_s: float, reset_at: int, banned: bool = False, **context: object
    ) -> None:
        super().__init__(message, **context)
        self.wait_s = wait_s
        self.reset_at = reset_at
        self.banned = banned


class ServerError(UnavailableError):
    """The other side has failed.

    Args:
        message: For people.
        retriable: Whether it may succeed later: 500, 502, 503 and 504.
        wait_s: How long it asks us to stay away, s; None if it does not say.
        **context: Details by name.
    """

    code = "SERVER"

    def __init__(
        self, message: str, retriable: bool = True, wait_s: float | None = None, **context: object
    ) -> None:
        super().__init__(message, **context)
        self.retriable = retriable
        self.wait_s = wait_s


class BadAnswerError(UnavailableError):
    """What came is no answer: a page for people, a body without end, a redirect to another host.

    Args:
        message: For people.
        retriable: Whether it may pass, as a page that announces maintenance does.
        **context: Details by name.
    """

    code = "BAD_ANSWER"

    def __init__(self, message: str, retriable: bool = False, **context: object) -> None:
        super().__init__(message, **context)
        self.retriable = retriable


class BreakerOpenError(UnavailableError):
    """Too many calls have failed; none is made before `retry_in_s` seconds have passed."""

    code = "BREAKER_OPEN"

    def __init__(self, message: str, retry_in_s: float, **context: object) -> None:
        super().__init__(message, **context)
        self.retry_in_s = retry_in_s


class RefusedError(KandleError):
    """The other side has understood and refuses; the same call would be refused again."""

    code = "REFUSED"


class AuthenticationError(RefusedError):
    """The other side does not know who we are: a key is missing or wrong."""

    code = "AUTHENTICATION"


class AuthorizationError(RefusedError):
    """The other side knows who we are, and we may not."""

    code = "AUTHORIZATION"


class ClientError(RefusedError):
    """What we asked for is wrong or does not exist."""

    code = "CLIENT"


class DataError(KandleError):
    """A record or frame is wrong; it belongs to the dead letters and must not stop the others."""

    code = "DATA"


class DecodeError(DataError):
    """Bytes do not follow the contract: wrong magic byte, unknown schema id, cut or trailing bytes."""

    code = "DECODE"


class ValidationError(DataError):
    """A decoded value breaks a rule of the domain: a negative price, a time out of range."""

    code = "VALIDATION"


class ConflictError(KandleError):
    """Another process holds what we need, or what is stored contradicts what we were told."""

    code = "CONFLICT"


class ResourceError(KandleError):
    """Disk, memory, ports or file handles are exhausted."""

    code = "RESOURCE"
