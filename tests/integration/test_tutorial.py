"""The tutorial as a reader follows it: every command in order, a run in one shell, the rest in another."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.kandle_command import endpoints, environment, rows

DOCS = Path(__file__).parents[2] / "docs" / "tutorial"
SETTING_UP = ("make ", "source ", "mkdir ")
"""What has been done where tests run."""
DEADLINE_S = 180.0


class Reader:
    """Somebody with two shells in one folder, who types what the pages say."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._environment = environment() | {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
        self._run: subprocess.Popen[bytes] | None = None

    def follow(self, page: Path) -> None:
        for language, text in re.findall(r"^```(sh|python)\n(.*?)^```", page.read_text(), re.M | re.S):
            if language == "python":
                # Each page says under which name it is saved.
                name = "own_signal.py" if "SignalRule" in text else "own_indicator.py"
                (self._folder / name).write_text(text)
                continue
            for line in text.splitlines():
                self._type(line)

    def _type(self, line: str) -> None:
        if line.startswith(SETTING_UP):
            return
        if line.startswith("export "):
            name, _, value = line.removeprefix("export ").partition("=")
            self._environment[name] = value.strip('"')
        elif line.startswith("kandle up"):
            self.stop()
            with (self._folder / "run.log").open("ab") as log:
                command = [*line.split(), "--no-serve"]
                self._run = subprocess.Popen(
                    command, cwd=self._folder, env=self._environment, stdout=log, stderr=log
                )
            self._until_stored()
        else:
            printed = subprocess.run(
                line, shell=True, cwd=self._folder, env=self._environment, capture_output=True, text=True,
                timeout=DEADLINE_S, check=False,
            )  # fmt: skip
            assert printed.returncode == 0, f"{line}\n{printed.stdout}\n{printed.stderr}"
            assert printed.stdout.strip() or ">" in line, line

    def _until_stored(self) -> None:
        """A reader looks around for a while before the next command; here until signals are stored."""
        assert self._run is not None
        wanted = "indicators" if "KANDLE_PROCESSORS__SIGNALS" not in self._environment else "signals"
        deadline = time.monotonic() + DEADLINE_S
        while True:
            said = (self._folder / "run.log").read_text()
            assert self._run.poll() is None, said
            assert time.monotonic() < deadline, said
            time.sleep(1)
            if not (self._folder / "var" / "endpoints.json").exists():
                continue
            if endpoints(self._folder / "var")["stages"].get("sink", {}).get("state") != "running":
                continue
            found = rows(f"SELECT count(*) AS n FROM {wanted}", self._folder / "var", self._folder)
            if int(found[0]["n"]) > 20:
                return

    def stop(self) -> None:
        if self._run is not None:
            self._run.send_signal(signal.SIGINT)
            assert self._run.wait(60) == 0, (self._folder / "run.log").read_text()
            self._run = None


@pytest.mark.full
def test_the_tutorial_can_be_followed(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    try:
        reader.follow(DOCS / "first-run.md")
        reader.follow(DOCS / "own-signal.md")
    finally:
        reader.stop()
    assert (tmp_path / "candles.csv").read_text().count("\n") > 10
