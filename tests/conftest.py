"""Shared fixtures. Servers are started when the first test asks for one, and serve the whole session."""

import logging
import os
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import psycopg
import pytest
import structlog

from infra.embedded import cluster

CAPTURES_VARIABLE = "KANDLE_TEST_CAPTURES"
TIMESCALE_VARIABLE = "KANDLE_TEST_TIMESCALE_URL"
CAPTURES_DEFAULT = Path(__file__).parents[2] / "shared" / "recorded"

# How long a draw or an example takes says something about the machine, and nothing about the code.
hypothesis.settings.register_profile(
    "kandle", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("kandle")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--run-chaos`: every fault in full, under an hour; otherwise a short selection of each."""
    parser.addoption("--run-chaos", action="store_true", help="faults in full instead of a selection")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the tests marked `full` to `make chaos`."""
    if config.getoption("--run-chaos"):
        return
    for item in items:
        if item.get_closest_marker("full") is not None:
            item.add_marker(pytest.mark.skip(reason="takes long: make chaos, or --run-chaos"))


@pytest.fixture(autouse=True)
def _process_of_one_test(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a test sets up for its process is forgotten: where modules are found, and how logs are written.

    Loggers are not kept as they were at their first line either: whoever captures logs hears them all.
    """
    configure, root = structlog.configure, logging.getLogger()

    def configured(**options: Any) -> None:
        configure(**{**options, "cache_logger_on_first_use": False})

    monkeypatch.setattr(structlog, "configure", configured)
    path, handlers, level, config = sys.path[:], root.handlers[:], root.level, structlog.get_config()
    yield
    sys.path[:] = path
    configure(**config)
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(scope="session")
def in_full(pytestconfig: pytest.Config) -> bool:
    """Whether faults are to be injected in full number."""
    return bool(pytestconfig.getoption("--run-chaos"))


@pytest.fixture(scope="session")
def kafka() -> Iterator[str]:
    """Bootstrap servers of a real broker that all tests share: name topics and groups of your own."""
    with (
        tempfile.TemporaryDirectory(prefix="kandle-kafka-") as folder,
        cluster.broker(Path(folder)) as servers,
    ):
        yield servers


@pytest.fixture(scope="session")
def postgres() -> Iterator[Callable[[], str]]:
    """Makes databases on a real server: every call returns the URL of a fresh, empty one."""
    with (
        tempfile.TemporaryDirectory(prefix="kandle-postgres-") as folder,
        cluster.database(Path(folder)) as dsn,
    ):
        yield _fresh_databases(dsn)


@pytest.fixture(scope="session")
def timescale() -> Iterator[Callable[[], str]]:
    """As `postgres`, on a real TimescaleDB; its tests say that they were skipped where there is none.

    The databases are dropped at the end: each keeps a scheduler of TimescaleDB running.
    """
    dsn = os.environ.get(TIMESCALE_VARIABLE)
    if not dsn:
        pytest.skip(f"no TimescaleDB: set {TIMESCALE_VARIABLE}")
    made: list[str] = []
    fresh = _fresh_databases(dsn)

    def recorded() -> str:
        made.append(fresh())
        return made[-1]

    yield recorded
    with psycopg.connect(dsn, autocommit=True) as connection:
        for url in made:
            name = url.rpartition("/")[2]
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


@pytest.fixture(scope="session", params=["postgres", "timescale"], ids=["native", "timescale"])
def sink_database(request: pytest.FixtureRequest) -> Callable[[], str]:
    """As `postgres`; its tests run once more on a real TimescaleDB, or say that they were skipped."""
    found: Callable[[], str] = request.getfixturevalue(request.param)
    return found


def _fresh_databases(dsn: str) -> Callable[[], str]:
    def fresh() -> str:
        name = f"test_{uuid.uuid4().hex[:12]}"
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"'.encode())
        return f"{dsn.rpartition('/')[0]}/{name}"

    return fresh


@pytest.fixture(scope="session")
def captures() -> Path:
    """Folder of recorded captures; tests that need them are skipped where there are none."""
    folder = Path(os.environ.get(CAPTURES_VARIABLE) or CAPTURES_DEFAULT)
    if not any(folder.glob("*.capture.gz")):
        pytest.skip(f"no captures in {folder}: set {CAPTURES_VARIABLE}")
    return folder
