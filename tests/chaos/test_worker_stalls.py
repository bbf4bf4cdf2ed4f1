"""A worker that stands still with records waiting ends, so that its supervisor starts another."""

from __future__ import annotations

import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from schemas.topics import TRADES
from tests.processor_harness import PATIENCE_S, kafka_settings, market, worker_environment
from tests.sink_harness import Log, fresh_topics

PROGRAM = """
import asyncio, sys, time
from infra import logging
from infra.settings import load
from processors.engine import stage
from processors.agents.trades import TradeStep

async def waits(*_): await asyncio.Event().wait()
async def blocks(*_): time.sleep(600)

TradeStep.fold = {fold}
settings = load()
logging.configure(settings.logging, "process")
sys.exit(stage.run(settings))
"""


@pytest.mark.parametrize(
    ("fold", "said"),
    [
        ("waits", f"records of {TRADES.name} wait and none was folded"),
        pytest.param("blocks", "in blocks", marks=pytest.mark.full),
    ],
)
def test_a_fold_that_never_returns_ends_the_worker(kafka: str, tmp_path: Path, fold: str, said: str) -> None:
    fresh_topics(kafka_settings(kafka))
    Log(kafka).put(TRADES, 0, market(seconds=3, rate=10)[0])
    environment = worker_environment(kafka, f"worker-{uuid.uuid4().hex[:8]}")
    stalled = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(fold=fold)],
        env={**environment, "KANDLE_PROCESSORS__STALL_TIMEOUT_S": "2"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert stalled.returncode == 3, stalled.stderr
    assert said in stalled.stderr
