"""Shared fixtures. Servers are started when the first test asks for one, and serve the whole session."""

import os
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from infra.embedded import cluster

CAPTURES_VARIABLE = "KANDLE_TEST_CAPTURES"
CAPTURES_DEFAULT = Path(__file__).parents[2] / "shared" / "recorded"


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

        def fresh() -> str:
            name = f"test_{uuid.uuid4().hex[:12]}"
            with psycopg.connect(dsn, autocommit=True) as connection:
                connection.execute(f'CREATE DATABASE "{name}"'.encode())
            return f"{dsn.rpartition('/')[0]}/{name}"

        yield fresh


@pytest.fixture(scope="session")
def captures() -> Path:
    """Folder of recorded captures; tests that need them are skipped where there are none."""
    folder = Path(os.environ.get(CAPTURES_VARIABLE) or CAPTURES_DEFAULT)
    if not any(folder.glob("*.capture.gz")):
        pytest.skip(f"no captures in {folder}: set {CAPTURES_VARIABLE}")
    return folder
