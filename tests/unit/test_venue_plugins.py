"""Venues of the user: found by a setting, and refused where they take a name."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kandle_command import environment

TAKEN = """
from producers.exchanges.binance import BinanceSpot


class Mine(BinanceSpot):
    venue = "gateio"
    market = "spot"
"""


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (TAKEN, "producer.plugins names mine: the market gateio spot exists already"),
        ("import nothing_of_that_name", "importing it raises ModuleNotFoundError"),
    ],
)
def test_a_venue_that_cannot_be_used_ends_the_command(text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(text)
    answer = subprocess.run(
        [sys.executable, "-m", "kandle", "parse", os.devnull],
        cwd=tmp_path,
        env=environment() | {"KANDLE_PRODUCER__PLUGINS": "mine"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 2
    assert told in answer.stderr
