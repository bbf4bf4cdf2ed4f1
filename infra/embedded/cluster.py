"""One embedded server for as long as it is needed: the one that runs, or one started for the purpose.

All of these block, for seconds at most once the jars are there; call them from the main thread.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.embedded.child import Child, ChildSpec
from infra.embedded.directory_lock import DirectoryLock, holder_pid
from infra.embedded.endpoints import Endpoints, EndpointsFile, KafkaEndpoint, PostgresEndpoint, Stage
from infra.embedded.identity import end_process, process_identity
from infra.embedded.jars import Progress
from infra.embedded.kafka import KafkaServer
from infra.embedded.postgres import PostgresServer
from infra.embedded.stage_log import StageLog
from schemas.errors import UnavailableError


@contextmanager
def running(spec: ChildSpec, data_dir: Path) -> Iterator[Child]:
    """A child process that is ready, stopped at the end.

    Raises:
        ChildFailedError: It did not become ready.
    """
    log = StageLog.of(data_dir, spec.name)
    log.rotate()
    child = Child.start(spec, log)
    try:
        child.wait_until_ready()
        yield child
    finally:
        child.stop()


@contextmanager
def broker(data_dir: Path, progress: Progress | None = None) -> Iterator[str]:
    """Bootstrap servers of the data directory's broker; started for the purpose when it does not run.

    Raises:
        UnavailableError: Another process holds the directory and has no broker of its own there.
        KandleError: What `KafkaServer.prepare` and `running` raise.
    """
    live = EndpointsFile(data_dir).read_live()
    if live is not None:
        if live.kafka is None:
            raise _without(data_dir, "Kafka")
        yield live.kafka.bootstrap_servers
        return
    with DirectoryLock(data_dir):
        end_leftovers(data_dir)
        server = KafkaServer.prepare(data_dir, progress=progress)
        with running(server.spec, data_dir) as child:
            found = Endpoints(kafka=KafkaEndpoint(bootstrap_servers=server.bootstrap_servers))
            with _published(data_dir, found, child):
                yield server.bootstrap_servers


@contextmanager
def database(data_dir: Path) -> Iterator[str]:
    """URL of the data directory's database; started for the purpose when it does not run.

    Raises:
        UnavailableError: Another process holds the directory and has no database of its own there.
        KandleError: What `PostgresServer.prepare` and `running` raise.
    """
    live = EndpointsFile(data_dir).read_live()
    if live is not None:
        if live.postgres is None:
            raise _without(data_dir, "PostgreSQL")
        yield live.postgres.dsn
        return
    with DirectoryLock(data_dir):
        end_leftovers(data_dir)
        server = PostgresServer.prepare(data_dir)
        with (
            running(server.spec, data_dir) as child,
            _published(data_dir, Endpoints(postgres=PostgresEndpoint(dsn=server.dsn)), child),
        ):
            yield server.dsn


@contextmanager
def servers(data_dir: Path) -> Iterator[tuple[str, str]]:
    """Bootstrap servers of the data directory's broker and URL of its database; started when they do not run.

    Raises:
        UnavailableError: Another process holds the directory and has not both of them there.
        KandleError: As `broker` and `database`.
    """
    live = EndpointsFile(data_dir).read_live()
    if live is not None:
        if live.kafka is None or live.postgres is None:
            raise _without(data_dir, "Kafka" if live.kafka is None else "PostgreSQL")
        yield live.kafka.bootstrap_servers, live.postgres.dsn
        return
    with DirectoryLock(data_dir):
        end_leftovers(data_dir)
        kafka, postgres = KafkaServer.prepare(data_dir), PostgresServer.prepare(data_dir)
        found = Endpoints(
            kafka=KafkaEndpoint(bootstrap_servers=kafka.bootstrap_servers),
            postgres=PostgresEndpoint(dsn=postgres.dsn),
        )
        with (
            running(postgres.spec, data_dir) as second,
            running(kafka.spec, data_dir) as first,
            _published(data_dir, found, first, second),
        ):
            yield kafka.bootstrap_servers, postgres.dsn


def end_leftovers(data_dir: Path) -> list[str]:
    """End processes of an earlier run that `endpoints.json` names and that still live; blocks until then.

    Where the kernel ends children with their parent there are none. The caller holds the directory's lock.

    Returns:
        Names of the stages that were ended.
    """
    stages = EndpointsFile(data_dir).read().stages
    return [
        name
        for name, stage in stages.items()
        if stage.pid is not None and end_process(stage.pid, stage.identity)
    ]


@contextmanager
def _published(data_dir: Path, endpoints: Endpoints, *children: Child) -> Iterator[None]:
    """List what runs in `endpoints.json` for as long as it does."""
    file = EndpointsFile(data_dir)
    stages = {
        child.spec.name: Stage(state="running", pid=child.pid, identity=process_identity(child.pid))
        for child in children
    }
    file.write(Endpoints(pid=os.getpid(), kafka=endpoints.kafka, postgres=endpoints.postgres, stages=stages))
    try:
        yield
    finally:
        file.write(Endpoints(stages={child.spec.name: Stage(state="stopped") for child in children}))


def _without(data_dir: Path, server: str) -> UnavailableError:
    return UnavailableError(
        f"process {holder_pid(data_dir)} uses {data_dir} and has no {server} there (yet): try again, "
        "or name yours with KAFKA_BOOTSTRAP_SERVERS and DATABASE_URL"
    )
