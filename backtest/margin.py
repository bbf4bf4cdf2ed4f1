"""The margin of an account: what it can still carry, and at what price it no longer carries what it has.

A position binds its value at entry, divided by the leverage; the others, and cash, stand for it. All of them
are liquidated when cash and positions are worth no more than the maintenance margin, a part of their value:

    cash + sum(size * price) <= maintenance * sum(|size| * price)

Without such a part that is when nothing is left. Long positions that are paid for can never come there.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_DOWN, ROUND_UP, Context, Decimal
from math import inf
from typing import Final

from backtest.account import Account, decimal_of
from backtest.bars import ClosedCandle
from backtest.orders import ONE, ZERO

_LOWER: Final = Context(prec=12, rounding=ROUND_DOWN)
_HIGHER: Final = Context(prec=12, rounding=ROUND_UP)
"""Prices of liquidation have twelve digits, and are rounded to where the margin is used up."""
_SAFE: Final = (-inf, inf)
_SLACK: Final = 1e-9
"""Doubles tell that a price is near; decimals whether it is reached."""


class Margin:
    """Watches one account.

    Args:
        account: Of the run.
        last: Last known price of each market, by `venue:symbol`.
        leverage: Value of positions over what they bind.
        maintenance: Part of the value of a position that the equity may not fall to.
    """

    def __init__(
        self, account: Account, last: Mapping[str, float], leverage: Decimal, maintenance: Decimal
    ) -> None:
        self.guards: dict[str, tuple[float, float]] = {}
        """By market: prices at or below the first, at or above the second are to be looked at; the others
        are safe, and so is a market that is not in it. The object stays the same."""
        self._account, self._last = account, last
        self._leverage, self._rate, self._rate_double = leverage, maintenance, float(maintenance)

    def affordable(self, lot: Decimal, part: Decimal, price: Decimal, rate: Decimal) -> Decimal:
        """The size that a part of what is free buys or sells at a price, its fee included; in whole lots."""
        account = self._account
        free = account.equity(self._last) * self._leverage - account.value_at_entry
        if free < ZERO:
            return ZERO
        cost = price * (ONE + rate) if rate else price
        if part is not ONE:
            free *= part
        return free // cost if lot == ONE else free // (cost * lot) * lot

    def carried(self, market: str, closed: Decimal, price: Decimal, rate: Decimal) -> Decimal:
        """The value that what is free after closing a part carries, fees included."""
        account = self._account
        held = account.size(market)
        equity = account.equity(self._last)
        used = account.value_at_entry
        if held:
            equity += held * (price - decimal_of(self._last[market])) - closed * price * rate
            if closed:
                used -= account.positions[market].value_at_entry
        return equity * self._leverage - used

    def refresh(self) -> None:
        """See to the guards after each booking."""
        account, guards = self._account, self.guards
        if guards:
            guards.clear()
        several = len(account.positions) > 1
        paid = account.cash >= ZERO
        for market, position in account.positions.items():
            size = position.size
            if not size or (paid and not several and size > ZERO):
                continue
            if several:
                guards[market] = (inf, -inf)
                continue
            price = -float(_LOWER.divide(account.cash, size))
            if size > ZERO:
                guards[market] = (price / (1 - self._rate_double) * (1 + _SLACK), inf)
            else:
                guards[market] = (-inf, price / (1 + self._rate_double) * (1 - _SLACK))
        if several and paid and all(each.size >= ZERO for each in account.positions.values()):
            guards.clear()

    def threatened(self, candle: ClosedCandle) -> bool:
        """Whether a candle may come to where its market is liquidated."""
        low, high = self.guards.get(candle.market, _SAFE)
        return candle.low <= low or candle.high >= high

    def is_safe(self, worst: Mapping[str, tuple[float, float]]) -> bool:
        """Whether the account carries its positions whatever prices come, within bounds; told by doubles.

        Args:
            worst: Lowest and highest price by market; of markets that are not in it, the last known one.
        """
        left, scale = float(self._account.cash), abs(float(self._account.cash))
        for market, position in self._account.positions.items():
            size = float(position.size)
            if size:
                last = self._last[market]
                low, high = worst.get(market, (last, last))
                value = size * (low if size > 0 else high)
                left += value - self._rate_double * abs(value)
                scale += abs(value)
        return left > scale * _SLACK

    def price(self, market: str) -> Decimal | None:
        """The price at which the account is liquidated while the others stay; below a long, above a short.

        Returns:
            Quote currency per unit; 0 or below if a short position is beyond it at any price; None if nothing
            is held, or no price can do it.
        """
        size = self._account.size(market)
        if not size:
            return None
        left = self._account.cash
        for name, each in self._account.positions.items():
            if each.size and name != market:
                left += (each.size - self._rate * abs(each.size)) * decimal_of(self._last[name])
        if size < ZERO:
            return _HIGHER.create_decimal(left / (-size * (ONE + self._rate)))
        return None if left >= ZERO else _LOWER.create_decimal(-left / (size * (ONE - self._rate)))
