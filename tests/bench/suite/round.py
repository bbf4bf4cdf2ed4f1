"""Measurements one after the other: progress, comparison, and what is stored of them."""

import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import psutil
from rich.console import Console
from rich.table import Table

from tests.bench.suite.bench import Bench, unavailable_in
from tests.bench.suite.comparison import Change, changes, number, percent
from tests.bench.suite.results import FOLDER, Result, machine
from tests.bench.suite.runner import BenchError, run

BUSY: Final = 0.1
"""Share of all cores that others may use; beyond it a result is not stored."""
LOOK_S: Final = 3.0


@dataclass(slots=True)
class Round:
    """Runs measurements.

    Attributes:
        console: Where progress and comparisons go.
        quick: With small sizes; nothing is stored.
        busy: Store also what a busy machine gave.
        accept: Store also what is worse, or has fewer ratios.
        folder: Of the results.
        found: Figures by name.
        failed, worse, stored: Names.
    """

    console: Console
    quick: bool = False
    busy: bool = False
    accept: bool = False
    folder: Path = FOLDER
    found: dict[str, dict[str, Any]] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    worse: list[str] = field(default_factory=list)
    stored: list[str] = field(default_factory=list)

    def run(self, bench: Bench) -> None:
        """One of them; a failure is told, and the next may run.

        Raises:
            KeyboardInterrupt: It was interrupted.
        """
        if bench.missing:
            self.console.print(f"{bench.name}: left out, not installed: {', '.join(bench.missing)}")
            return
        busy = 0.0 if self.quick else psutil.cpu_percent(LOOK_S) / 100
        began = time.monotonic()
        try:
            figures = self._measured(bench)
        except BenchError as error:
            self.failed.append(bench.name)
            self.console.print(f"{bench.name}: {error}", style="red", markup=False, highlight=False)
            return
        self.found[bench.name] = figures
        self.console.print(f"{bench.name}: {time.monotonic() - began:.0f} s", markup=False)
        for peer, reason in unavailable_in(figures).items():
            self.console.print(f"  {peer} was not there: {reason}", markup=False)
        before = Result.read(bench.name, self.folder)
        compared = changes(bench, before, figures)
        self._show(compared)
        if self.quick:
            return
        if any(change.is_worse for change in compared):
            self.worse.append(bench.name)
        reason = self._not_to_store(compared, busy)
        if reason:
            self.console.print(f"  not stored: {reason}", markup=False)
            return
        self._store(bench, figures, before, busy)

    def conclude(self, seconds: float) -> None:
        """Say how it went."""
        self.console.print(
            f"{len(self.found)} measured in {seconds / 60:.1f} min, {len(self.stored)} stored, "
            f"{len(self.failed)} failed {' '.join(self.failed)}, "
            f"{len(self.worse)} worse {' '.join(self.worse)}",
            markup=False,
        )

    def _measured(self, bench: Bench) -> dict[str, Any]:
        expected = "small" if self.quick else f"about {bench.minutes:g} min"
        told = f"{bench.name}: {bench.about} ({expected})"
        status = self.console.status(told) if self.console.is_terminal else nullcontext()
        if not self.console.is_terminal:
            self.console.print(told, markup=False)
        with status as shown:

            def on_second(passed: float) -> None:
                if shown is not None:
                    shown.update(f"{told} {passed:.0f} s")

            return run(bench, quick=self.quick, on_second=on_second)

    def _show(self, compared: list[Change]) -> None:
        table = Table(box=None, padding=(0, 2))
        for column in ("", "stored", "now", "change", ""):
            table.add_column(column, justify="left" if not column else "right")
        for change in compared:
            style = "red" if change.is_worse and not self.quick else None
            verdict = "" if self.quick else change.verdict
            table.add_row(
                change.ratio.name,
                number(change.stored),
                number(change.now),
                percent(change.share),
                verdict,
                style=style,
            )
        self.console.print(table)

    def _not_to_store(self, compared: list[Change], busy: float) -> str:
        """The reason, empty if there is none."""
        if busy > BUSY and not self.busy:
            return f"the machine was {busy:.0%} busy before; --busy stores it"
        if self.accept:
            return ""
        if any(change.is_worse for change in compared):
            return "worse than the stored result; --accept stores it"
        if any(change.is_lost for change in compared):
            return "the stored result has ratios that this one has not; --accept stores it"
        return ""

    def _store(self, bench: Bench, figures: dict[str, Any], before: Result | None, busy: float) -> None:
        replaced = {"taken": before.taken, "ratios": before.ratios(bench)} if before else {}
        result = Result(
            bench=bench.name,
            command=" ".join(["python", *bench.command(quick=False)]),
            taken=datetime.now(UTC).date().isoformat(),
            conditions={**machine(), "busy_before": round(busy, 3)},
            figures=figures,
            before=replaced,
        )
        result.write(self.folder)
        self.stored.append(bench.name)
