"""Sinks that come and go all the time: rows stay exact, and each signal is stored once."""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from schemas.records import Record
from schemas.topics import SIGNALS
from tests.sink_adapters import signal
from tests.sink_faults import SinkProcess, assert_exact, end, ended, fill
from tests.sink_harness import PARTITIONS, Log, fresh_topics, mark, query, settings_for, until_passed

LENGTH_S = 120
EVERY_S = 5
AT_ONCE = 3


@pytest.mark.full
async def test_sinks_added_and_removed_every_5_s(kafka: str, sink_database: Callable[[], str]) -> None:
    url = sink_database()
    fresh_topics(settings_for(kafka, url).kafka)
    log = Log(kafka)
    sent: list[Record] = []
    dice = random.Random(10)
    added = killed = stopped = 0
    told = []
    with tempfile.TemporaryDirectory(prefix="kandle-chaos-") as made:
        live: list[SinkProcess] = []
        try:
            for step in range(LENGTH_S // EVERY_S):
                if len(live) < AT_ONCE and (not live or dice.random() < 0.6):
                    live.append(SinkProcess(kafka, url, Path(made), f"sink-{added}"))
                    added += 1
                else:
                    leaving = live.pop(dice.randrange(len(live)))
                    if dice.random() < 0.5:
                        leaving.kill()
                        killed += 1
                    else:
                        told.append(await asyncio.to_thread(leaving.stop))
                        stopped += 1
                for _ in range(EVERY_S):
                    sent += await asyncio.to_thread(fill, log, 1_000, len(sent))
                    await asyncio.sleep(1)
                signals = [signal(number) for number in range(20 * step, 20 * (step + 1))]
                log.put(SIGNALS, step % PARTITIONS, [*signals, signals[3]])
            end(log)
            for partition in range(PARTITIONS):
                log.put(SIGNALS, partition, [mark(0, final=True)])
            if not live:
                live.append(SinkProcess(kafka, url, Path(made), f"sink-{added}"))
            print("at work at the end:", [(each.name, each.process.poll()) for each in live])
            await ended(url, 120)
            await until_passed(url, "timescale", SIGNALS, timeout_s=60)
        except AssertionError:
            print(query(url, "SELECT * FROM kandle.offsets ORDER BY 1, 2, 3"))
            raise
        finally:
            told += [each.stop() for each in live]
            print("\n\n".join(text[-3_000:] for text in told[-3:]))
    assert killed >= 3
    assert stopped >= 3
    assert not any("Traceback" in text for text in told)
    stored = query(url, "SELECT count(*), count(DISTINCT candle_id) FROM signals")
    assert stored == [(20 * (LENGTH_S // EVERY_S),) * 2]
    assert_exact(
        url,
        sent,
        "sinks added and removed",
        added=added,
        killed=killed,
        stopped=stopped,
        signals=stored[0][0],
    )
