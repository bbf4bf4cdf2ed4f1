"""What a start costs: the compiled kernels come from a cache, wherever that may be."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
LIMIT_S = 1.0
ATTEMPTS = 3

USE = """
import json, time
import numpy, numba
began = time.perf_counter()
import numpy as np
from infra.kafka.record_batches import read_records
from schemas.columns import ColumnReader
from schemas.kernels import walk
from schemas.records import Trade
reader = ColumnReader(interned=["venue", "symbol"])
records = read_records([])
columns = reader.read(records.data, records.value_start, records.value_length)
assert columns.rows(Trade).size == 0
ended = time.perf_counter()
hits = sum(walk.stats.cache_hits.values())
print(json.dumps({"seconds": ended - began, "hits": hits}))
"""


def use(folder: Path, **environment: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", USE],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "PYTHONSAFEPATH": "1", **environment},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_start_on_warm_caches_costs_less_than_a_second_beyond_numba(
    record_property: Callable[[str, object], None],
) -> None:
    use(ROOT)
    runs = []
    for _ in range(ATTEMPTS):  # the machine may be busy with other things
        runs.append(use(ROOT))
        if runs[-1]["seconds"] < LIMIT_S:
            break
    seconds = min(run["seconds"] for run in runs)
    record_property("start_seconds", seconds)
    print(f"importing and using codec and record batches: {seconds:.2f} s")
    assert all(run["hits"] for run in runs), "the kernels were compiled again"
    assert seconds < LIMIT_S


def test_sources_that_cannot_be_written_use_the_cache_folder_they_are_given(tmp_path: Path) -> None:
    sources, cache = tmp_path / "sources", tmp_path / "cache"
    for name in ("schemas", "infra"):
        shutil.copytree(ROOT / name, sources / name, ignore=shutil.ignore_patterns("__pycache__", "docker"))
    for folder in (sources, *(path for path in sources.rglob("*") if path.is_dir())):
        folder.chmod(0o555)
    try:
        first = use(sources, NUMBA_CACHE_DIR=str(cache), PYTHONDONTWRITEBYTECODE="1")
        again = use(sources, NUMBA_CACHE_DIR=str(cache), PYTHONDONTWRITEBYTECODE="1")
    finally:
        for folder in (sources, *(path for path in sources.rglob("*") if path.is_dir())):
            folder.chmod(0o755)
    assert first["hits"] == 0
    assert again["hits"], "the second start compiled again"
    assert any(cache.rglob("*.nbc"))
    assert not any(sources.rglob("*.nbc"))
