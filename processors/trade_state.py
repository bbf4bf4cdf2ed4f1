"""What is known of the trades of one partition: candles, and what else is folded from the same records."""

from __future__ import annotations

from dataclasses import dataclass

from processors.candles import CandleBuilder


@dataclass(slots=True)
class TradeState:
    """The state of the trades step; all parts have folded the same records.

    Attributes:
        candles: Open candles, and closed ones that can still be revised.
    """

    candles: CandleBuilder

    def snapshot(self) -> bytes:
        """The whole state, see `partitions.State`."""
        return self.candles.snapshot()

    def restore(self, snapshot: bytes) -> None:
        """Replace the state by that of a snapshot.

        Raises:
            ForeignSnapshotError: It is of another version or of other parameters, or damaged.
        """
        self.candles.restore(snapshot)
