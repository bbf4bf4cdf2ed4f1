"""How far a worker is behind, in records and in seconds."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

from faust.types import TP

from infra import metrics
from processors.engine.partitions import Held

STAGE: Final = "process"


def show_lag(topic: str, held: Mapping[TP, Held[Any]], bounds: Mapping[TP, tuple[int, int]]) -> int:
    """Bring the gauges of a topic up to date; call once a second.

    The oldest record that waits is as old as the last one that was folded, or it came after nothing was left
    when somebody looked last: what is shown is too much by that, a second at most.

    Args:
        topic: Name of the topic.
        held: Its partitions in the hands of this worker; none: there is no lag here.
        bounds: First and end offset of the log of each.

    Returns:
        Records that wait.
    """
    now_ms = time.time_ns() // 1_000_000
    records, oldest_ms = 0, now_ms
    for tp, each in held.items():
        left = max(bounds[tp][1] - each.position, 0)
        records += left
        if left:
            oldest_ms = min(oldest_ms, each.since_ms)
        else:
            each.since_ms = now_ms
    metrics.stages.LAG_RECORDS.labels(STAGE, topic).set(records)
    metrics.stages.LAG_SECONDS.labels(STAGE, topic).set((now_ms - oldest_ms) / 1_000)
    return records
