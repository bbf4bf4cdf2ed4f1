"""What a long search shows."""

import sys

import pytest

from kandle.searches import progress
from kandle.searches.progress import SearchProgress


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is waited for."""
    for name in ("SILENT_S", "TERMINAL_EVERY_S", "LINES_EVERY_S"):
        monkeypatch.setattr(progress, name, 0.0)


def test_where_nobody_looks_it_is_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    progress = SearchProgress("runs", 10)
    progress.show(5)
    progress.clear()
    found = capsys.readouterr()
    assert found.out == ""
    assert found.err.startswith("kandle: 5 of 10 runs, ")
    assert found.err.endswith("/s, 0:00 left\n")


def test_in_a_terminal_it_is_a_bar_that_leaves_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    progress = SearchProgress("runs", 10)
    progress.show(5)
    shown = capsys.readouterr().err
    assert shown.startswith("\r[###############...............] 5 of 10 runs")
    progress.clear()
    assert capsys.readouterr().err.strip() == ""


def test_what_is_short_shows_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "SILENT_S", 60.0)
    SearchProgress("runs", 10).show(5)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0:00"), (65, "1:05"), (3_725, "1:02:05")])
def test_lengths_of_time(seconds: float, text: str) -> None:
    assert progress._length(seconds) == text
