"""However a log is cut into chunks and batches, an agent's step makes the same records of it, in order."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaException, TopicPartition
from faust.types import TP
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from infra.kafka.publisher import Publisher
from infra.kafka.record_batches import read_records, split_batches
from infra.settings import Settings
from processors.agents.indicators import IndicatorStep
from processors.agents.trades import TradeStep
from schemas import rows
from schemas.identity import market_key
from schemas.records import Trade
from schemas.topics import CANDLES, INDICATORS, LIVE_CANDLES, SIGNALS, TRADES
from tests.processor_harness import PATIENCE_S, kafka_settings, market
from tests.record_batch_bytes import Row, batch_of
from tests.sink_harness import fresh_topics

SECOND = 1_000_000
EXAMPLES, EXAMPLES_IN_FULL = 3, 40
OUTPUTS = (CANDLES.name, LIVE_CANDLES.name, INDICATORS.name, SIGNALS.name)
Message = tuple[bytes | None, bytes | None]


def trades_log() -> list[Message]:
    """A partition of trades: late ones, repeats and poison among them."""
    chance = random.Random(5)
    found: list[Message] = []
    for number, item in enumerate(market(seconds=80, rate=30)[0]):
        if not isinstance(item, Trade):
            found.append((b"k", rows.encode(item)))
            continue
        key = market_key(item.venue, item.symbol).encode()
        found.append((key, rows.encode(item)))
        match chance.randrange(60):
            case 0:
                found.append((key, rows.encode(item)))
            case 1:
                late = replace(item, event_time=item.event_time - 5 * SECOND, sequence=1_000_000 + number)
                found.append((key, rows.encode(late)))
            case 2:
                ancient = replace(item, event_time=SECOND, sequence=2_000_000 + number)
                found.append((key, rows.encode(ancient)))
            case 3:
                found.append((key, b"garbage"))
    return found


class Reader:
    """Reads what is appended to the first partition of some topics."""

    def __init__(self, servers: str, topics: Sequence[str]) -> None:
        self._consumer = Consumer({"bootstrap.servers": servers, "group.id": "reader", "log_level": 0})
        self._next = {topic: self._end(topic) for topic in topics}

    def _end(self, topic: str) -> int:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                return int(self._consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=10)[1])
            except KafkaException:
                # A topic that was just made may have no leader yet.
                assert time.monotonic() < deadline
                time.sleep(0.05)

    def appended(self) -> dict[str, list[Message]]:
        """Keys and values of what has come since the last call, by topic."""
        found: dict[str, list[Message]] = {}
        for topic, start in self._next.items():
            missing = self._end(topic) - start
            self._consumer.assign([TopicPartition(topic, 0, start)])
            messages: list[Any] = []
            while len(messages) < missing:
                messages += self._consumer.consume(missing - len(messages), 1)
            found[topic] = [(message.key(), message.value()) for message in messages]
            self._next[topic] = start + missing
        return found

    def close(self) -> None:
        self._consumer.close()


async def fold(
    publisher: Publisher, step: Any, log: Sequence[Message], cuts: Sequence[int], codec: int
) -> None:
    """Let a step take the log in, in chunks that end at the cuts, each of two batches where it can be."""
    tp = TP(step.topic, 0)
    state = step.create(tp)
    bounds = [0, *sorted(set(cuts)), len(log)]
    for start, end in itertools.pairwise(bounds):
        middle = (start + end) // 2
        halves = [half for half in ((start, middle), (middle, end)) if half[0] < half[1]]
        data = b"".join(
            batch_of(
                [Row(offset, key=log[offset][0], value=log[offset][1]) for offset in range(*half)], codec
            )
            for half in halves
        )
        # A fetch may begin before the position: what is known already is passed over.
        await step.fold(state, tp, read_records(split_batches(data), start))
    await publisher.flush()
    publisher.raise_if_failed()


async def prepared(servers: str, step_type: Any) -> tuple[Publisher, Any]:
    chosen = Settings(kafka=kafka_settings(servers))
    publisher = Publisher(chosen.kafka)
    return publisher, step_type(chosen, publisher)


def compare(
    servers: str, step_type: Any, log: list[Message], letters: str, examples: int
) -> dict[str, list[Message]]:
    """Fold the log whole, then in all kinds of chunks; returns what the whole one gave."""
    reader = Reader(servers, [*OUTPUTS, letters])
    with asyncio.Runner() as runner:
        publisher, step = runner.run(prepared(servers, step_type))
        runner.run(fold(publisher, step, log, [], 0))
        whole = reader.appended()

        @settings(max_examples=examples, deadline=None)
        @given(st.lists(st.integers(1, len(log) - 1), min_size=1, max_size=12), st.sampled_from([0, 3, 4]))
        def same(cuts: list[int], codec: int) -> None:
            runner.run(fold(publisher, step, log, cuts, codec))
            found = reader.appended()
            assert Counter(found.pop(letters)) == Counter(whole[letters])
            assert found == {topic: whole[topic] for topic in OUTPUTS}

        same()
        runner.run(publisher.close())
    reader.close()
    return whole


@pytest.mark.full
def test_the_same_log_gives_the_same_records_however_it_is_cut(kafka: str, in_full: bool) -> None:
    examples = EXAMPLES_IN_FULL if in_full else EXAMPLES
    fresh_topics(kafka_settings(kafka))
    made = compare(kafka, TradeStep, trades_log(), TRADES.dead_letter_name, examples)
    assert len(made[TRADES.dead_letter_name]) > 10
    derived = compare(kafka, IndicatorStep, made[CANDLES.name], CANDLES.dead_letter_name, examples)
    assert all(derived[topic] for topic in (INDICATORS.name, SIGNALS.name))
