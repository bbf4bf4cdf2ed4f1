"""Where an optional package is missing, the message names what works in a checkout."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from infra.extras import missing, remedy

ROOT = Path(__file__).parents[2]


def test_the_remedy_names_a_target_of_make_and_an_extra_that_exist() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert {"archive", "cache", "embedded"} <= extras.keys()
    assert "\nsetup:" in (ROOT / "Makefile").read_text()
    said = str(missing("the archive", "pyarrow", "archive"))
    assert said == f"the archive needs pyarrow; {remedy('archive')}"
    assert "make setup" in said
    assert 'pip install ".[archive]"' in said


@pytest.mark.parametrize(
    ("package", "call"),
    [
        ("pyarrow", "from kandle.parquet_file import import_pyarrow; import_pyarrow()"),
        ("pyarrow", "from backtest.downloads.parquet import need_pyarrow; need_pyarrow()"),
        (
            "redis",
            "from infra.settings import CacheSettings; from sinks.cache.redis_store import connect; "
            "connect(CacheSettings(url='redis://localhost'))",
        ),
    ],
)
def test_whoever_needs_a_package_that_is_missing_says_so(package: str, call: str) -> None:
    script = f"import sys; sys.modules[{package!r}] = None\nfrom schemas.errors import ConfigurationError\n"
    script += f"try:\n    {call}\nexcept ConfigurationError as error:\n    print(error)"
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert f"needs {package}; it comes with the extra" in said
