"""The measurement of the sinks, small: that it ends, and with which figures."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.full
def test_a_small_run_ends_with_figures() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KANDLE_")}
    arguments = ("--json", "--trades", "400000", "--rounds", "1", "--seconds", "2")
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.sinks", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["rows_per_s"] > 1_000
    assert figures["ratio_to_copy"] > 0
    assert set(figures["peers"]) == {"copy_binary", "copy_text_rows", "executemany"}
    assert all(peer["rows_per_s"] > 100 for peer in figures["peers"].values())
    assert 0 < figures["latency"]["visible"]["p50_ms"] <= figures["latency"]["visible"]["p99_ms"]
    assert 40 < figures["bytes_per_row"] < 200
    assert figures["versions"]["fsync"] == figures["versions"]["synchronous_commit"] == "on"
