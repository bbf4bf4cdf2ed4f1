"""What a venue asks of the orders in a market: steps of prices and sizes, and a smallest value."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal

from backtest.account import decimal_of
from backtest.orders import Side
from schemas.records import Instrument


@dataclass(frozen=True, slots=True)
class Rules:
    """Rules of one market.

    Attributes:
        lot: Smallest step of a size, base units.
        tick: Smallest step of a price, quote currency; None: any price.
        minimum: Smallest value of an order, quote currency; None: any.
    """

    lot: Decimal
    tick: Decimal | None = None
    minimum: Decimal | None = None

    def size(self, size: Decimal) -> Decimal:
        """A size in whole lots, towards zero."""
        return size // self.lot * self.lot

    def asked(self, price: Decimal, side: Side, stop: bool = False) -> Decimal:
        """A price that an order names, in whole ticks, so that it is filled no worse and fires no sooner.

        Limits and take-profits go down to buy and up to sell; stops, of all kinds, the other way round.
        """
        return price if self.tick is None else _stepped(price, self.tick, up=(side == "sell") is not stop)

    def missed(self, price: Decimal, side: Side) -> Decimal:
        """A price made worse by slippage, in whole ticks against the order; never below one."""
        if self.tick is None:
            return price
        return max(self.tick, _stepped(price, self.tick, up=side == "buy"))


def rules_of(instrument: Instrument, lot: Decimal) -> Rules:
    """The rules of an instrument; where it names no lot, the one given."""
    return Rules(
        lot if instrument.lot_size is None else decimal_of(instrument.lot_size),
        None if instrument.tick_size is None else decimal_of(instrument.tick_size),
        None if instrument.min_notional is None else decimal_of(instrument.min_notional),
    )


def _stepped(price: Decimal, step: Decimal, *, up: bool) -> Decimal:
    below = (price / step).to_integral_value(ROUND_FLOOR) * step
    return below + step if up and below < price else below
