"""The charts' modules, as the report carries them and as the live page loads them."""

import re
from importlib import resources
from pathlib import Path

from infra.charts import MODULES, as_script

PAGE = Path(str(resources.files("serve") / "page"))
CHARTS = Path(str(resources.files("infra.charts")))
IMPORTED = re.compile(r'^(?:import|export) .*?from "([^"]+)";', re.MULTILINE | re.DOTALL)


def test_a_report_carries_all_modules_without_imports_and_exports() -> None:
    script = as_script()
    assert not re.search(r"^\s*(import|export)\b", script, re.MULTILINE)
    for name in ("class Plot", "class Gestures", "function timeTicks"):
        assert script.count(name) == 1
    assert {each.name for each in CHARTS.glob("*.js")} == set(MODULES)


def test_a_module_needs_only_those_before_it() -> None:
    for place, name in enumerate(MODULES):
        needed = IMPORTED.findall((CHARTS / name).read_text("utf-8"))
        assert {each.removeprefix("./") for each in needed} <= set(MODULES[:place])


def test_the_page_asks_for_files_that_are_there_and_for_no_other_host() -> None:
    for file in PAGE.glob("*.js"):
        text = file.read_text("utf-8")
        assert len(text.splitlines()) < 400
        for name in IMPORTED.findall(text):
            folder = CHARTS if name.startswith("/charts/") else PAGE
            assert (folder / name.rpartition("/")[2]).is_file(), (file.name, name)
    for file in (*PAGE.iterdir(), *CHARTS.iterdir()):
        if file.is_file():
            foreign = set(re.findall(r"https?://[^\s\"'`)]+", file.read_text("utf-8")))
            assert foreign <= {"http://www.w3.org/2000/svg"}, file.name
