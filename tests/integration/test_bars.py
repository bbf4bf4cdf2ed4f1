"""A worker on a real broker that also builds bars, writes open candles and fills empty ones."""

from __future__ import annotations

import uuid
from pathlib import Path

from processors.bars.builder import BarBook
from processors.bars.plan import BarPlan
from processors.candles.builder import CandleBuilder
from processors.candles.rules import CandleRules
from schemas.identity import ce_id
from schemas.records import Record, TimeMark
from schemas.topics import BARS, CANDLES, LIVE_CANDLES, TRADES
from tests.candle_stream import outcome_of
from tests.processor_harness import kafka_settings, market, read_topic, until_drained, worker
from tests.sink_harness import Log, fresh_topics


def test_bars_open_and_empty_candles_reach_their_topics(kafka: str, tmp_path: Path) -> None:
    fresh_topics(kafka_settings(kafka))
    feed = market(seconds=70, rate=12)
    wanted: dict[str, dict[str, Record]] = {BARS.name: {}, CANDLES.name: {}, LIVE_CANDLES.name: {}}
    for items in feed.values():
        book = BarBook(BarPlan.of(("tick(7)", "volume(20)@*:S1/*")))
        builder = CandleBuilder(CandleRules.of(live=("1s", "1m"), carry=True))
        outcome = outcome_of(builder, items, (), book=book)
        wanted[BARS.name] |= {ce_id(bar): bar for bar in outcome.bars}
        wanted[CANDLES.name] |= {ce_id(candle): candle for candle in outcome.candles}
        wanted[LIVE_CANDLES.name] |= {ce_id(candle): candle for candle in outcome.live}
    assert all(wanted.values())
    log = Log(kafka)
    for partition, items in feed.items():
        log.put(TRADES, partition, items)
    with worker(
        kafka,
        f"bars-{uuid.uuid4().hex[:8]}",
        tmp_path,
        KANDLE_PROCESSORS__BARS="tick(7), volume(20)@*:S1/*",
        KANDLE_PROCESSORS__EMPTY_CANDLES="carry",
        KANDLE_PROCESSORS__LIVE="1s,1m",
    ) as started:
        until_drained(kafka, [started])
        assert started.stop() == 0
    for topic in (BARS, CANDLES, LIVE_CANDLES):
        content = read_topic(kafka, topic)
        assert content.records == wanted[topic.name]
        if topic is not LIVE_CANDLES:
            for partition, items in feed.items():
                assert content.marks[partition] == [item for item in items if isinstance(item, TimeMark)]
