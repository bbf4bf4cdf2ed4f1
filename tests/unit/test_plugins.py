"""Indicators and rules in packages of the user, which import nothing but `kandle`."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.settings import ProcessorSettings
from processors.indicator import Indicator
from processors.series.book import SeriesBook
from processors.series.plan import SeriesPlan
from processors.signal import SignalRule
from schemas.errors import ConfigurationError
from schemas.records import IndicatorValue
from tests.kandle_command import environment
from tests.signal_candles import random_candles
from tests.user_package import INDICATOR, RULE, settings_of, write

FOLD = """
import json
from infra.settings import load
from processors.series.book import SeriesBook
from processors.series.book import SeriesBook
from processors.series.plan import SeriesPlan
from schemas.records import IndicatorValue
from tests.signal_candles import of_closes

plan = SeriesPlan.of_settings(load().processors)
book, other = SeriesBook(plan), SeriesBook(plan)
found = []
for candle in of_closes([1, 2, 3, 2, 1, 2, 4]):
    other.load({page.name: page.encode() for page in book.pages()})
    records = book.fold(candle)
    assert other.fold(candle) == records
    found += [r.name if isinstance(r, IndicatorValue) else [r.rule, r.direction] for r in records]
print(json.dumps(found))
"""
HERE = Path(__file__).parents[2]


def run(
    *arguments: str, cwd: Path, path: Path | None = None, **settings: str
) -> subprocess.CompletedProcess[str]:
    """Run Python in a directory, with a directory on its path."""
    places = ":".join(str(place) for place in (HERE, path) if place)
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**environment(), "PYTHONPATH": places, "PYTHONSAFEPATH": "1", **settings},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def registries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working directory; what is registered from it, or imported as `mine`, is forgotten."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    for kind in (Indicator, SignalRule):
        monkeypatch.setattr(kind, "registry", dict(kind.known()))
    sys.modules.pop("mine", None)
    yield tmp_path
    sys.modules.pop("mine", None)


def test_a_package_named_in_the_settings_is_used_by_a_series(tmp_path: Path) -> None:
    library = write(
        tmp_path / "library",
        {
            "mine/__init__.py": "from mine import momentum, turn",
            "mine/momentum.py": INDICATOR,
            "mine/turn.py": RULE,
        },
    )
    home = write(tmp_path / "home", {"kandle.toml": settings_of("mine")})
    answer = run("-c", FOLD, cwd=home, path=library)
    assert answer.returncode == 0, answer.stderr
    short, long = ["momentum_turn_1", "short"], ["momentum_turn_1", "long"]
    name = "momentum_2"
    assert json.loads(answer.stdout) == [name, name, short, name, name, long, name]


def test_what_comes_with_kandle_is_added_by_one_file_each(tmp_path: Path) -> None:
    shutil.copytree(
        HERE / "processors", tmp_path / "processors", ignore=shutil.ignore_patterns("__pycache__")
    )
    added = {
        "processors/indicators/momentum.py": INDICATOR,
        "processors/signals/momentum_turn.py": RULE,
        "kandle.toml": settings_of(),
    }
    answer = run("-c", "import sys; sys.path.insert(0, '.')\n" + FOLD, cwd=write(tmp_path, added))
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout)[2] == ["momentum_turn_1", "short"]


@pytest.mark.parametrize(
    ("page", "indicators", "signals"),
    [
        ("adding-an-indicator.md", ["momentum(3)"], []),
        ("adding-a-signal.md", [], ["new_high(20)"]),
    ],
)
def test_what_the_documentation_shows_works(
    registries: Path, page: str, indicators: list[str], signals: list[str]
) -> None:
    text = (HERE / "docs" / page).read_text()
    write(registries, {"mine.py": text.partition("```python\n")[2].partition("```")[0]})
    chosen = ProcessorSettings(plugins=["mine"], indicators=indicators, signals=signals)
    book = SeriesBook(SeriesPlan.of_settings(chosen))
    candles = random_candles(300, seed=3)
    records = [record for candle in candles for record in book.fold(candle)]
    found = {record.name if isinstance(record, IndicatorValue) else record.rule for record in records}
    assert found == {
        f"{spec[0]}_{spec[1][:-1]}" for spec in (text.split("(") for text in indicators + signals)
    }
    assert len(records) < 299


def test_the_table_of_rules_is_whole_and_right() -> None:
    rows = [line.split("|") for line in (HERE / "docs" / "signals.md").read_text().splitlines()]
    table = {row[1].strip(" `"): row[2].strip() for row in rows if len(row) == 8 and "`" in row[1]}
    names = [name for name, rule in SignalRule.known().items() if rule.__module__.startswith("processors.")]
    assert table.keys() == set(names)
    for name in names:
        said = table["rsi_divergence" if table[name] == "the same" else name]
        parameters = SignalRule.create(name).parameters
        assert said == ", ".join(f"{key} {value:g}" for key, value in parameters.items()), name


def test_modules_in_the_working_directory_are_found(tmp_path: Path) -> None:
    files = {"kandle.toml": settings_of("momentum", "turn"), "momentum.py": INDICATOR, "turn.py": RULE}
    answer = run("-m", "kandle", "signals", "--list", cwd=write(tmp_path, files))
    assert answer.returncode == 0, answer.stderr
    assert "The momentum changes its sign." in answer.stdout


def test_an_entry_point_of_an_installed_distribution_needs_no_setting(tmp_path: Path) -> None:
    files = {
        "mine/__init__.py": "",
        "mine/turn.py": INDICATOR + RULE,
        "mine-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n",
        "mine-1.0.dist-info/entry_points.txt": "[kandle.plugins]\nturns = mine.turn\n",
    }
    library = write(tmp_path / "library", files)
    home = write(tmp_path / "home", {"kandle.toml": settings_of()})
    answer = run("-m", "kandle", "indicators", "--list", cwd=home, path=library)
    assert answer.returncode == 0, answer.stderr
    assert "Close less the close `period` candles ago." in answer.stdout
    (library / "mine/turn.py").write_text("1 / 0")
    answer = run("-m", "kandle", "config", cwd=home, path=library)
    assert answer.returncode == 2
    expected = (
        "mine has the plug-in turns = mine.turn: importing it raises ZeroDivisionError: division by zero"
    )
    assert expected in answer.stderr
    assert "Traceback" not in answer.stderr


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (None, "processors.plugins names mine: there is no such module on the Python path or in the working"),
        ("import nowhere", "importing it raises ModuleNotFoundError: No module named 'nowhere'"),
        ("def broken(:", "importing it raises SyntaxError: invalid syntax"),
        (
            INDICATOR.replace("Momentum", "Sma"),
            "indicator 'sma' is both processors.indicators.sma.Sma and mine.Sma; rename one of the classes",
        ),
        (INDICATOR, "there is no signal rule 'momentum_turn'; known: "),
        (INDICATOR.replace("def snapshot", "def saved") + RULE, "there is no indicator 'momentum'; known: "),
        (INDICATOR + RULE.replace("> 100", "> 0"), "too slow to be of use"),
        (INDICATOR + RULE, ""),
    ],
    ids=["absent", "needs another", "syntax", "name taken", "no rule", "abstract", "refuses", "right"],
)
def test_a_plug_in_that_cannot_be_used_is_a_clear_error(
    registries: Path, code: str | None, said: str
) -> None:
    write(registries, {} if code is None else {"mine.py": code})
    chosen = ProcessorSettings(plugins=["mine"], indicators=["momentum(2)@1m"], signals=["momentum_turn(1)"])
    if not said:
        assert SeriesPlan.of_settings(chosen).rules[0].prototype.label == "momentum_turn_1"
        return
    with pytest.raises(ConfigurationError, match=re.escape(said)):
        SeriesPlan.of_settings(chosen)


def test_a_worker_says_so_before_it_asks_for_kafka(tmp_path: Path) -> None:
    home = write(tmp_path, {"kandle.toml": settings_of("nowhere")})
    answer = run("-m", "kandle", "process", cwd=home, KAFKA_BOOTSTRAP_SERVERS="localhost:1")
    assert answer.returncode == 2
    assert answer.stderr.startswith("kandle: processors.plugins names nowhere: there is no such module")
