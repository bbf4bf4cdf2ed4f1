"""`endpoints.json`: where everything of a data directory listens, and how its stages are."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec

from infra.embedded import directory_lock

NAME = "endpoints.json"

StageState = Literal["starting", "running", "restarting", "finished", "stopped", "failed"]


class KafkaEndpoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where Kafka listens: `bootstrap_servers`, comma separated host:port."""

    bootstrap_servers: str


class PostgresEndpoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where PostgreSQL listens: `dsn`, a postgresql:// URL with the password."""

    dsn: str


class Resources(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a process and its children use.

    Attributes:
        cpu_percent: Of one core, over the last few seconds: 200 is two cores.
        memory_bytes: What would be free without them: pages that several share count in part.
    """

    cpu_percent: float
    memory_bytes: int


class Stage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One supervised process.

    Attributes:
        state: What it does.
        pid: Process id; None when it does not run.
        restarts: How often it was started again in this run.
        metrics_port: Where it serves metrics; 0 for nowhere.
        url: Where it answers people and programs; None for nowhere.
        identity: Tells the process from a later one with the same id.
        resources: What it uses; None when it does not run or was not measured yet.
    """

    state: StageState
    pid: int | None = None
    restarts: int = 0
    metrics_port: int = 0
    url: str | None = None
    identity: str | None = None
    resources: Resources | None = None


class Endpoints(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=False):
    """Contents of the file.

    Attributes:
        pid: The supervisor's process id; None when nothing runs.
        kafka: The broker; None before it has been started.
        postgres: The database; None before it has been started.
        stages: By stage name, servers included.
        disk_bytes: What the directory occupies on the disk; None before it was measured.
    """

    pid: int | None = None
    kafka: KafkaEndpoint | None = None
    postgres: PostgresEndpoint | None = None
    stages: dict[str, Stage] = {}
    disk_bytes: int | None = None


class EndpointsFile:
    """Reads and writes the file; only the holder of the directory's lock writes.

    It is replaced as a whole, so that a reader never sees half of it, and readable by its owner alone, as it
    holds the database password.
    """

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.path = data_dir / NAME

    def read(self) -> Endpoints:
        """What the file says; empty when there is none or it is not ours."""
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=Endpoints)
        except (FileNotFoundError, msgspec.DecodeError):
            return Endpoints()

    def read_live(self) -> Endpoints | None:
        """What the file says while some process holds the directory; None when nothing runs there."""
        if not directory_lock.is_held(self.data_dir):
            return None
        found = self.read()
        # A holder that has not written yet must not be taken for its predecessor.
        return found if found.pid == directory_lock.holder_pid(self.data_dir) else Endpoints()

    def write(self, endpoints: Endpoints) -> None:
        """Replace the contents."""
        draft = self.path.with_name(f".{NAME}.{os.getpid()}")
        file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(file, "wb") as stream:
            stream.write(msgspec.json.format(msgspec.json.encode(endpoints), indent=2) + b"\n")
        draft.replace(self.path)

    def update(self, change: Callable[[Endpoints], Endpoints]) -> Endpoints:
        """Replace the contents by what `change` makes of them."""
        changed = change(self.read())
        self.write(changed)
        return changed
