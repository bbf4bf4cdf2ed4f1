"""The Faust table whose changelog holds the checkpoints.

Faust recovers it like any table, from the changelog's beginning at every assignment. It differs from a stock
table in two ways. What was recovered is handed over once and not kept, so the state is not in memory twice.
And it is written to through our own idempotent producer, not through `table[key] = value`: blocks and
manifest must stand in the changelog in their order, and the writer must know when the broker has them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import faust
from faust.stores.memory import Store
from faust.types import TP

from processors.engine.checkpoint import owner
from processors.engine.transport import LOGGER

TABLE_NAME = "checkpoints"
CHANGELOG_CONFIG = {
    "segment.bytes": str(16 * 1024 * 1024),
    "segment.ms": "60000",
    "min.cleanable.dirty.ratio": "0.1",
    "delete.retention.ms": "15000",
    "message.timestamp.type": "LogAppendTime",
}
"""Small segments, rolled and compacted often: recovery reads little more than the live checkpoints.

Every block that is given up leaves a record that deletes it, and the broker would keep those for a day: after
an hour they would be most of what recovery reads. A reader that misses one finds a block that nothing names.
"""

Entries = dict[bytes, bytes]


def changelog_topic(app_id: str) -> str:
    """Name of the changelog, as Faust derives it."""
    return f"{app_id}-{TABLE_NAME}-changelog"


class CheckpointStore(Store):  # type: ignore[misc]
    """Collects what recovery reads, by topic partition, until it is taken."""

    logger = LOGGER

    def __post_init__(self) -> None:
        super().__post_init__()
        self._recovered: defaultdict[tuple[str, int], Entries] = defaultdict(dict)
        self.applied: dict[int, int] = {}
        """Offset of the last changelog record applied, by changelog partition."""

    def take(self, topic: str, partition: int) -> Entries:
        """What was recovered for a topic partition; given away, a second call gets nothing."""
        return self._recovered.pop((topic, partition), {})

    def persisted_offset(self, tp: TP) -> int | None:
        """Nothing is on disk: minus one lets every recovery begin with the changelog."""
        return -1

    def apply_changelog_batch(
        self, batch: Iterable[Any], to_key: Callable[[Any], Any], to_value: Callable[[Any], Any]
    ) -> None:
        """Called by Faust's recovery with changelog records, in order."""
        for event in batch:
            message = event.message
            self.applied[message.partition] = message.offset
            key = message.key
            holder = owner(key) if key is not None else None
            if holder is None:
                continue
            if message.value is None:
                self._recovered[holder].pop(key, None)
            else:
                self._recovered[holder][key] = message.value

    async def on_rebalance(
        self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP], generation_id: int = 0
    ) -> None:
        """Called before each recovery: what an earlier one left is dropped."""
        self._recovered.clear()
        self.applied.clear()

    async def on_recovery_completed(self, active_tps: set[TP], standby_tps: set[TP]) -> None:
        """Called after each recovery; the table's recovery callback takes the entries."""


class CheckpointTable(faust.Table):  # type: ignore[misc]
    """A Faust table over a `CheckpointStore`."""

    logger = LOGGER

    def _new_store(self) -> CheckpointStore:
        return CheckpointStore(
            "memory://",
            self.app,
            self,
            table_name=self.name,
            key_type=self.key_type,
            value_type=self.value_type,
            loop=self.loop,
        )

    @property
    def store(self) -> CheckpointStore:
        """The store, by its own type."""
        found: CheckpointStore = self.data
        return found
