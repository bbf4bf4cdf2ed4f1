"""Chooses from `requirements.lock` what an image needs; the Dockerfile runs it, with nothing installed.

The lock covers every extra, tests and documentation too. pip resolves what the image asks for under the
lock's pins (`wanted`, `pins`), without installing; `chosen` then takes those packages out of the lock, hashes
and all, so that nothing is installed that is not written there.
"""

import json
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

_PACKAGE = re.compile(
    r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;\\]+)(?P<marker>\s*;[^\\]*)?", re.MULTILINE
)


def normal(name: str) -> str:
    """A package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def blocks(lock: str) -> Iterator[tuple[str, str]]:
    """Each package of a lock: its normal name and all its lines."""
    starts = [found.start() for found in _PACKAGE.finditer(lock)]
    for begin, end in zip(starts, [*starts[1:], len(lock)], strict=True):
        found = _PACKAGE.match(lock, begin)
        assert found is not None
        yield normal(found["name"]), lock[begin:end]


def wanted(project: str, extras: list[str]) -> list[str]:
    """The requirements of a pyproject.toml with some of its extras.

    Raises:
        KeyError: There is no such extra.
    """
    table = tomllib.loads(project)["project"]
    return [
        *table["dependencies"],
        *(each for name in extras for each in table["optional-dependencies"][name]),
    ]


def pins(lock: str) -> list[str]:
    """The lock's versions, as constraints."""
    return [found.group().rstrip(" \\") for found in _PACKAGE.finditer(lock)]


def chosen(lock: str, report: str) -> str:
    """The part of a lock that pip's installation report names.

    Raises:
        KeyError: The report names a package that the lock does not hold.
    """
    held: dict[str, str] = {}
    for name, lines in blocks(lock):
        # A package may stand there twice, with other markers.
        held[name] = held.get(name, "") + lines
    names = sorted({normal(each["metadata"]["name"]) for each in json.loads(report)["install"]})
    return "".join(held[name] for name in names)


def main(arguments: list[str]) -> None:
    """`wanted PYPROJECT EXTRAS`, `pins LOCK` or `chosen LOCK REPORT`, to standard output."""
    match arguments:
        case ["wanted", project, extras]:
            print("\n".join(wanted(Path(project).read_text(), [name for name in extras.split(",") if name])))
        case ["pins", lock]:
            print("\n".join(pins(Path(lock).read_text())))
        case ["chosen", lock, report]:
            print(chosen(Path(lock).read_text(), Path(report).read_text()), end="")
        case _:
            sys.exit(main.__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
