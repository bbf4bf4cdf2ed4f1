"""The generated parts of docs/performance.md: a block a measurement between two comments, and its pictures.

Prose around the blocks is written by hand and stays. The same results give the same bytes.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench.suite.bench import Bench
from tests.bench.suite.charts import CHARTS
from tests.bench.suite.comparison import number, percent
from tests.bench.suite.registry import BENCHES
from tests.bench.suite.results import FOLDER, Result
from tests.bench.suite.runner import ROOT
from tests.bench.suite.svg import Chart
from tests.bench.suite.tables import TABLES, table

PAGE: Final = ROOT / "docs" / "performance.md"
PICTURES: Final = ROOT / "docs" / "performance"
BLOCK: Final = re.compile(r"(<!-- figures: (?P<name>[a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
RATIOS: Final = "ratios"
"""Name of the block with the ratios of all measurements."""
SHOWN: Final = {"processor": "", "cores": "cores", "memory_gb": "GB", "system": ""}


@dataclass(frozen=True, slots=True)
class Page:
    """What is generated.

    Attributes:
        text: The whole page.
        pictures: Files in docs/performance/ by name.
    """

    text: str
    pictures: Mapping[str, str]

    def write(self, page: Path = PAGE, pictures: Path = PICTURES) -> None:
        """Write what has changed, and remove pictures that nothing shows."""
        page.write_text(self.text, "utf-8")
        pictures.mkdir(exist_ok=True)
        for path in pictures.glob("*.svg"):
            if path.name not in self.pictures:
                path.unlink()
        for name, text in self.pictures.items():
            (pictures / name).write_text(text, "utf-8")


def render(text: str, folder: Path = FOLDER) -> Page:
    """The page with its blocks made anew from the stored results.

    Args:
        text: The page as it is.
        folder: Of the results.

    Raises:
        ValueError: A measurement has no block, or a block no measurement.
    """
    results = {bench.name: Result.read(bench.name, folder) for bench in BENCHES}
    blocks = {bench.name: block(bench, results[bench.name]) for bench in BENCHES}
    blocks[RATIOS] = ratios(results)
    found = [match["name"] for match in BLOCK.finditer(text)]
    if sorted(found) != sorted(blocks):
        raise ValueError(f"blocks of the page: {sorted(found)}; expected {sorted(blocks)}")
    made = BLOCK.sub(lambda match: f"{match[1]}{blocks[match['name']]}\n{match[3]}", text)
    pictures = {
        f"{chart.name}.svg": chart.svg()
        for name, result in results.items()
        if result
        for chart in charts(name, result)
    }
    return Page(made, pictures)


def block(bench: Bench, result: Result | None) -> str:
    """Of one measurement."""
    if result is None:
        return f'No result is stored yet: `make bench ARGS="{bench.name}"`.'
    pictures = [
        f"![{chart.title}, {chart.unit}](performance/{chart.name}.svg)"
        for chart in charts(bench.name, result)
    ]
    return "\n\n".join([TABLES[bench.name](result.figures), *pictures, provenance(result)])


def charts(name: str, result: Result) -> list[Chart]:
    """Of one measurement."""
    return CHARTS[name](result.figures) if name in CHARTS else []


def provenance(result: Result) -> str:
    """When, where, with what and how it was measured."""
    conditions = dict(result.conditions)
    busy = conditions.pop("busy_before", None)
    machine = ", ".join(
        f"{conditions.pop(key)} {unit}".strip() for key, unit in SHOWN.items() if key in conditions
    )
    versions = ", ".join(f"{name} {version}" for name, version in conditions.items())
    idle = "" if busy is None else f"; {busy:.0%} busy before"
    note = f" {result.note}" if result.note else ""
    return f"*{result.taken}, `{result.command}`. {machine}{idle}; {versions}.{note}*"


def ratios(results: Mapping[str, Result | None]) -> str:
    """All ratios, each with the one that it has replaced."""
    rows = []
    for bench in BENCHES:
        result = results[bench.name]
        now = result.ratios(bench) if result else {}
        before = result.before.get("ratios", {}) if result else {}
        for ratio in bench.ratios:
            old, new = before.get(ratio.name), now.get(ratio.name)
            change = percent(new / old - 1) if old and new is not None else ""
            better = "lower" if ratio.lower_is_better else "higher"
            rows.append((bench.name, ratio.name, better, number(new), number(old), change))
    return table(("", "ratio", "better", "stored", "before", "change"), rows)
