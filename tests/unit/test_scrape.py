"""Metrics of the stages, added up across their restarts."""

import socket
from pathlib import Path

import pytest
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    start_http_server,
    write_to_textfile,
)

from infra.embedded.ports import free_ports
from infra.probes import Readiness, serve
from infra.settings import MetricsSettings
from kandle.up.scrape import Scrape, says_ready


class Stage:
    """A process's metrics, served as a stage serves them; `restart` begins counting anew."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = int(free.getsockname()[1])
        self.start()

    def start(self) -> None:
        self.registry = CollectorRegistry()
        self.counter = Counter("things", "Things.", ["kind"], registry=self.registry)
        self.latency = Histogram("took_seconds", "Time.", buckets=(0.1, 0.2, 0.4), registry=self.registry)
        self.ready = Gauge("ready", "Ready.", ["stage"], registry=self.registry)
        self.server, self.thread = start_http_server(self.port, "127.0.0.1", registry=self.registry)

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def restart(self) -> None:
        self.stop()
        self.start()


async def test_counts_go_on_after_a_restart() -> None:
    stage, scrape = Stage(), Scrape()
    stage.counter.labels("a").inc(5)
    stage.counter.labels("b").inc(1)
    await scrape.read({"s": stage.port})
    stage.restart()
    stage.counter.labels("a").inc(2)
    await scrape.read({"s": stage.port})
    stage.stop()
    assert scrape.total("things_total", kind="a") == 7
    assert scrape.total("things_total") == 8


async def test_a_stage_that_does_not_answer_keeps_its_counts_and_loses_its_gauges() -> None:
    stage, scrape = Stage(), Scrape()
    stage.counter.labels("a").inc(5)
    stage.ready.labels("x").set(1)
    await scrape.read({"s": stage.port})
    assert scrape.gauge("ready") == 1
    stage.stop()
    await scrape.read({"s": stage.port})
    assert scrape.total("things_total") == 5
    assert scrape.gauge("ready") is None


def test_a_stage_is_ready_when_all_of_its_parts_are() -> None:
    (port,) = free_ports(1)
    readiness = Readiness()
    readiness.expect("kafka", "partitions")
    assert not says_ready(port)
    server = serve(MetricsSettings(port=port), readiness)
    assert server is not None
    readiness.set("kafka")
    assert not says_ready(port)
    readiness.set("partitions")
    assert says_ready(port)
    readiness.set("kafka", "it does not answer")
    assert not says_ready(port)
    server.shutdown()
    server.server_close()


async def test_quantiles_are_interpolated_within_their_bucket() -> None:
    stage, scrape = Stage(), Scrape()
    for value in (0.05, 0.15, 0.15, 0.3):
        stage.latency.observe(value)
    await scrape.read({"s": stage.port})
    stage.stop()
    assert scrape.quantile("took_seconds", 0.5) == pytest.approx(0.15)
    assert scrape.quantile("took_seconds", 1.0) == pytest.approx(0.4)
    assert scrape.quantile("other", 0.5) is None


async def test_what_a_stage_left_when_it_ended_is_added_once(tmp_path: Path) -> None:
    stage, scrape = Stage(), Scrape()
    stage.counter.labels("a").inc(5)
    await scrape.read({"s": stage.port})
    stage.counter.labels("a").inc(2)
    write_to_textfile(str(tmp_path / "last"), stage.registry)
    stage.stop()
    scrape.read_last("s", tmp_path / "last")
    scrape.read_last("s", tmp_path / "last")
    assert scrape.total("things_total") == 7
