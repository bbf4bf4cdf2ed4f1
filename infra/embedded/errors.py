"""What can go wrong with embedded servers and supervised processes.

KandleError
├── UnavailableError
│   └── DownloadError               jars could not be fetched, or are not what the lock says
├── ConflictError
│   └── DirectoryLockedError        another process holds the data directory
├── ResourceError
│   └── DiskFullError               the disk has no room left, or the budget is used up
├── ConfigurationError
│   └── ServerNotInstalledError     the extra `embedded` is missing, or does not fit the data directory
└── ChildFailedError                a process could not be started, or died too often
"""

from schemas.errors import ConfigurationError, ConflictError, KandleError, ResourceError, UnavailableError


class DownloadError(UnavailableError):
    """Jars could not be fetched or have another checksum than the lock; what was verified is kept."""

    code = "DOWNLOAD"


class DirectoryLockedError(ConflictError):
    """Another process uses the data directory.

    Attributes:
        pid: The holder's process id; None when it could not be read.
    """

    code = "DIRECTORY_LOCKED"

    def __init__(self, message: str, pid: int | None) -> None:
        super().__init__(message)
        self.pid = pid


class DiskFullError(ResourceError):
    """There is no room: the disk is nearly full or the data exceed their budget."""

    code = "DISK_FULL"


class ServerNotInstalledError(ConfigurationError):
    """A package of the extra `embedded` is missing, or is older than what wrote the data directory."""

    code = "SERVER_NOT_INSTALLED"


class ChildFailedError(KandleError):
    """A process did not become ready, or died again and again; the message ends with the tail of its log."""

    code = "CHILD_FAILED"
