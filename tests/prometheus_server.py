"""A real Prometheus for tests: the rules of the product, and a configuration made of the product's."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from infra.embedded.ports import free_ports

FOLDER = Path(__file__).parents[1] / "infra" / "prometheus"
SCRAPE_S = 1.0


@dataclass(frozen=True)
class Prometheus:
    """A server that runs."""

    url: str

    def get(self, path: str, **arguments: object) -> Any:
        """The data of an answer.

        Raises:
            AssertionError: It refused.
        """
        query = urllib.parse.urlencode(arguments)
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{query}", timeout=30) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{path} {arguments}: {error.read().decode()}") from error

    def series(self, promql: str, begin: float, end: float, step_s: float = 1.0) -> list[dict[str, Any]]:
        """The series of a range."""
        found: list[dict[str, Any]] = self.get(
            "query_range", query=promql, start=begin, end=end, step=step_s
        )["result"]
        return found

    def now(self, promql: str) -> list[dict[str, Any]]:
        """The newest values."""
        found: list[dict[str, Any]] = self.get("query", query=promql)["result"]
        return found


@contextmanager
def prometheus(folder: Path, targets: Path) -> Iterator[Prometheus]:
    """Run Prometheus by `local.yml`, but scraping and judging every second.

    Args:
        folder: Empty; its data and configuration.
        targets: What `kandle up` writes.
    """
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("prometheus is not installed: apt-get install prometheus")
    text = (FOLDER / "local.yml").read_text()
    for old, new in (
        ("interval: 5s", f"interval: {SCRAPE_S:g}s"),
        ("scrape_timeout: 4s", f"scrape_timeout: {SCRAPE_S:g}s"),
        ("../../var/prometheus/targets.json", str(targets)),
        ("rules/*.yml", str(FOLDER / "rules" / "*.yml")),
    ):
        assert old in text, old
        text = text.replace(old, new)
    configuration = folder / "prometheus.yml"
    configuration.write_text(text)
    (port,) = free_ports(1)
    with (folder / "prometheus.log").open("wb") as log:
        running = subprocess.Popen(
            [
                program,
                f"--config.file={configuration}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 20
        while not _is_ready(url):
            assert running.poll() is None, (folder / "prometheus.log").read_text()
            assert time.monotonic() < deadline, (folder / "prometheus.log").read_text()
            time.sleep(0.05)
        yield Prometheus(url)
    finally:
        running.terminate()
        running.wait(timeout=20)


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/-/ready", timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
