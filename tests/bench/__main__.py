"""All measurements, each in a process of its own; prints one JSON object, by module.

python -m tests.bench
"""

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
TIMEOUT_S = 900


def has_main(path: Path) -> bool:
    """Whether a module measures something."""
    body = ast.parse(path.read_text("utf-8")).body
    return any(
        isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == "main" for node in body
    )


def run(name: str) -> dict[str, Any]:
    """The figures of one module: the JSON object on its last line.

    Raises:
        RuntimeError: It fails, or prints none.
    """
    command = [sys.executable, "-m", f"tests.bench.{name}", "--json"]
    done = subprocess.run(
        command, cwd=FOLDER.parents[1], capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{name} ended with {done.returncode}: {done.stderr.strip()[-2000:]}")
    try:
        figures: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError) as error:
        raise RuntimeError(f"{name} printed no JSON object on its last line") from error
    return figures


def main() -> int:
    """Run them all; returns 1 when one has failed."""
    found: dict[str, Any] = {}
    failed = 0
    for path in sorted(FOLDER.glob("[!_]*.py")):
        if not has_main(path):
            continue
        print(f"{path.stem} ...", file=sys.stderr, flush=True)
        try:
            found[path.stem] = run(path.stem)
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            failed = 1
            found[path.stem] = {"error": str(error)}
    print(json.dumps(found, indent=2))
    return failed


if __name__ == "__main__":
    sys.exit(main())
