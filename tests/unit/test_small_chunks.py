"""What a chunk of few trades costs an agent: a feed at its usual pace brings hundreds a second."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from infra.kafka.outgoing_records import OutgoingRecords
from infra.kafka.record_batches import RawRecords, read_records, split_batches
from infra.settings import KafkaSettings, Settings
from processors.agents.trades import TradeStep
from processors.alerts.versions import AlertVersions
from schemas import column_writer, rows
from schemas.records import Record, TimeMark, Trade
from schemas.topics import CANDLES, TRADES

SECOND = 1_000_000
PARTITION = TP(TRADES.name, 0)


class Kept:
    """A publisher that keeps how many records of which topic it was handed at a time."""

    def __init__(self) -> None:
        self.handed: list[tuple[str, int]] = []
        self.polled = 0

    async def publish_columns(self, topic: str, partition: int, records: OutgoingRecords, **_: Any) -> None:
        self.handed.append((topic, len(records)))

    def poll(self) -> None:
        self.polled += 1


def chunk(*records: Record) -> RawRecords:
    """Records as one fetch brings them."""
    (batch,) = OutgoingRecords.of([(b"binance:BTC/USDT", rows.encode(each)) for each in records]).batches()
    return read_records(split_batches(batch._build()))


def trade(second: int) -> Trade:
    return Trade(
        "binance", "BTC/USDT", str(second), second, 1.0, 1.0, "buy", second * SECOND, second * SECOND
    )


def mark(second: int) -> TimeMark:
    return TimeMark("binance", "a", second * SECOND, False, "run")


async def _no_alerts() -> AlertVersions:
    return AlertVersions()


async def test_a_chunk_without_a_mark_writes_nothing_and_none_prepares_a_writer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept: Any = Kept()
    step = TradeStep(Settings(kafka=KafkaSettings(bootstrap_servers="127.0.0.1:1")), kept)
    step._alerts = SimpleNamespace(expire=lambda: None, refresh=_no_alerts)  # type: ignore[assignment]
    state = step.create(PARTITION)

    def refuse(*_: Any) -> Any:
        raise AssertionError("schemas are compiled before the first record")

    monkeypatch.setattr(column_writer, "compile_program", refuse)
    await step.fold(state, PARTITION, chunk(mark(1), trade(2)))
    kept.handed.clear()
    await step.fold(state, PARTITION, chunk(trade(3), trade(4)))
    assert kept.handed == []
    assert kept.polled == 1, "acknowledgements of alerts are taken in all the same"
    await step.fold(state, PARTITION, chunk(mark(9)))
    assert kept.handed[0] == (CANDLES.name, 4), "three candles of a second and the mark"
