"""Branch coverage by package, and of the core, which has to be above 90 %.

python -m tests.quality.coverage                        all tests, as `make test` runs them, then the report
python -m tests.quality.coverage tests/unit             only these; what they are given goes to pytest
python -m tests.quality.coverage --report               of the run before
python -m tests.quality.coverage --missing core         lines and branches that no test reaches, of the core

Processes that tests start are counted as well. Kernels run as machine code, of which nothing is traced: they
are left out here (pyproject.toml); `make mutants` changes them. Ends with 1 if tests fail, or if the core is
not above 90 %.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
LEAST: Final = 90.0
PACKAGES: Final = ("schemas", "infra", "producers", "processors", "sinks", "backtest", "serve", "kandle")
CORE: Final = (
    "schemas/*",
    "infra/*",
    "producers/*",
    "processors/*",
    "sinks/*",
    "backtest/*",
)
"""What decides about data: what it means, what is kept of it, and what follows from it."""
NOT_CORE: Final[Mapping[str, str]] = {
    "infra/embedded/*": "starts, watches and kills servers, partly in processes that are killed in tests",
    "producers/simulator/*": "a counterpart for tests and trials",
    "backtest/report/*": "pages",
    "backtest/downloads/*": "asks venues",
    "*/stage.py": "puts the parts of a process together",
}


@dataclass(slots=True)
class Share:
    """Counts of statements and branches.

    Attributes:
        lines, branches: That there are.
        lines_hit, branches_hit: That were reached.
    """

    lines: int = 0
    lines_hit: int = 0
    branches: int = 0
    branches_hit: int = 0

    def add(self, summary: Mapping[str, int]) -> None:
        """Those of a file, as `coverage json` has them."""
        self.lines += summary["num_statements"]
        self.lines_hit += summary["covered_lines"]
        self.branches += summary["num_branches"]
        self.branches_hit += summary["covered_branches"]

    @property
    def percent(self) -> float:
        """Of statements and branches together."""
        return _percent(self.lines_hit + self.branches_hit, self.lines + self.branches)

    @property
    def percent_of_branches(self) -> float:
        """Of branches alone."""
        return _percent(self.branches_hit, self.branches)


def _percent(hit: int, of: int) -> float:
    return 100.0 * hit / of if of else 100.0


def is_core(path: str) -> bool:
    """Whether a file belongs to the core."""
    return any(fnmatch(path, each) for each in CORE) and not any(fnmatch(path, each) for each in NOT_CORE)


def shares(files: Mapping[str, Mapping[str, Any]]) -> dict[str, Share]:
    """By package, of the core as `core`, and of all as `all`."""
    found = {name: Share() for name in (*PACKAGES, "core", "all")}
    for path, told in files.items():
        names = [path.partition("/")[0], "all", *(["core"] if is_core(path) else [])]
        for name in names:
            found[name].add(told["summary"])
    return found


def weakest(files: Mapping[str, Mapping[str, Any]]) -> list[tuple[float, str]]:
    """Files of the core that are not above the least, the worst first."""
    found = []
    for path, told in files.items():
        share = Share()
        share.add(told["summary"])
        if is_core(path) and share.percent <= LEAST:
            found.append((share.percent, path))
    return sorted(found)


def coverage(*arguments: str) -> int:
    """Run it; its exit code."""
    return subprocess.run([sys.executable, "-m", "coverage", *arguments], cwd=ROOT, check=False).returncode


def measured() -> dict[str, dict[str, Any]]:
    """What the data of the last run say, by file."""
    with tempfile.TemporaryDirectory(prefix="kandle-coverage-") as folder:
        path = Path(folder) / "coverage.json"
        if coverage("json", "--quiet", "-o", str(path)):
            raise SystemExit(1)
        found: dict[str, dict[str, Any]] = json.loads(path.read_text("utf-8"))["files"]
    return found


def told(files: Mapping[str, Mapping[str, Any]]) -> Iterable[str]:
    """The report."""
    yield f"{'':12}{'statements':>12}{'branches':>10}{'both':>8}{'branches':>10}"
    for name, share in shares(files).items():
        counts = f"{share.lines:>12,}{share.branches:>10,}"
        yield f"{name:12}{counts}{share.percent:>7.1f}%{share.percent_of_branches:>9.1f}%"
    for percent, path in weakest(files):
        yield f"  {percent:5.1f}% {path}"


def missing(files: Mapping[str, Mapping[str, Any]], prefix: str) -> Iterable[str]:
    """Lines and branches that nothing reached, of files below a path or of the core."""
    for path, each in files.items():
        chosen = is_core(path) if prefix == "core" else path.startswith(prefix)
        if chosen and (each["missing_lines"] or each["missing_branches"]):
            branches = ", ".join(f"{start}->{end}" for start, end in each["missing_branches"])
            yield f"{path}: {', '.join(map(str, each['missing_lines']))}; {branches}"


def main() -> int:
    """Run and report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--report", action="store_true", help="only report the run before")
    parser.add_argument("--missing", metavar="PATH", help="what is not reached below a path, or `core`")
    given, rest = parser.parse_known_args()
    failed = 0
    if not given.report and not given.missing:
        coverage("erase")
        tests = rest or ["--numprocesses", "2", "--dist", "loadfile"]
        failed = coverage("run", "-m", "pytest", *tests)
        coverage("combine", "--quiet")
    files = measured()
    print("\n".join(missing(files, given.missing) if given.missing else told(files)))
    if shares(files)["core"].percent <= LEAST:
        print(f"the core is not above {LEAST:g} %", file=sys.stderr)
        return 1
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
