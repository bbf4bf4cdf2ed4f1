"""The peers of the processors' measurement: each reads the same log on the core of the worker.

Each counts what it has processed in its own process and prints one JSON object; its outputs need not have
been acknowledged by then. Who cannot be installed is reported with the reason.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import uuid
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from schemas.topics import TRADES
from tests.bench import kafka_streams
from tests.bench.bench_broker import WORKER_CORE, Broker, pinned

ROOT = Path(__file__).parents[2]
FOLDER = user_cache_path("kandle") / "bench-peers"
TIMEOUT_S = 600
QUIX = "quixstreams==3.28.1"


def guarded(measure: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """Report why a peer has no figures, in place of figures."""

    def run(*given: Any) -> dict[str, Any]:
        try:
            return measure(*given)
        except subprocess.CalledProcessError as error:
            return {"unavailable": f"ended with {error.returncode}: {(error.stderr or '').strip()[-1000:]}"}
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:
            return {"unavailable": str(error)}

    return run


def _run(command: list[str], scratch: str) -> dict[str, Any]:
    with pinned(WORKER_CORE):
        done = subprocess.run(
            command,
            cwd=scratch,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=True,
        )
    # Faust prints around it.
    found = re.search(r"\{.*\}", done.stdout)
    if found is None:
        raise RuntimeError(f"{command[0]} printed no figures: {done.stdout[-500:]}{done.stderr[-500:]}")
    took = json.loads(found[0])
    return {
        "trades_per_s": round(took["trades"] / took["seconds"]),
        "trades_per_cpu_s": round(took["trades"] / took["cpu_s"]),
        "trades": took["trades"],
    }


def _outputs(broker: Broker, count: int) -> list[str]:
    names = [f"peer-{uuid.uuid4().hex[:8]}-{number}" for number in range(count)]
    broker.make(names)
    return names


@guarded
def kafka_streams_peer(broker: Broker, first: int, last: int) -> dict[str, Any]:
    """Both readers; each figure is that of the better one."""
    path = kafka_streams.class_path(FOLDER / f"kafka-streams-{kafka_streams.VERSION}")
    runs: dict[str, dict[str, Any]] = {}
    for reader in ("direct", "generic"):
        with tempfile.TemporaryDirectory() as scratch:
            arguments = [broker.servers, TRADES.name, *_outputs(broker, 2), str(first), str(last), reader]
            arguments += [str(kafka_streams.TRADE_SCHEMA), scratch]
            runs[reader] = _run(kafka_streams.command(path, arguments), scratch)
    best = {name: max(run[name] for run in runs.values()) for name in ("trades_per_s", "trades_per_cpu_s")}
    return {**best, "trades": last - first, "runs": runs}


@guarded
def faust_peer(broker: Broker, first: int, last: int) -> dict[str, Any]:
    """In the environment of the project, with the transport that Faust comes with."""
    script = Path(__file__).with_name("faust_peer.py")
    with tempfile.TemporaryDirectory() as scratch:
        arguments = [broker.servers, TRADES.name, *_outputs(broker, 2), str(first), str(last)]
        return _run([sys.executable, str(script), *arguments], scratch)


@guarded
def quix_peer(broker: Broker, first: int, last: int) -> dict[str, Any]:
    """In an environment of its own below the cache folder."""
    python = FOLDER / QUIX / "bin" / "python"
    if not python.exists():
        venv.create(FOLDER / QUIX, with_pip=True)
    install = [str(python), "-m", "pip", "install", "-q", QUIX, "fastavro"]
    subprocess.run(install, check=True, capture_output=True, text=True, timeout=TIMEOUT_S)
    script = Path(__file__).with_name("quix_peer.py")
    with tempfile.TemporaryDirectory() as scratch:
        arguments = [broker.servers, TRADES.name, *_outputs(broker, 1), str(first), str(last)]
        return _run([str(python), str(script), *arguments], scratch)
