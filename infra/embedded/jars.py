"""Kafka's jars: which ones (`kafka.lock`), and a verified copy of them in the user's cache.

jgo fetches them from Maven repositories without Maven or Java. Every file is compared with the SHA-256 of the
lock before it gets its name, and again at every start, so that neither a cut download nor a changed file is
ever run. What was verified is kept, so that a broken download goes on where it ended.
"""

import fcntl
import hashlib
import os
import shutil
import tempfile
import time
import tomllib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from infra.embedded.errors import DownloadError, ServerNotInstalledError
from infra.extras import remedy

LOCK_FILE = Path(__file__).with_name("kafka.lock")
NOT_INSTALLED = (
    f"Kafka's installer (jgo) is not installed; {remedy('embedded')}; or set KAFKA_BOOTSTRAP_SERVERS"
)
THREADS = 4
ATTEMPTS = 3
RETRY_PAUSE_S = 0.5
TIMEOUT_S = 30


@dataclass(frozen=True, slots=True)
class Jar:
    """One entry of the lock: Maven coordinates, size in bytes, SHA-256 in hexadecimal."""

    group: str
    artifact: str
    version: str
    size: int
    sha256: str

    @property
    def coordinates(self) -> str:
        """As Maven writes them."""
        return f"{self.group}:{self.artifact}:{self.version}"

    @property
    def file_name(self) -> str:
        """Name of the file in the cache."""
        return f"{self.artifact}-{self.version}.jar"

    def verifies(self, path: Path) -> bool:
        """Whether the file exists and has the right contents."""
        return path.is_file() and path.stat().st_size == self.size and sha256_of(path) == self.sha256


class Progress(Protocol):
    """Told how a download goes, from several threads."""

    def started(self, total_bytes: int) -> None:
        """A download of this many bytes begins."""

    def waiting(self) -> None:
        """Another process is downloading the same files; we wait for it."""

    def advanced(self, number: int) -> None:
        """This many bytes more have come; negative when a file is begun anew."""

    def finished(self) -> None:
        """The download has ended, well or not."""


def sha256_of(path: Path) -> str:
    """SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_lock(path: Path = LOCK_FILE) -> tuple[Jar, ...]:
    """The jars of a lock file, in the order of the class path."""
    entries: list[dict[str, Any]] = tomllib.loads(path.read_text())["dependencies"]
    return tuple(
        Jar(entry["groupId"], entry["artifactId"], entry["version"], entry["size"], entry["sha256"])
        for entry in entries
    )


@dataclass(frozen=True, slots=True)
class JarCache:
    """Verified jars below a cache folder.

    Attributes:
        folder: The user's cache folder of Kandle.
        lock: Lock file that names the jars.
        repositories: Maven repositories by name; None: those of the user's jgo configuration, then Central.
    """

    folder: Path
    lock: Path = LOCK_FILE
    repositories: dict[str, str] | None = None

    @classmethod
    def of_user(cls) -> "JarCache":
        """The cache in the user's cache folder.

        Raises:
            ServerNotInstalledError: The extra `embedded` is not installed.
        """
        try:
            import platformdirs
        except ImportError as error:
            raise ServerNotInstalledError(NOT_INSTALLED) from error
        return cls(platformdirs.user_cache_path("kandle"))

    @property
    def jar_folder(self) -> Path:
        """Where the jars lie; another folder for every lock."""
        return self.folder / f"kafka-{sha256_of(self.lock)[:12]}"

    def missing(self) -> list[Jar]:
        """Jars that are not there, or not as the lock says. Reads every file, 0.1 s."""
        return [jar for jar in read_lock(self.lock) if not jar.verifies(self.jar_folder / jar.file_name)]

    def ensure(self, progress: Progress | None = None) -> tuple[Path, ...]:
        """Class path of verified jars; downloads what is missing, so that it may block for minutes.

        Several processes may call it at once: one downloads, the others wait for it.

        Raises:
            DownloadError: A jar could not be fetched or is not what the lock says. What was verified is kept.
            ServerNotInstalledError: jgo is not installed, or the cache folder cannot be written to.
        """
        if self.missing():
            try:
                self.jar_folder.mkdir(parents=True, exist_ok=True)
                with _exclusive(self.folder / "kafka.download", progress):
                    self._download(self.missing(), progress)
            except OSError as error:
                raise ServerNotInstalledError(
                    f"the cache folder {self.folder} cannot be written to: {error}"
                ) from error
        return tuple(self.jar_folder / jar.file_name for jar in read_lock(self.lock))

    def _download(self, jars: Sequence[Jar], progress: Progress | None) -> None:
        for stale in self.jar_folder.glob(".partial-*"):
            # We hold the lock: nobody works there any more.
            shutil.rmtree(stale)
        if not jars:
            return
        if progress is not None:
            progress.started(sum(jar.size for jar in jars))
        try:
            with tempfile.TemporaryDirectory(prefix=".partial-", dir=self.jar_folder) as partial:
                pool = ThreadPoolExecutor(THREADS, "jar")
                try:
                    futures = [pool.submit(self._fetch, jar, Path(partial), progress) for jar in jars]
                    for future in futures:
                        future.result()
                finally:
                    # After the first failure, or Ctrl-C, no further file is begun.
                    pool.shutdown(cancel_futures=True)
        finally:
            if progress is not None:
                progress.finished()

    def _fetch(self, jar: Jar, partial: Path, progress: Progress | None) -> None:
        problem = ""
        for attempt in range(ATTEMPTS):
            time.sleep(attempt * RETRY_PAUSE_S)
            folder = partial / f"{jar.artifact}-{attempt}"
            try:
                path = _resolve(jar, folder, self.repositories, progress)
            except ImportError as error:
                raise ServerNotInstalledError(NOT_INSTALLED) from error
            except (OSError, RuntimeError) as error:
                # requests' errors are OSErrors; jgo's own are RuntimeErrors.
                problem = f"{type(error).__name__}: {error}"
            else:
                if jar.verifies(path):
                    os.replace(path, self.jar_folder / jar.file_name)
                    return
                problem = f"expected SHA-256 {jar.sha256} of {jar.size} bytes, got {sha256_of(path)}"
                problem += f" of {path.stat().st_size} bytes"
            if progress is not None:
                progress.advanced(-sum(file.stat().st_size for file in folder.rglob("*.jar")))
        raise DownloadError(
            f"{jar.coordinates} could not be downloaded ({problem}): check the network and try again; "
            "a Maven mirror can be named in jgo's configuration"
        )


def _resolve(jar: Jar, folder: Path, repositories: dict[str, str] | None, progress: Progress | None) -> Path:
    """Let jgo fetch one jar into a folder of its own."""
    # Not at the top: it takes 0.3 s, and only the first start downloads.
    from jgo.config import GlobalSettings
    from jgo.constants import MAVEN_CENTRAL_URL
    from jgo.maven import MavenContext, PythonResolver

    @contextmanager
    def counted(_name: str, _size: int) -> Iterator[Any]:
        yield progress.advanced if progress is not None else (lambda _number: None)

    if repositories is None:
        repositories = {**GlobalSettings.load().repositories, "central": MAVEN_CENTRAL_URL}
    context = MavenContext(
        resolver=PythonResolver(progress_callback=counted),
        repo_cache=folder,
        local_repos=[],
        remote_repos=repositories,
        timeout=TIMEOUT_S,
    )
    component = context.project(jar.group, jar.artifact).at_version(jar.version)
    return Path(component.artifact(packaging="jar").resolve())


@contextmanager
def _exclusive(path: Path, progress: Progress | None) -> Iterator[None]:
    """Hold a lock file; waits for who holds it."""
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if progress is not None:
                progress.waiting()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
