"""The measurement of producers, small: its server, its waiting, and the count of what a run must bring."""

import subprocess
import sys

import pytest

from tests.bench.producers import await_start, measure, serving


@pytest.mark.full
def test_a_small_run_ends_with_figures() -> None:
    figures = measure(20_000, 3)
    assert figures["trades_per_s"] > 1_000
    assert 0 < figures["cpu_s_per_million"] < 1_000
    assert figures["rss_mb"] > 10


def test_a_client_that_ends_before_it_is_served_is_told() -> None:
    with (
        serving(10, 1) as (_, server),
        subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"]) as child,
        pytest.raises(RuntimeError, match="ended with 3 before it was served"),
    ):
        await_start(server, child)
