"""Kafka is asked once for all who want to know the same."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable

import pytest

from infra.settings import ProcessorSettings, Settings
from schemas.errors import UnavailableError
from schemas.topics import CANDLES, TRADES
from serve import brokers
from serve.brokers import Brokers, Group, Positions


class Kafka:
    """Stands for the broker's administration: answers when it may, and counts the looks."""

    def __init__(self) -> None:
        self.may_answer = threading.Event()
        self.looks = 0
        self.is_away = False

    def partition_counts(self) -> dict[str, int]:
        self.looks += 1
        assert self.may_answer.wait(20)
        if self.is_away:
            raise UnavailableError("no answer")
        return {TRADES.name: 1, "foreign": 1, "read.by.a.plugin": 1}

    def readers(self, _: str) -> list[set[str]]:
        return [{TRADES.name}]

    def committed(self, group: str) -> dict[tuple[str, int], int]:
        return {("read.by.a.plugin", 0): 10} if group == "one-look" else {}

    def log_ranges(self, partitions: Iterable[tuple[str, int]]) -> dict[tuple[str, int], tuple[int, int]]:
        return dict.fromkeys(partitions, (40, 100))


@pytest.fixture
def kafka(monkeypatch: pytest.MonkeyPatch) -> Kafka:
    made = Kafka()
    monkeypatch.setattr(brokers, "Admin", lambda _: made)
    return made


def asked(fresh_s: float) -> Brokers:
    return Brokers(Settings(processors=ProcessorSettings(app_id="one-look")), fresh_s)


async def test_all_who_ask_meanwhile_and_soon_get_one_look(kafka: Kafka) -> None:
    desk = asked(fresh_s=3_600)
    asking = [asyncio.create_task(desk.positions()) for _ in range(20)]
    await asyncio.sleep(0)
    asking[0].cancel()
    kafka.may_answer.set()
    first, *others = await asyncio.gather(*asking[1:])
    assert all(other is first for other in [*others, await desk.positions()])
    assert kafka.looks == 1
    assert first.ranges.keys() == {(TRADES.name, 0), ("read.by.a.plugin", 0)}


async def test_whoever_gives_up_leaves_one_look_under_way(kafka: Kafka) -> None:
    desk = asked(fresh_s=0)
    for _ in range(5):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(desk.positions(), 0.01)
    assert kafka.looks == 1
    kafka.is_away = True
    kafka.may_answer.set()
    with pytest.raises(UnavailableError):
        await desk.positions()
    kafka.is_away = False
    assert (await desk.positions()).groups


def test_lag_is_what_stands_in_the_log_and_was_not_read() -> None:
    ranges = {(TRADES.name, 0): (40, 100), (TRADES.name, 1): (0, 5), (CANDLES.name, 0): (0, 7)}
    committed = {(TRADES.name, 0): 10, (TRADES.name, 1): 9, (CANDLES.name, 0): 3, ("gone", 0): 1}
    found = Positions(ranges, {"g": Group([], committed)})
    assert found.lag("g") == {(TRADES.name, 0): 60, (TRADES.name, 1): 0, (CANDLES.name, 0): 4}
