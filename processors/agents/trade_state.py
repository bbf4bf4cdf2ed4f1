"""What is known of the trades of one partition: candles, and what else is folded from the same records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from processors.alerts.book import AlertBook
from processors.bars.builder import BarBook
from processors.candles.builder import CandleBuilder
from processors.engine.pages import Page, State, load_parts, pages_of_parts


@dataclass(slots=True)
class TradeState:
    """The state of the trades step; all parts have folded the same records. See `pages.Paged`.

    Attributes:
        candles: Open candles, and closed ones that can still be revised.
        alerts: What price alerts have seen, and which have fired.
        bars: Open bars, where the settings ask for any.
    """

    candles: CandleBuilder
    alerts: AlertBook
    bars: BarBook | None = None

    def _parts(self) -> Mapping[str, State]:
        bars = {} if self.bars is None else {"bars": self.bars}
        return {"candles": self.candles, "alerts": self.alerts, **bars}

    def pages(self) -> Iterable[Page]:
        """All parts by pages."""
        return pages_of_parts(self._parts())

    def load(self, pages: Mapping[str, bytes]) -> None:
        """Take over what was saved.

        Raises:
            ForeignSnapshotError: It is of another version or of other parameters, or damaged.
        """
        load_parts(self._parts(), pages)
