"""Jars from a Maven repository on this machine: verified, repaired, refused, shared."""

import hashlib
import io
import re
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from rich.console import Console

from infra.embedded import jars
from infra.embedded.errors import DownloadError
from infra.embedded.jars import JarCache, read_lock
from infra.embedded.progress import TerminalProgress

CONTENTS = {"alpha": b"a" * 40_000, "beta": b"b" * 70_000}


class Repository:
    """A Maven repository over HTTP whose files a test may spoil.

    Attributes:
        files: Contents by artifact.
        cuts: How many answers of an artifact end in the middle.
        requests: How often each jar was asked for.
    """

    def __init__(self) -> None:
        self.files = dict(CONTENTS)
        self.cuts: Counter[str] = Counter()
        self.requests: Counter[str] = Counter()
        repository = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = self.path.split("/")[3]
                if not self.path.endswith(".jar"):
                    self.send_error(404)
                    return
                repository.requests[name] += 1
                body = repository.files[name]
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if repository.cuts[name] > 0:
                    repository.cuts[name] -= 1
                    body = body[: len(body) // 2]
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self._thread.join()
        self.server.server_close()


@pytest.fixture
def repository(monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    monkeypatch.setattr(jars, "RETRY_PAUSE_S", 0.0)
    # Neither Maven nor Java is on a user's machine.
    monkeypatch.setenv("PATH", "/nonexistent")
    served = Repository()
    yield served
    served.close()


@pytest.fixture
def cache(tmp_path: Path, repository: Repository) -> JarCache:
    lock = tmp_path / "test.lock"
    lock.write_text(
        "\n".join(
            f'[[dependencies]]\ngroupId = "org.example"\nartifactId = "{name}"\nversion = "1.0"\n'
            f'size = {len(body)}\nsha256 = "{hashlib.sha256(body).hexdigest()}"\n'
            for name, body in CONTENTS.items()
        )
    )
    return JarCache(tmp_path / "cache", lock, {"test": repository.url})


class Recorder:
    """What a progress display would be told."""

    def __init__(self) -> None:
        self.total = self.done = self.waits = self.ends = 0
        self._lock = threading.Lock()

    def started(self, total_bytes: int) -> None:
        self.total = total_bytes

    def waiting(self) -> None:
        self.waits += 1

    def advanced(self, number: int) -> None:
        with self._lock:
            self.done += number

    def finished(self) -> None:
        self.ends += 1


def names(cache: JarCache) -> list[str]:
    return sorted(path.name for path in cache.jar_folder.iterdir())


def test_jars_are_fetched_once_and_the_progress_adds_up(cache: JarCache, repository: Repository) -> None:
    progress = Recorder()
    class_path = cache.ensure(progress)
    assert [path.read_bytes() for path in class_path] == list(CONTENTS.values())
    assert (progress.total, progress.done, progress.ends) == (110_000, 110_000, 1)
    assert names(cache) == ["alpha-1.0.jar", "beta-1.0.jar"]
    assert cache.ensure() == class_path
    assert repository.requests == {"alpha": 1, "beta": 1}


def test_a_changed_file_in_the_cache_is_replaced(cache: JarCache, repository: Repository) -> None:
    alpha, beta = cache.ensure()
    alpha.write_bytes(b"x" * 40_000)
    beta.write_bytes(CONTENTS["beta"][:100])
    cache.ensure()
    assert alpha.read_bytes() == CONTENTS["alpha"]
    assert beta.read_bytes() == CONTENTS["beta"]
    assert repository.requests == {"alpha": 2, "beta": 2}


def test_a_file_with_another_checksum_is_refused_and_the_good_ones_are_kept(
    cache: JarCache, repository: Repository
) -> None:
    repository.files["beta"] = b"B" * 70_000
    with pytest.raises(DownloadError, match=r"org\.example:beta:1\.0 .*expected SHA-256"):
        cache.ensure()
    assert names(cache) == ["alpha-1.0.jar"]
    repository.files["beta"] = CONTENTS["beta"]
    cache.ensure()
    assert repository.requests["alpha"] == 1


def test_a_cut_download_is_repeated(cache: JarCache, repository: Repository) -> None:
    repository.cuts["alpha"] = 1
    progress = Recorder()
    cache.ensure(progress)
    assert repository.requests["alpha"] == 2
    assert progress.done == progress.total


def test_a_download_that_is_cut_always_is_an_error_and_goes_on_later(
    cache: JarCache, repository: Repository
) -> None:
    repository.cuts["alpha"] = 1_000
    with pytest.raises(DownloadError, match="check the network"):
        cache.ensure()
    assert "alpha-1.0.jar" not in names(cache)
    repository.cuts.clear()
    cache.ensure()
    assert names(cache) == ["alpha-1.0.jar", "beta-1.0.jar"]


def test_without_a_network_there_is_an_error_and_not_a_traceback(
    cache: JarCache, repository: Repository
) -> None:
    unreachable = JarCache(cache.folder, cache.lock, {"test": "http://127.0.0.1:9"})
    with pytest.raises(DownloadError, match="could not be downloaded"):
        unreachable.ensure()


def test_what_an_interrupted_download_left_is_removed(cache: JarCache) -> None:
    left = cache.jar_folder / ".partial-abc"
    left.mkdir(parents=True)
    (left / "alpha-1.0.jar").write_bytes(b"half")
    cache.ensure()
    assert names(cache) == ["alpha-1.0.jar", "beta-1.0.jar"]


def test_several_at_once_download_every_file_once(cache: JarCache, repository: Repository) -> None:
    with ThreadPoolExecutor(4) as pool:
        results = {future.result() for future in [pool.submit(cache.ensure) for _ in range(4)]}
    assert len(results) == 1
    assert repository.requests == {"alpha": 1, "beta": 1}


def test_the_committed_lock_names_kafka_with_checksums_and_no_host() -> None:
    locked = read_lock()
    assert "org.apache.kafka:kafka_2.13:4.3.1" in [jar.coordinates for jar in locked]
    assert all(re.fullmatch("[0-9a-f]{64}", jar.sha256) and jar.size > 0 for jar in locked)
    assert len({jar.file_name for jar in locked}) == len(locked)
    assert "://" not in jars.LOCK_FILE.read_text()


def test_a_download_is_a_bar_in_a_terminal_and_a_line_elsewhere() -> None:
    shown = {}
    for is_terminal in (True, False):
        output = io.StringIO()
        console = Console(file=output, force_terminal=is_terminal, width=120)
        progress = TerminalProgress(console=console)
        progress.started(45_000_000)
        progress.advanced(45_000_000)
        progress.finished()
        shown[is_terminal] = output.getvalue()
    assert "45.0/45.0 MB" in shown[True]
    assert shown[False] == "downloading Apache Kafka (45 MB, this once) ...\n"
