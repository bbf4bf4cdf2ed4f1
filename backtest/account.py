"""Cash, positions and closed trades, in exact decimals: what goes out somewhere comes in elsewhere.

    cash + sum(size * price) = capital + realized + unrealized - fees - interest + funding

holds to the last digit after every fill, at whatever prices the positions are valued.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

import msgspec

from backtest.orders import ZERO, Fill
from schemas.records import Micros

FEE_STEP: Final = Decimal("1e-24")
"""To which the share of a fee, and interest, is cut, quote currency."""
YEAR_US: Final = 365 * 86_400_000_000


class Lot(msgspec.Struct, gc=False):
    """A part of a position that was opened by one fill.

    Attributes:
        size: Units, above 0 for long and below 0 for short.
        price: At which it was opened.
        fee: What opening it has cost, for the units that are left.
        time: When, µs.
    """

    size: Decimal
    price: Decimal
    fee: Decimal
    time: Micros


class ClosedTrade(msgspec.Struct, gc=False, frozen=True):
    """A lot, or a part of one, that was closed.

    Attributes:
        market: `venue:symbol`.
        size: Units, above 0 for long and below 0 for short.
        entry_price: Quote currency per unit.
        exit_price: Quote currency per unit.
        entry_time: Microseconds.
        exit_time: Microseconds.
        fee: Of opening and closing.
        profit: Quote currency, fees and interest deducted; funding is not in it.
        interest: Of what was borrowed to be sold, quote currency.
    """

    market: str
    size: Decimal
    entry_price: Decimal
    exit_price: Decimal
    entry_time: Micros
    exit_time: Micros
    fee: Decimal
    profit: Decimal
    interest: Decimal = ZERO

    @property
    def profit_part(self) -> float:
        """Profit as a part of what was paid for the lot."""
        return float(self.profit / (abs(self.size) * self.entry_price))


class Payment(msgspec.Struct, gc=False, frozen=True):
    """Funding of a position.

    Attributes:
        market: `venue:symbol`.
        time: When, µs.
        amount: Quote currency; above 0 what was received, below 0 what was paid.
    """

    market: str
    time: Micros
    amount: Decimal


@dataclass(slots=True)
class Position:
    """What is held of a market: lots of one direction, the oldest first."""

    lots: deque[Lot] = field(default_factory=deque)
    size: Decimal = ZERO

    @property
    def value_at_entry(self) -> Decimal:
        """What was paid, or taken in, for what is held; above 0 either way."""
        return sum((abs(lot.size) * lot.price for lot in self.lots), ZERO)


class Account:
    """One account in one currency.

    Args:
        capital: Cash to begin with.
        borrowing: Interest of what is sold short, for a year of 365 days, as a part of its value at entry;
            paid when it is bought back.
    """

    def __init__(self, capital: Decimal, borrowing: Decimal = ZERO) -> None:
        self.capital = capital
        self.cash = capital
        self.realized = ZERO
        self.fees = ZERO
        self.interest = ZERO
        self.funding = ZERO
        self.payments: list[Payment] = []
        self.positions: dict[str, Position] = {}
        self.trades: list[ClosedTrade] = []
        self._borrowing = borrowing

    def size(self, market: str) -> Decimal:
        """Units held of a market; below 0 for short."""
        position = self.positions.get(market)
        return ZERO if position is None else position.size

    def equity(self, prices: Mapping[str, float]) -> Decimal:
        """Cash and what the positions are worth at these prices."""
        total = self.cash
        for name, each in self.positions.items():
            if each.size:
                total += each.size * decimal_of(prices[name])
        return total

    def unrealized(self, prices: Mapping[str, float]) -> Decimal:
        """What closing all positions at these prices would win, without fees."""
        total = ZERO
        for name, each in self.positions.items():
            for lot in each.lots:
                total += lot.size * (decimal_of(prices[name]) - lot.price)
        return total

    @property
    def value_at_entry(self) -> Decimal:
        """What was paid, or taken in, for all that is held; above 0 either way."""
        total = ZERO
        for each in self.positions.values():
            if each.size:
                total += each.value_at_entry
        return total

    def take(self, fill: Fill) -> list[ClosedTrade]:
        """Book a fill; returns the trades that it has closed, first in, first out."""
        position = self.positions.get(fill.market)
        if position is None:
            position = self.positions[fill.market] = Position()
        price, fee_left, lots = fill.price, fill.fee, position.lots
        left = fill.size if fill.side == "buy" else -fill.size
        if fee_left:
            self.cash -= left * price + fee_left
            self.fees += fee_left
        else:
            self.cash -= left * price
        closed: list[ClosedTrade] = []
        while lots and left and ((lot := lots[0]).size > ZERO) != (left > ZERO):
            part = -left if abs(left) < abs(lot.size) else lot.size
            entry_fee = lot.fee if part is lot.size else share(lot.fee, part, lot.size)
            exit_fee = share(fee_left, -part, left)
            gain = part * (price - lot.price)
            fee = entry_fee + exit_fee
            interest = self._interest(lot, part, fill.time) if self._borrowing else ZERO
            self.realized += gain
            profit = gain - fee - interest
            closed.append(
                ClosedTrade(fill.market, part, lot.price, price, lot.time, fill.time, fee, profit, interest)
            )
            left += part
            fee_left -= exit_fee
            position.size -= part
            lot.size -= part
            lot.fee -= entry_fee
            if not lot.size:
                lots.popleft()
        if left:
            lots.append(Lot(left, price, fee_left, fill.time))
            position.size = position.size + left if position.size else left
        self.trades += closed
        return closed

    def _interest(self, lot: Lot, part: Decimal, until: Micros) -> Decimal:
        """Pay for what was borrowed, up to now."""
        if part > ZERO:
            return ZERO
        owed = -part * lot.price * self._borrowing * max(0, until - lot.time) / YEAR_US
        owed = owed.quantize(FEE_STEP)
        self.cash -= owed
        self.interest += owed
        return owed

    def pay(self, payment: Payment) -> None:
        """Book funding."""
        self.cash += payment.amount
        self.funding += payment.amount
        self.payments.append(payment)


def share(fee: Decimal, part: Decimal, of: Decimal) -> Decimal:
    """The share of a fee that falls on a part of a size.

    Shares are cut to `FEE_STEP`, and the last one is what the others have left: they add up to the fee.
    """
    return fee if part == of else (fee * part / of).quantize(FEE_STEP)


def decimal_of(value: float) -> Decimal:
    """A price or a size as the shortest decimal that means this double: what the venue wrote."""
    return Decimal(repr(value))
