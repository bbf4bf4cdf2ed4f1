"""The frame of the measurements: its entries, its page, its comparison, and what it stores."""

import ast
import json
import os
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from io import StringIO
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from tests.bench.suite.bench import Bench, Ratio, figure_at, unavailable_in
from tests.bench.suite.comparison import changes
from tests.bench.suite.page import PAGE, PICTURES, render
from tests.bench.suite.registry import BENCHES, PARTS_OF_OTHERS, chosen
from tests.bench.suite.results import FOLDER, Result, machine
from tests.bench.suite.round import Round
from tests.bench.suite.runner import BenchError, run
from tests.bench.suite.svg import Chart, Group

BY_PEER = Ratio("by the peer", "rate", "peers/other/rate")
PAUSE = Ratio("pause", "pause", lower_is_better=True, tolerance=0.5)


def made(program: str, root: Path, minutes: float = 1) -> Bench:
    """A measurement of a program of ours."""
    (root / "measured.py").write_text(program)
    return Bench("made", "for a test", "measured", minutes, (BY_PEER, PAUSE), needs=())


def printing(figures: object) -> str:
    return f"print('words before'); print({json.dumps(figures)!r})"


def ignored(_seconds: float) -> None:
    """Nobody watches."""


def result(figures: dict[str, object]) -> Result:
    return Result("made", "python made", "2026-01-01", {"processor": "x", "cores": 2}, figures)


def test_the_page_and_its_pictures_are_those_of_the_stored_results() -> None:
    text = PAGE.read_text("utf-8")
    page = render(text)
    assert page.text == text, 'run: make bench ARGS="--render"'
    found = {path.name: path.read_text("utf-8") for path in PICTURES.glob("*.svg")}
    assert found == page.pictures, 'run: make bench ARGS="--render"'
    for name in page.pictures:
        assert f"](performance/{name})" in text


def test_every_module_that_measures_is_in_the_registry() -> None:
    def measures(path: Path) -> bool:
        body = ast.parse(path.read_text("utf-8")).body
        return any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in body)

    folder = FOLDER.parent
    modules = {f"tests.bench.{path.stem}" for path in folder.glob("[!_]*.py") if measures(path)}
    known = {bench.module for bench in BENCHES} | set(PARTS_OF_OTHERS)
    assert modules == known


def test_every_stored_result_belongs_to_a_measurement() -> None:
    names = {bench.name for bench in BENCHES}
    stored = {path.stem for path in FOLDER.glob("*.json")}
    assert stored <= names
    for name in stored:
        found = Result.read(name)
        assert found is not None
        assert found.bench == name


def test_a_name_stands_for_its_parts_too_and_an_unknown_one_is_refused() -> None:
    assert [bench.name for bench in chosen(["sinks", "sinks-memory"])] == ["sinks", "sinks-memory"]
    assert chosen([]) == list(BENCHES)
    with pytest.raises(ValueError, match="no measurement 'sink'; there are processors"):
        chosen(["sink"])


def test_ratios_come_from_one_run_and_are_missing_without_the_peer() -> None:
    figures = {"rate": 30, "peers": {"other": {"rate": 10}}, "empty": {"rate": 0}}
    assert BY_PEER.value(figures) == 3
    assert BY_PEER.value({"rate": 30, "peers": {"other": {"unavailable": "gone\nmore"}}}) is None
    assert Ratio("", "rate", "empty/rate").value(figures) is None
    assert figure_at(figures, "peers/other") is None
    assert unavailable_in({"peers": {"other": {"unavailable": "gone\nmore"}}}) == {"other": "gone"}


@pytest.mark.parametrize(
    ("rate", "pause", "worse"),
    [(30, 10, []), (26.2, 14.9, []), (25.9, 10, ["by the peer"]), (60, 15.1, ["pause"])],
)
def test_worse_is_what_leaves_its_tolerance_to_the_wrong_side(
    rate: float, pause: float, worse: list[str]
) -> None:
    bench = Bench("made", "", "", 1, (BY_PEER, PAUSE))
    peers = {"other": {"rate": 10}}
    found = changes(
        bench,
        result({"rate": 30, "pause": 10, "peers": peers}),
        {"rate": rate, "pause": pause, "peers": peers},
    )
    assert [change.ratio.name for change in found if change.is_worse] == worse


def test_a_run_gives_the_object_of_its_last_line(tmp_path: Path) -> None:
    assert run(made(printing({"rate": 1}), tmp_path), quick=False, on_second=ignored, root=tmp_path) == {
        "rate": 1
    }


@pytest.mark.parametrize(
    ("program", "told"),
    [
        ("raise SystemExit('no broker')", "ended with 1: no broker"),
        ("print('nothing')", "no JSON object"),
        ("print('[1]')", "no JSON object"),
        ("", "no JSON object"),
    ],
)
def test_a_run_that_fails_says_how(program: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=told):
        run(made(program, tmp_path), quick=False, on_second=ignored, root=tmp_path)


def test_an_interrupt_reaches_the_measurement_which_ends_its_servers(tmp_path: Path) -> None:
    program = (
        "import pathlib, time\n"
        "try:\n pathlib.Path('began').touch(); time.sleep(60)\n"
        "except KeyboardInterrupt:\n pathlib.Path('ended').touch()\n"
    )

    def interrupt(_seconds: float) -> None:
        if (tmp_path / "began").exists():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(made(program, tmp_path), quick=False, on_second=interrupt, root=tmp_path)
    assert (tmp_path / "ended").exists()


class Calm(Round):
    """On a machine that does nothing else, in a folder of its own."""

    def measured(self, bench: Bench, figures: dict[str, object], root: Path) -> str:
        """What is told of a run that gives these figures."""
        made(printing(figures), root)
        self.run(bench)
        assert isinstance(self.console.file, StringIO)
        return self.console.file.getvalue()


@pytest.fixture
def calm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Calm:
    monkeypatch.setattr("tests.bench.suite.round.LOOK_S", 0.0)
    monkeypatch.setattr(psutil, "cpu_percent", lambda interval: 2.0)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return Calm(Console(file=StringIO(), width=120), folder=tmp_path / "results")


GOOD: dict[str, object] = {"rate": 30, "pause": 10, "peers": {"other": {"rate": 10}}}
SLOW: dict[str, object] = {"rate": 15, "pause": 10, "peers": {"other": {"rate": 10}}}
ALONE: dict[str, object] = {"rate": 30, "pause": 10, "peers": {"other": {"unavailable": "no network"}}}


def test_a_result_is_stored_with_its_conditions_and_the_ratios_before(calm: Calm, tmp_path: Path) -> None:
    bench = made("", tmp_path)
    calm.measured(bench, GOOD, tmp_path)
    calm.measured(bench, GOOD | {"pause": 12}, tmp_path)
    stored = Result.read("made", calm.folder)
    assert stored is not None
    assert stored.figures["pause"] == 12
    assert stored.before["ratios"] == {"by the peer": 3, "pause": 10}
    assert stored.conditions == machine() | {"busy_before": 0.02}
    assert calm.stored == ["made", "made"]


@pytest.mark.parametrize(
    ("figures", "reason"), [(SLOW, "worse than the stored"), (ALONE, "the stored result has ratios")]
)
def test_what_is_worse_or_less_is_stored_only_when_accepted(
    calm: Calm, figures: dict[str, object], reason: str, tmp_path: Path
) -> None:
    bench = made("", tmp_path)
    calm.measured(bench, GOOD, tmp_path)
    assert f"not stored: {reason}" in calm.measured(bench, figures, tmp_path)
    assert calm.worse == (["made"] if figures is SLOW else [])
    kept = Result.read("made", calm.folder)
    assert kept is not None
    assert kept.figures == GOOD
    calm.accept = True
    calm.measured(bench, figures, tmp_path)
    kept = Result.read("made", calm.folder)
    assert kept is not None
    assert kept.figures == figures


def test_nothing_of_a_busy_machine_or_a_quick_run_is_stored(
    calm: Calm, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(psutil, "cpu_percent", lambda interval: 55.0)
    bench = made("", tmp_path)
    assert "55% busy before" in calm.measured(bench, GOOD, tmp_path)
    calm.quick = True
    calm.measured(bench, GOOD, tmp_path)
    assert not calm.folder.exists()
    calm.quick, calm.busy = False, True
    calm.measured(bench, GOOD, tmp_path)
    assert calm.stored == ["made"]


def test_a_failure_or_a_missing_package_is_told_and_the_next_one_runs(calm: Calm, tmp_path: Path) -> None:
    bench = made("raise SystemExit('no broker')", tmp_path)
    calm.run(bench)
    calm.run(Bench("other", "", "measured", 1, (), needs=("no_such_package",)))
    assert "other: left out, not installed: no_such_package" in calm.measured(bench, GOOD, tmp_path)
    assert calm.failed == ["made"]
    assert calm.stored == ["made"]


def test_a_picture_tells_its_values_in_words_and_is_the_same_each_time() -> None:
    chart = Chart("made", "Rates & more", "a second", [Group("<ours>", (1_500_000.0,)), Group("b", (3.0,))])
    assert chart.svg() == chart.svg()
    names = {"s": "http://www.w3.org/2000/svg"}
    root = ET.fromstring(chart.svg())
    assert root.get("role") == "img"
    assert root.findtext("s:title", namespaces=names) == "Rates & more"
    told = root.findtext("s:desc", namespaces=names)
    assert told == "Bars, in a second. <ours>: 1.5 million; b: 3."
    assert "prefers-color-scheme:dark" in (root.findtext("s:style", namespaces=names) or "")


def test_the_command_lists_what_there_is_and_ends_when_it_is_told_to() -> None:
    command = [sys.executable, "-m", "tests.bench"]
    root = PAGE.parents[1]
    listed = subprocess.run([*command, "--list"], cwd=root, capture_output=True, text=True, check=True)
    assert [line.split()[0] for line in listed.stdout.splitlines()[:-1]] == [each.name for each in BENCHES]
    quick = [*command, "--quick", "codec"]
    with subprocess.Popen(quick, cwd=root, stderr=subprocess.PIPE, text=True) as child:
        assert child.stderr is not None
        assert child.stderr.readline() == "measurements: 1, small sizes\n"
        assert "codec" in child.stderr.readline()
        os.kill(child.pid, signal.SIGTERM)
        assert "interrupted" in child.stderr.read()
        assert child.wait(60) == 130
