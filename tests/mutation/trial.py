"""Runs tests on a copy of the tree, in a child that is forked off a process that has loaded all libraries.

A start of pytest with what our tests import takes seconds, most of it libraries that no change touches.
"""

import contextlib
import importlib
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

import pytest

ROOT: Final = Path(__file__).parents[2]
PACKAGES: Final = (
    "schemas",
    "infra",
    "producers",
    "processors",
    "sinks",
    "backtest",
    "serve",
    "kandle",
    "tests",
)
OPTIONS: Final = (
    *("-x", "-q", "-p", "no:cacheprovider", "--hypothesis-seed=1"),
    "-Wignore::pytest.PytestAssertRewriteWarning",  # plugins are loaded before, with the libraries
)
POLL_S: Final = 0.02
STEP_S: Final = 10
"""Between the file times of two changes: caches look at whole seconds."""

Verdict = Literal["caught", "survived", "too slow"]


@dataclass(slots=True)
class Copy:
    """A copy of the tree, whose modules may be changed.

    Attributes:
        root: Its folder.
    """

    root: Path
    _changes: int = field(default=0)

    def run(self, tests: Sequence[str], limit_s: float, report: Path | None = None) -> Verdict:
        """Run tests until the first fails; `caught` also if they cannot be loaded.

        Args:
            tests: Paths below the root.
            limit_s: After it they are given up: a change may loop for ever.
            report: Takes the names of the modules that were loaded.
        """
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            self._be_child(tests, report)
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                return "survived" if os.waitstatus_to_exitcode(status) == 0 else "caught"
            time.sleep(POLL_S)
        os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        return "too slow"

    @contextmanager
    def changed(self, path: str, source: str) -> Iterator[None]:
        """A module has another source meanwhile."""
        file = self.root / path
        before = file.read_text("utf-8")
        self._write(file, source)
        try:
            yield
        finally:
            self._write(file, before)

    def _write(self, file: Path, source: str) -> None:
        self._changes += 1
        file.write_text(source, "utf-8")
        moment = 1_000_000_000 + self._changes * STEP_S
        os.utime(file, (moment, moment))

    def _be_child(self, tests: Sequence[str], report: Path | None) -> None:
        code = 3
        try:
            os.setpgid(0, 0)
            os.chdir(self.root)
            sys.path.insert(0, str(self.root))
            with Path(os.devnull).open("r+b") as nothing:
                for stream in (0, 1, 2):
                    os.dup2(nothing.fileno(), stream)
            code = int(pytest.main([*tests, *OPTIONS]))
            if report is not None:
                report.write_text("\n".join(sorted(sys.modules)), "utf-8")
        finally:
            os._exit(code)


@contextmanager
def copied(root: Path = ROOT) -> Iterator[Copy]:
    """A copy of the packages and the tests, removed at the end."""
    with tempfile.TemporaryDirectory(prefix="kandle-mutation-") as folder:
        target = Path(folder) / "tree"
        for package in PACKAGES:
            if (root / package).exists():
                ignored = shutil.ignore_patterns("__pycache__", "results")
                shutil.copytree(root / package, target / package, ignore=ignored)
        shutil.copy(root / "pyproject.toml", target)
        yield Copy(target)


def preload(report: Path) -> None:
    """Load the libraries that a child has loaded, and nothing of ours."""
    for name in report.read_text("utf-8").splitlines():
        if name.partition(".")[0] not in {*PACKAGES, "__main__", "conftest"}:
            # A module that other ones have made has no file of its own.
            with contextlib.suppress(Exception):
                importlib.import_module(name)
