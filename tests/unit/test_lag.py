"""Lag in seconds: the age of the oldest record that waits, by what a stage knows of it."""

import time
from collections import deque
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from faust.types import TP
from prometheus_client import REGISTRY

from infra.settings import KafkaSettings
from processors.agents.trade_state import TradeState
from processors.agents.watermark_delays import WatermarkDelays
from processors.alerts.book import AlertBook
from processors.engine.lag import show_lag
from processors.engine.partitions import Held as Partition
from sinks.intake import Held, Intake
from sinks.positions import PartitionRef


def value(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def held(topic: str, position: int, age_s: float) -> dict[TP, Partition[Any]]:
    lineage: Any = None
    one: Partition[Any] = Partition(TP(topic, 0), 1, None, lineage, position, None)
    one.since_ms = now_ms() - round(age_s * 1_000)
    return {one.tp: one}


def test_a_worker_is_behind_by_the_age_of_what_it_folded_last() -> None:
    tps = held("lag.behind", position=7, age_s=20)
    assert show_lag("lag.behind", tps, {TP("lag.behind", 0): (0, 10)}) == 3
    assert value("kandle_lag_records", stage="process", topic="lag.behind") == 3
    assert value("kandle_lag_seconds", stage="process", topic="lag.behind") == pytest.approx(20, abs=1)


def test_what_comes_after_a_pause_is_not_as_old_as_the_pause() -> None:
    tps = held("lag.pause", position=10, age_s=3_600)
    bounds = {TP("lag.pause", 0): (0, 10)}
    assert show_lag("lag.pause", tps, bounds) == 0
    assert value("kandle_lag_seconds", stage="process", topic="lag.pause") == 0
    bounds[TP("lag.pause", 0)] = (0, 11)
    show_lag("lag.pause", tps, bounds)
    lag_s = value("kandle_lag_seconds", stage="process", topic="lag.pause")
    assert lag_s is not None
    assert lag_s < 5


def test_partitions_that_were_given_away_leave_no_lag_behind() -> None:
    show_lag("lag.gone", held("lag.gone", position=0, age_s=9), {TP("lag.gone", 0): (0, 5)})
    show_lag("lag.gone", {}, {})
    assert value("kandle_lag_records", stage="process", topic="lag.gone") == 0
    assert value("kandle_lag_seconds", stage="process", topic="lag.gone") == 0


REF = PartitionRef(1, 0, "t")


def intake(**partitions: Held) -> Intake:
    made = Intake(KafkaSettings(bootstrap_servers="127.0.0.1:1"), ["t", *partitions], "g")
    made._held = {TopicPartition(name, 0): each for name, each in partitions.items()}
    return made


def test_a_sink_is_behind_by_its_oldest_batch_until_that_is_stored() -> None:
    began = now_ms()
    batches = deque([(5, began - 30_000), (9, began - 2_000)])
    sink = intake(t=Held(1, ref=REF, unstored=batches))
    assert sink.behind_s()["t"] == pytest.approx(30, abs=1)
    sink.stored(REF, 1, 5)
    assert sink.behind_s()["t"] == pytest.approx(2, abs=1)
    sink.stored(REF, 1, 9)
    assert sink.behind_s() == {"t": 0.0}


def test_what_waits_for_company_on_purpose_is_not_late() -> None:
    sink = intake(t=Held(1, ref=REF, unstored=deque([(5, now_ms() - 30_000)])))
    assert sink.behind_s(60.0) == {"t": 0.0}
    assert sink.behind_s(20.0) == {"t": pytest.approx(10, abs=1)}


async def test_partitions_that_a_sink_has_given_away_leave_no_lag_behind() -> None:
    sink = intake(t=Held(1, ref=REF, end_offset=9, stored=5, unstored=deque([(9, now_ms() - 30_000)])))
    sink._drop([TopicPartition("t", 0)])
    assert sink.behind_s() == {"t": 0.0}
    assert await sink.show_positions() == {"t": 0}


def test_a_sink_whose_database_is_away_falls_further_behind() -> None:
    waiting = Held(1, ref=REF, unstored=deque([(5, now_ms() - 30_000)]))
    sink = intake(t=waiting, u=Held(2))
    sink.hold_all()
    assert sink.behind_s() == {"t": pytest.approx(30, abs=1)}, "of the other topic nothing is known yet"


def test_the_watermark_of_the_partition_furthest_behind_counts() -> None:
    now_us = time.time_ns() // 1_000
    states = []
    for age_s in (4, 60):
        candles = SimpleNamespace(watermarks={"late": now_us - age_s * 1_000_000})
        states.append(TradeState(candles, AlertBook(0)))  # type: ignore[arg-type]
    delays = WatermarkDelays()
    delays.show([*states, object()])
    assert value("kandle_watermark_delay_seconds", venue="late") == pytest.approx(60, abs=1)
    delays.show([])
    assert value("kandle_watermark_delay_seconds", venue="late") is None
