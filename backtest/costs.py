"""What an execution costs besides its price: fees, and the price that is missed."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from backtest.fees import FeeSchedule
from schemas.errors import ConfigurationError

PART_STEP: Final = Decimal("1e-12")
"""To which the part of a price that is missed is rounded: prices stay exact decimals."""
ONE: Final = Decimal(1)


@dataclass(frozen=True, slots=True)
class Costs:
    """Costs of one run.

    Attributes:
        fee: Of what takes from the book, as a part of the value: 0.001 is 0.1 %.
        maker_fee: Of limits that have waited.
        slippage: By which orders without a limit are filled worse, as a part of the price.
        slippage_ticks: The same, in ticks of the market; both add up.
        impact: The same, as a part of the price at a size of all the volume of the candle; of less in
            proportion to the square root of its share: price * impact * sqrt(size / volume). Never more.
        liquidation_fee: Of what is liquidated, as a part of the value, besides `fee`.
        schedule: Fees by venue and volume, instead of the two above for the venues that it names.
    """

    fee: Decimal = Decimal(0)
    maker_fee: Decimal = Decimal(0)
    slippage: Decimal = Decimal(0)
    slippage_ticks: Decimal = Decimal(0)
    impact: Decimal = Decimal(0)
    liquidation_fee: Decimal = Decimal(0)
    schedule: FeeSchedule | None = None

    @property
    def slips(self) -> bool:
        """Whether prices are missed at all."""
        return bool(self.slippage or self.slippage_ticks or self.impact)

    def slipped(
        self, price: Decimal, sign: int, size: Decimal, volume: Decimal, tick: Decimal | None
    ) -> Decimal:
        """A price, worse by the slippage for a buy (1) or a sell (-1).

        Args:
            price: Quote currency per unit.
            sign: 1 or -1.
            size: Of the order, base units.
            volume: Of the candle, base units; nan where it is not known.
            tick: Of the market.

        Raises:
            ConfigurationError: It depends on a tick or a volume that is not known.
        """
        part = self.slippage
        if self.impact:
            if volume.is_nan():
                raise ConfigurationError("slippage by volume needs fills by candles that have volumes")
            share = min(ONE, size / volume) if volume else ONE
            part += (self.impact * share.sqrt()).quantize(PART_STEP)
        missed = price * part
        if self.slippage_ticks:
            if tick is None:
                raise ConfigurationError("slippage by ticks needs the tick size of the market's instrument")
            missed += self.slippage_ticks * tick
        return price + sign * missed
