"""A worker on a real broker with indicators and rules of the user, one of which fails now and then."""

from __future__ import annotations

import uuid
from itertools import pairwise
from pathlib import Path

import pytest

from schemas.records import Candle, IndicatorValue, Signal
from schemas.topics import CANDLES, INDICATORS, SIGNALS, TRADES
from tests.processor_harness import kafka_settings, market, read_topic, until_drained, worker
from tests.sink_harness import Log, fresh_topics
from tests.user_package import INDICATOR, RULE, write

FRAIL = '''
from kandle import Indicator


class Frail(Indicator):
    """Cannot bear a falling candle."""

    def update(self, candle):
        return {self.name: 1.0 if candle.close >= candle.open else 1 / 0}

    def snapshot(self):
        return ()

    def restore(self, state):
        pass
'''


@pytest.mark.full
def test_a_worker_runs_the_users_code_and_what_fails_holds_up_nothing(kafka: str, tmp_path: Path) -> None:
    fresh_topics(kafka_settings(kafka))
    feed = market(seconds=40, rate=100, symbols=4)
    log = Log(kafka)
    for partition, items in feed.items():
        log.put(TRADES, partition, items)
    write(tmp_path, {"mine.py": INDICATOR + RULE + FRAIL})
    with worker(
        kafka,
        f"plugins-{uuid.uuid4().hex[:8]}",
        tmp_path,
        KANDLE_PROCESSORS__PLUGINS="mine",
        KANDLE_PROCESSORS__INDICATORS="momentum(1)@1s, frail@1s",
        KANDLE_PROCESSORS__SIGNALS="momentum_turn(1)@1s@binance:S1/*",
    ) as running:
        until_drained(kafka, [running])
        assert running.stop() == 0
        assert running.log().count("an indicator or a rule has failed") == 1
        assert "ZeroDivisionError" in running.log()
    candles: dict[str, list[Candle]] = {}
    for record in read_topic(kafka, CANDLES).records.values():
        if isinstance(record, Candle) and record.interval == "1s":
            candles.setdefault(record.symbol, []).append(record)
    values = {
        (record.symbol, record.open_time, record.name): record.value
        for record in read_topic(kafka, INDICATORS).records.values()
        if isinstance(record, IndicatorValue)
    }
    expected = {}
    for symbol, series in candles.items():
        for before, candle in pairwise(series):
            expected[symbol, candle.open_time, "momentum_1"] = candle.close - before.close
        rising = [candle for candle in series if candle.close >= candle.open]
        assert 0 < len(rising) < len(series)
        expected |= {(symbol, candle.open_time, "frail"): 1.0 for candle in rising}
    assert values == expected
    signals = [each for each in read_topic(kafka, SIGNALS).records.values() if isinstance(each, Signal)]
    assert len(signals) > 3
    for each in signals:
        assert (each.symbol, each.rule, each.interval) == ("S1/USDT", "momentum_turn_1", "1s")
        momentum = expected[each.symbol, each.open_time, "momentum_1"]
        assert each.values == {"momentum": momentum}
        assert each.direction == ("long" if momentum > 0 else "short")
