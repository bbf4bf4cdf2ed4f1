"""S3, what speaks its language, and Google Cloud Storage as the archive's store, by obstore."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    InvalidPathError,
    NotSupportedError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
    UnknownConfigurationKeyError,
)
from obstore.store import from_url

from infra.settings import ArchiveSettings
from schemas.errors import ConfigurationError, UnavailableError
from sinks.archive.store import Store

TIMEOUT: Final = timedelta(seconds=60)
"""Of one request."""
RETRY: Final[Any] = {
    "max_retries": 3,
    "retry_timeout": timedelta(seconds=20),
    "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=5), "base": 2},
}
"""Of one call; the runner goes on trying after it."""
LASTING: Final = (
    InvalidPathError,
    NotSupportedError,
    PermissionDeniedError,
    UnauthenticatedError,
    UnknownConfigurationKeyError,
)


class ObjectStore(Store):
    """A bucket, or what lies below a prefix in it.

    Args:
        url: s3://bucket/prefix or gs://bucket/prefix.
        settings: Endpoint and credentials, where the environment does not give them.

    Raises:
        ConfigurationError: The URL or the credentials cannot be used.
    """

    def __init__(self, url: str, settings: ArchiveSettings) -> None:
        self.url = url
        given: dict[str, Any] = {}
        options: Any = {"timeout": TIMEOUT}
        if url.startswith("s3://"):
            given = _of_s3(settings)
            options["allow_http"] = bool(settings.endpoint and settings.endpoint.startswith("http://"))
        elif settings.service_account is not None:
            given["service_account"] = str(settings.service_account)
        try:
            self._store: Any = from_url(url, client_options=options, retry_config=RETRY, **given)
        except (BaseError, ValueError) as error:
            raise ConfigurationError(f"the archive at {url} cannot be used: {_first_line(error)}") from error

    def put(self, path: str, data: bytes) -> None:
        """One request."""
        with self._reaching(path):
            obstore.put(self._store, path, data, use_multipart=False)

    def create(self, path: str, data: bytes) -> bool:
        """One request, on the condition that there is no such object."""
        with self._reaching(path):
            try:
                obstore.put(self._store, path, data, mode="create", use_multipart=False)
            except (AlreadyExistsError, PreconditionError):
                return False
        return True

    def get(self, path: str) -> bytes | None:
        """One request."""
        with self._reaching(path):
            try:
                return obstore.get(self._store, path).bytes().to_bytes()
            except FileNotFoundError:
                return None

    def size(self, path: str) -> int | None:
        """One request for the head."""
        with self._reaching(path):
            try:
                return int(obstore.head(self._store, path)["size"])
            except FileNotFoundError:
                return None

    def move(self, source: str, target: str) -> bool:
        """Copy within the store, then delete."""
        with self._reaching(target):
            try:
                obstore.copy(self._store, source, target)
            except FileNotFoundError:
                return False
        self.delete(source)
        return True

    def delete(self, path: str) -> None:
        """One request."""
        with self._reaching(path), contextlib.suppress(FileNotFoundError):
            obstore.delete(self._store, path)

    def files(self, folder: str) -> Iterator[tuple[str, int]]:
        """List by prefix, a thousand at a time."""
        with self._reaching(folder):
            for chunk in obstore.list(self._store, folder, chunk_size=1000):
                yield from ((found["path"], int(found["size"])) for found in chunk)

    def folders(self, folder: str) -> list[str]:
        """List by prefix and delimiter."""
        with self._reaching(folder):
            found = obstore.list_with_delimiter(self._store, folder or None)
        return sorted(name.rstrip("/").rpartition("/")[2] for name in found["common_prefixes"])

    @contextlib.contextmanager
    def _reaching(self, path: str) -> Iterator[None]:
        try:
            yield
        except (BaseError, FileNotFoundError) as error:
            said = f"the archive at {self.url} fails at {path}: {_first_line(error)}"
            if isinstance(error, (*LASTING, FileNotFoundError)):
                raise ConfigurationError(
                    f"{said}; is there such a bucket, and may these credentials use it?"
                ) from error
            raise UnavailableError(said) from error


def _of_s3(settings: ArchiveSettings) -> dict[str, Any]:
    secret = {"access_key_id": settings.access_key_id, "secret_access_key": settings.secret_access_key}
    plain = {"endpoint": settings.endpoint, "region": settings.region}
    return {name: value.get_secret_value() for name, value in secret.items() if value is not None} | {
        name: value for name, value in plain.items() if value is not None
    }


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
