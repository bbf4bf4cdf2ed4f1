"""The broker of a measurement: on a core of its own, with a log in it."""

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

from infra.embedded import cluster
from infra.embedded.endpoints import EndpointsFile
from infra.kafka.admin import Admin
from infra.settings import KafkaSettings
from schemas.topics import Topic
from tests.bench.trade_log import TradeLog

PARTITIONS = 4
POLL_S = 0.05
CORES = sorted(os.sched_getaffinity(0))
WORKER_CORE, BROKER_CORE = CORES[0], CORES[-1]


@contextmanager
def pinned(*cores: int) -> Iterator[None]:
    """What is started inside runs on these cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def cpu_s(process: psutil.Process) -> float:
    """CPU seconds that a process has used, all of its threads."""
    times = process.cpu_times()
    return float(times.user + times.system)


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker that runs.

    Attributes:
        servers: Where it listens.
        process: Its process.
        client: For questions.
    """

    servers: str
    process: psutil.Process
    client: AdminClient

    def end(self, topic: str) -> int:
        """Records that a topic has ever held."""
        places = {TopicPartition(topic, number): OffsetSpec.latest() for number in range(PARTITIONS)}
        return sum(int(future.result(10).offset) for future in self.client.list_offsets(places).values())

    def clear(self, topics: Sequence[Topic]) -> None:
        """Make topics anew, so that a run finds nothing of the one before."""
        names = {topic.name for topic in topics}
        for future in self.client.delete_topics(sorted(names)).values():
            future.result(10)
        while names & set(self.client.list_topics(timeout=10).topics):
            time.sleep(POLL_S)
        Admin(KafkaSettings(bootstrap_servers=self.servers, partitions=PARTITIONS)).ensure_topics(topics)

    def make(self, names: Sequence[str]) -> None:
        """Create topics."""
        for future in self.client.create_topics([NewTopic(name, PARTITIONS, 1) for name in names]).values():
            future.result(10)


@contextmanager
def filled_broker(log: TradeLog) -> Iterator[Broker]:
    """A broker with a log of trades and all other topics empty; writing the log is not pinned."""
    with ExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kandle-bench-")))
        with pinned(BROKER_CORE):
            servers = stack.enter_context(cluster.broker(data))
        pid = EndpointsFile(data).read().stages["kafka"].pid
        assert pid is not None
        Admin(KafkaSettings(bootstrap_servers=servers, partitions=PARTITIONS)).ensure_topics()
        log.write(servers, PARTITIONS)
        yield Broker(
            servers, psutil.Process(pid), AdminClient({"bootstrap.servers": servers, "log_level": 0})
        )
