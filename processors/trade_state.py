"""What is known of the trades of one partition: candles, and what else is folded from the same records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from processors.candles import CandleBuilder
from processors.pages import Page, State, load_parts, pages_of_parts
from processors.price_alerts import AlertBook


@dataclass(slots=True)
class TradeState:
    """The state of the trades step; all parts have folded the same records. See `pages.Paged`.

    Attributes:
        candles: Open candles, and closed ones that can still be revised.
        alerts: What price alerts have seen, and which have fired.
    """

    candles: CandleBuilder
    alerts: AlertBook

    def _parts(self) -> Mapping[str, State]:
        return {"candles": self.candles, "alerts": self.alerts}

    def pages(self) -> Iterable[Page]:
        """All parts by pages."""
        return pages_of_parts(self._parts())

    def load(self, pages: Mapping[str, bytes]) -> None:
        """Take over what was saved.

        Raises:
            ForeignSnapshotError: It is of another version or of other parameters, or damaged.
        """
        load_parts(self._parts(), pages)
