"""All measurements with their peers, one after the other; what they give is stored and shown.

Each runs in a process of its own. Its ratios are compared with the stored ones; then its result is stored in
tests/bench/results/, and docs/performance.md with its pictures is made anew. What is done stays when a run is
interrupted. A result is NOT stored when the machine was busy before (--busy stores it), when a ratio is worse
than the stored one by more than its tolerance, or when a peer is missing that the stored result has (--accept
stores it), and never with --quick.

Ends with 0; with 1 if one failed, or a ratio is worse by more than its tolerance; with 130 when interrupted.

    make bench                                  all, about an hour
    make bench ARGS="processors serve"          some; processors-memory and the like belong to processors
    make bench ARGS="--quick"                   does everything still run? small sizes, ten minutes
    make bench ARGS="--list"                    what there is
    make bench ARGS="--render"                  only make the page anew
"""

import argparse
import json
import signal
import sys
import time
from types import FrameType
from typing import Any

from rich.console import Console

from tests.bench.suite.bench import Bench
from tests.bench.suite.page import PAGE, render
from tests.bench.suite.registry import chosen
from tests.bench.suite.results import Result
from tests.bench.suite.round import Round


def main(arguments: list[str] | None = None) -> int:
    """Run them."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="measurements; all if none is named")
    parser.add_argument("--quick", action="store_true", help="small sizes; nothing is stored")
    parser.add_argument("--busy", action="store_true", help="store also what a busy machine gave")
    parser.add_argument("--accept", action="store_true", help="store also ratios that are worse, or fewer")
    parser.add_argument("--list", action="store_true", help="what there is, and stop")
    parser.add_argument("--render", action="store_true", help="only make docs/performance.md anew")
    parser.add_argument("--json", action="store_true", help="all figures as one JSON object at the end")
    given = parser.parse_args(arguments)
    try:
        benches = chosen(given.names)
    except ValueError as error:
        parser.error(str(error))
    if given.list:
        listed(benches)
        return 0
    if given.render:
        render(PAGE.read_text("utf-8")).write()
        return 0
    signal.signal(signal.SIGTERM, _interrupt)
    console = Console(stderr=True)
    runs = Round(console, quick=given.quick, busy=given.busy, accept=given.accept)
    began, code = time.monotonic(), 0
    expected = "small sizes" if given.quick else f"about {minutes_of(benches):.0f} min"
    console.print(f"measurements: {len(benches)}, {expected}", markup=False)
    try:
        for bench in benches:
            runs.run(bench)
    except KeyboardInterrupt:
        code = 130
        console.print("interrupted: what was done is kept")
    finally:
        if runs.stored:
            render(PAGE.read_text("utf-8")).write()
    runs.conclude(time.monotonic() - began)
    if given.json:
        print(json.dumps(runs.found))
    return code or int(bool(runs.failed or runs.worse))


def _interrupt(_signal: int, _frame: FrameType | None) -> Any:
    """End as by Ctrl-C: the measurement under way ends its servers."""
    raise KeyboardInterrupt


def listed(benches: list[Bench]) -> None:
    """One line a measurement."""
    for bench in benches:
        result = Result.read(bench.name)
        state = result.taken if result else "-"
        print(f"{bench.name:20} {bench.minutes:>5g} min  {state:10}  {bench.about}")
    print(f"{minutes_of(benches):.0f} min in all")


def minutes_of(benches: list[Bench]) -> float:
    """What they take one after the other."""
    return sum(bench.minutes for bench in benches)


if __name__ == "__main__":
    sys.exit(main())
