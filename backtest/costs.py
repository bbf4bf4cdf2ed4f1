"""What an execution costs besides its price: fees, and the price that is missed."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Costs:
    """Costs of one run.

    Attributes:
        fee: Of market and stop orders, as a part of the value: 0.001 is 0.1 %.
        maker_fee: Of limit orders that have waited.
        slippage: By which market and stop orders are filled worse, as a part of the price.
    """

    fee: Decimal = Decimal(0)
    maker_fee: Decimal = Decimal(0)
    slippage: Decimal = Decimal(0)

    def slipped(self, price: Decimal, sign: int) -> Decimal:
        """A price, worse by the slippage for a buy (1) or a sell (-1)."""
        return price + sign * price * self.slippage if self.slippage else price
