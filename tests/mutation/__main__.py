"""Do the tests notice mistakes? Each change of a module is tried against its tests, on a copy of the tree.

Survivors are listed; those in explained.json, which no test can see, with the reason. Ends with 1 if another
one survives, or a reason is given for one that no longer does.

    make mutants                                        a selection, the same each time
    make mutants ARGS="--target books --all"            all changes of one target
    make mutants ARGS="--match _take_delta --all"       changes whose name has a text in it
    make mutants ARGS="--list"                          what there is
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Final

from tests.mutation.mutants import Mutant, mutants
from tests.mutation.targets import TARGETS, Target
from tests.mutation.trial import ROOT, Copy, copied, preload

EXPLAINED: Final = Path(__file__).with_name("explained.json")
LEAST_LIMIT_S: Final = 60.0
MOST_S: Final = 1_800.0
TIMES: Final = 6
"""A change that takes so many times as long as the tests do unchanged is given up."""


def selection(target: Target, match: str, most: int | None) -> list[Mutant]:
    """The changes of a target that are tried, by their place."""
    found = [
        mutant
        for path in target.modules
        for mutant in mutants(path, (ROOT / path).read_text("utf-8"))
        if match in mutant.name
    ]
    if most is None or len(found) <= most:
        return found
    kept = {mutant.rank for mutant in sorted(found, key=lambda each: each.rank)[:most]}
    return [mutant for mutant in found if mutant.rank in kept]


def unchanged_s(copy: Copy, target: Target, report: Path | None = None) -> float:
    """How long the tests take as long as nothing is changed.

    Raises:
        RuntimeError: They fail.
    """
    began = time.monotonic()
    if copy.run(target.tests, MOST_S, report) != "survived":
        raise RuntimeError(f"the tests of {target.name} fail without a change: {' '.join(target.tests)}")
    return time.monotonic() - began


def tried(copy: Copy, target: Target, chosen: list[Mutant], explained: dict[str, str]) -> tuple[int, int]:
    """Try changes; how many survived without a reason, and how many reasons are not needed.

    Raises:
        RuntimeError: The tests fail without a change.
    """
    report = copy.root / "modules"
    alone_s = unchanged_s(copy, target, report)
    preload(report)
    alone_s = unchanged_s(copy, target)
    print(f"{target.name}: {len(chosen)} changes, the tests take {alone_s:.1f} s", flush=True)
    survivors, needless, caught = 0, 0, 0
    began = time.monotonic()
    for number, mutant in enumerate(chosen, 1):
        with copy.changed(mutant.path, mutant.source):
            verdict = copy.run(target.tests, max(LEAST_LIMIT_S, TIMES * alone_s))
        reason = explained.get(mutant.name)
        if verdict != "survived":
            caught += 1
            if reason:
                needless += 1
                print(f"  caught, though explained: {mutant.name}", flush=True)
        elif reason:
            print(f"  explained: {mutant.name}\n      {reason}", flush=True)
        else:
            survivors += 1
            print(f"  SURVIVED {mutant.path}:{mutant.line} {mutant.name}", flush=True)
        if number % 25 == 0:
            print(f"  {number} of {len(chosen)}, {time.monotonic() - began:.0f} s", flush=True)
    share = caught / len(chosen) if chosen else 1.0
    print(
        f"{target.name}: {caught} of {len(chosen)} caught ({share:.1%}), "
        f"{survivors} survived without a reason, {time.monotonic() - began:.0f} s",
        flush=True,
    )
    return survivors, needless


def main() -> int:
    """Try them."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = [target.name for target in TARGETS]
    parser.add_argument("--target", action="append", choices=names, help="one alone; may be repeated")
    parser.add_argument("--all", action="store_true", help="all changes instead of a selection")
    parser.add_argument("--match", default="", help="only changes with this in their names")
    parser.add_argument("--list", action="store_true", help="what would be tried, and stop")
    given = parser.parse_args()
    explained: dict[str, str] = json.loads(EXPLAINED.read_text("utf-8"))
    failed = 0
    for target in TARGETS:
        if given.target and target.name not in given.target:
            continue
        chosen = selection(target, given.match, None if given.all else target.most)
        if given.list:
            print("\n".join(f"{mutant.path}:{mutant.line} {mutant.name}" for mutant in chosen))
            continue
        with copied() as copy:
            failed += sum(tried(copy, target, chosen, explained))
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
