"""Is requirements.lock what the resolver gives for pyproject.toml? Versions that it has stay if they fit.

python -m tests.quality.lock

Ends with 0 if it is, with 1 if it is not (the difference is shown; `make lock` mends it), with 2 if the index
cannot be reached.
"""

import difflib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
NAME: Final = "requirements.lock"
COMMAND: Final = (
    *("pip", "compile", "--quiet", "--universal", "--python-version", "3.11", "--generate-hashes"),
    *("--no-header", "--all-extras", "pyproject.toml", "--output-file", NAME),
)
"""As in the Makefile's `lock`."""
TIMEOUT_S: Final = 300
SHOWN: Final = 40


def difference(root: Path = ROOT) -> list[str]:
    """Lines that the resolver would change; none if the lock is what it gives.

    Raises:
        OSError: The index cannot be reached, or uv is not installed.
        ValueError: The requirements contradict each other.
    """
    with tempfile.TemporaryDirectory(prefix="kandle-lock-") as folder:
        for name in ("pyproject.toml", NAME):
            shutil.copy(root / name, folder)
        command = [str(Path(sys.executable).with_name("uv")), *COMMAND]
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
        if "No solution found" in done.stderr:
            raise ValueError(done.stderr.strip())
        if done.returncode:
            raise OSError(done.stderr.strip())
        new = (Path(folder) / NAME).read_text("utf-8").splitlines()
    old = (root / NAME).read_text("utf-8").splitlines()
    return list(difflib.unified_diff(old, new, NAME, "resolved", lineterm="", n=0))


def main() -> int:
    """Compare."""
    try:
        lines = difference()
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    except (OSError, subprocess.TimeoutExpired) as error:
        print(f"not checked: {error}", file=sys.stderr)
        return 2
    if lines:
        print("\n".join(lines[:SHOWN]))
        print(f"{NAME} is not what the resolver gives for pyproject.toml: make lock", file=sys.stderr)
        return 1
    print(f"{NAME} is what the resolver gives for pyproject.toml")
    return 0


if __name__ == "__main__":
    sys.exit(main())
