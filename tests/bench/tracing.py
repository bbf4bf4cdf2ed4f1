"""What traces cost: CPU time of the producer, the worker and the sink, off and on, in pairs.

Each figure is a median of ratios. A pair is measured in one process, one after the other, in changing order:
so what else the machine does meets both. CPU time is that of all threads, the sending of spans included; the
collector is a process of its own.

- producer: frames of Binance's trades on a session's way (choose, parse, encode, publish), with a real broker
- worker: fetched batches of trades through both agents, the packing of what they write included
- sink: fetched batches to committed rows in a real PostgreSQL

`on` traces 1 % of the frames, so that 1 % of the records have the header. With --before DIR,
a checkout of the code before traces, `off` compares with that, each side in processes of its own.

python -m tests.bench.tracing --json
python -m tests.bench.tracing --before /tmp/before --json
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from infra import tracing
from infra.embedded import cluster
from infra.kafka.admin import Admin
from infra.metrics.tracing import SPANS_DROPPED, SPANS_SENT
from infra.settings import KafkaSettings, TracingSettings
from tests.bench import tracing_paths
from tests.bench.logs import warnings_alone
from tests.bench.tracing_paths import PATHS

PAIRS: Final = 10
RUNS: Final = 3
"""Of each side of a pair."""
SAMPLE: Final = 0.01
SCRIPT: Final = Path(tracing_paths.__file__)
ROOT: Final = Path(__file__).parents[2]


def ratios(measure: Callable[[bool], float], count: int) -> dict[str, Any]:
    """Figures of pairs: without and with."""
    measure(False), measure(True)
    runs = []
    for number in range(count):
        order = (False, True) if number % 2 else (True, False)
        found = {which: measure(which) for which in order}
        runs.append((found[False], found[True]))
    compared = sorted(b / a for a, b in runs)
    return {
        "without_us": round(statistics.median(a for a, _ in runs), 3),
        "with_us": round(statistics.median(b for _, b in runs), 3),
        "ratio": round(statistics.median(compared), 4),
        "ratios": [round(ratio, 4) for ratio in compared],
    }


def on(path: str, servers: str, database: str, endpoint: str, count: int) -> dict[str, Any]:
    """A path with traces of 1 % by the same without."""

    def measure(is_on: bool) -> float:
        tracing.configure(TracingSettings(sample=SAMPLE if is_on else 0.0, endpoint=endpoint), "bench")
        try:
            # The least of some runs: what else the machine does only ever adds.
            return min(asyncio.run(PATHS[path](servers, database, SAMPLE * is_on)) for _ in range(RUNS))
        finally:
            tracing.close()

    before = SPANS_SENT._value.get()
    figures = ratios(measure, count)
    sent = int(SPANS_SENT._value.get() - before)
    return figures | {"spans_sent": sent, "spans_left_out": int(SPANS_DROPPED.labels("batch")._value.get())}


@contextmanager
def collector() -> Iterator[str]:
    """A collector in a process of its own; where it is."""
    serve = (
        "import sys; from tests.trace_collector import collecting\n"
        "with collecting() as c: print(c.endpoint, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", serve], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        yield child.stdout.readline().strip()
        child.kill()


def off(path: str, servers: str, database: str, before: Path, count: int) -> dict[str, Any]:
    """A path without traces by the same on the code before them."""

    def measure(is_ours: bool) -> float:
        environment = os.environ | {"PYTHONPATH": str(ROOT if is_ours else before)}
        command = [sys.executable, str(SCRIPT), path, servers, database, str(RUNS)]
        answer = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=True, timeout=300
        )
        return min(float(line) for line in answer.stdout.splitlines())

    return ratios(measure, count)


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on one line")
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--paths", default=",".join(PATHS), help="of producer, worker and sink")
    parser.add_argument("--before", type=Path, help="a checkout of the code before traces")
    given = parser.parse_args()
    warnings_alone()
    figures: dict[str, Any] = {"sample": SAMPLE, "pairs": given.pairs}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kandle-bench-")))
        servers = stack.enter_context(cluster.broker(folder / "kafka"))
        database = stack.enter_context(cluster.database(folder / "postgres"))
        Admin(KafkaSettings(bootstrap_servers=servers)).ensure_topics()
        endpoint = stack.enter_context(collector())
        for path in given.paths.split(","):
            found = {"on": on(path, servers, database, endpoint, given.pairs)}
            if given.before is not None:
                found["off"] = off(path, servers, database, given.before, given.pairs)
            figures[path] = found
    print(json.dumps(figures) if given.json else json.dumps(figures, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
