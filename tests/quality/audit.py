"""Are there known vulnerabilities in what requirements.lock names? pip-audit asks the package index.

python -m tests.quality.audit

Ends with 0 if all packages were looked up and none has any, with 1 if one has, with 2 if the service could
not be asked about all of them: an audit that has not taken place is no good news.
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
AUDITOR: Final = "pip-audit==2.10.1"
"""Run by uv in an environment of its own: it needs much that nothing else here needs."""
OPTIONS: Final = ("-r", "requirements.lock", "--require-hashes", "--disable-pip", "--format", "json")
TIMEOUT_S: Final = 600


def judged(packages: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[str]]:
    """What was found, a line each, and the names of packages that could not be looked up."""
    found, unknown = [], []
    for package in packages:
        if "skip_reason" in package:
            unknown.append(str(package["name"]))
        for each in package.get("vulns", ()):
            fixed = ", ".join(each["fix_versions"]) or "no version"
            found.append(f"{package['name']} {package['version']}: {each['id']}, mended in {fixed}")
    return found, unknown


def main() -> int:
    """Ask."""
    command = [str(Path(sys.executable).with_name("uv")), "tool", "run", "--quiet", AUDITOR, *OPTIONS]
    try:
        done = subprocess.run(
            [*command, "--progress-spinner", "off"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        packages = json.loads(done.stdout)["dependencies"]
    except (OSError, subprocess.TimeoutExpired) as error:
        print(f"not audited: {error}", file=sys.stderr)
        return 2
    except (ValueError, KeyError):
        print(f"not audited: {done.stderr.strip()[-500:]}", file=sys.stderr)
        return 2
    found, unknown = judged(packages)
    for line in found:
        print(line)
    if found:
        return 1
    if unknown:
        names = "all" if len(unknown) == len(packages) else ", ".join(unknown)
        print(f"NOT AUDITED: no list of vulnerabilities could be asked about {names}", file=sys.stderr)
        return 2
    print(f"{len(packages)} packages, no known vulnerability")
    return 0


if __name__ == "__main__":
    sys.exit(main())
