"""Kernels are compiled when the environment is set up, not while the first worker starts."""

import re
import subprocess
import sys
from pathlib import Path

from kandle.checks import KERNELS, PACKAGES

ROOT = Path(__file__).parents[2]
COMPILED = re.compile(r"^\s*@(compiled|entry)\(", re.MULTILINE)


def test_preparing_compiles_every_kernel_there_is() -> None:
    files = [file for package in PACKAGES for file in (ROOT / package).rglob("*.py")]
    found = [file.relative_to(ROOT).with_suffix("") for file in files if COMPILED.search(file.read_text())]
    modules = {".".join(name.parts) for name in found}
    assert {"schemas.kernels", "processors.candles.kernel"} <= modules, "else nothing is found any more"
    lines = [*(f"import {name}" for name in KERNELS), "import sys", "print(*sys.modules)"]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=True
    )
    assert modules <= set(done.stdout.split())
