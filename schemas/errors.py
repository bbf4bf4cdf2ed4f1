"""The tree of errors: every error that Kandle raises on purpose derives from `KandleError`.

    KandleError                      root; `code` and `retriable` say what a caller should do
    ├── ConfigurationError           settings, arguments or an installation are wrong: tell the user, exit 2
    ├── UnavailableError             something outside is away: retry with backoff (retriable)
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

    Attributes:
        code: Stable name for logs and metrics, upper case.
        retriable: Whether the same call may succeed later.
        exit_code: What the `kandle` command returns when the error ends it.
    """

    code: ClassVar[str] = "ERROR"
    retriable: ClassVar[bool] = False
    exit_code: ClassVar[int] = 1


class ConfigurationError(KandleError):
    """Settings, arguments or the installation are wrong; the user can mend it."""

    code = "CONFIGURATION"
    exit_code = 2


class UnavailableError(KandleError):
    """A network, broker, database or venue is away; try again later."""

    code = "UNAVAILABLE"
    retriable = True


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
