"""Whether a process of `kandle up` runs and is ready, as its supervisor and its probe tell."""

import asyncio
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Final

import msgspec

from infra.embedded.endpoints import EndpointsFile, Stage
from infra.health.results import Verdict, healthy, unhealthy, unknown

PROBE_TIMEOUT_S: Final = 2.0
START_S: Final = 30.0
"""A process that was never ready is not yet called unhealthy for so long after it was first seen."""
SINK: Final = "sink-"
"""How names begin of sinks, as services and as checks of a probe."""
STAGES: Final = frozenset({"produce", "process", "sink"})
"""Processes that a pipeline consists of, by their names in endpoints.json."""


class _Answer(msgspec.Struct):
    """What a probe answers (see `infra.probes`)."""

    checks: dict[str, str]


class Processes:
    """The processes of a pipeline that a supervisor runs on a data directory.

    Args:
        data_dir: Where its endpoints.json is.
    """

    def __init__(self, data_dir: Path) -> None:
        self._file = EndpointsFile(data_dir)
        self._seen: dict[tuple[str, int | None], float | None] = {}

    def supervised(self) -> dict[str, Stage]:
        """The processes by name; none where a pipeline is run by somebody else, or not at all."""
        live = self._file.read_live()
        stages = {} if live is None else live.stages
        return stages if STAGES & stages.keys() else {}

    async def verdict(self, stages: dict[str, Stage], name: str, service: str) -> Verdict:
        """How one of the processes is: one that has only begun has some time to become ready.

        Args:
            stages: The processes.
            name: Of the process.
            service: The one that is judged: what fails of another sink of the same process is not its fault.
        """
        stage = stages.get(name)
        if stage is None:
            return unknown("was not started yet")
        if stage.state == "starting":
            return unknown("is starting", restarts=stage.restarts)
        if stage.state != "running":
            return unhealthy(f"the process {name} is {stage.state}", restarts=stage.restarts)
        reason = None
        if stage.metrics_port:
            reason = await asyncio.to_thread(_not_ready, stage.metrics_port, service)
        facts = {"pid": stage.pid, "restarts": stage.restarts}
        first_seen = self._seen.setdefault((name, stage.pid), time.monotonic())
        if reason is None:
            self._seen[name, stage.pid] = None
            return healthy(**facts)
        if first_seen is not None and time.monotonic() - first_seen < START_S:
            return unknown(f"is not ready yet: {reason}", **facts)
        return unhealthy(f"the process {name} is not ready: {reason}", **facts)


def _not_ready(port: int, service: str) -> str | None:
    """Why a service of a process is not ready; None if it is. Blocks, for `PROBE_TIMEOUT_S` at most."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=PROBE_TIMEOUT_S):
            return None
    except urllib.error.HTTPError as error:
        with error:
            checks = _checks(error.read())
        if checks is None:
            return f"its probe answers {error.code}"
        own = {name: said for name, said in checks.items() if name == service or not name.startswith(SINK)}
        return "; ".join(f"{name}: {said}" for name, said in own.items() if said != "ok") or None
    except (OSError, urllib.error.URLError) as error:
        return f"its probe on port {port} does not answer ({getattr(error, 'reason', error)})"


def _checks(body: bytes) -> dict[str, str] | None:
    """The checks of the answer of a probe; None if it is no such answer."""
    try:
        return msgspec.json.decode(body, type=_Answer).checks
    except msgspec.DecodeError:
        return None
