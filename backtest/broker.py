"""A simulated broker that fills orders by candles.

What it assumes:

- An order is placed at the close of a candle, and looked at from the next one on.
- A market order is filled at the next open.
- A limit order is filled where the price reaches it: at its own price, or at the open where that is better.
- A stop order becomes a market order where the price reaches it: it is filled at its price, or at the open
  where that is worse.
- All of an order is filled, or nothing. Orders of one candle are looked at in the order of their placing, but
  stops before limits: where a candle reaches both, the worse one is assumed to have come first.
- What the account cannot carry is refused. A position needs its value at entry, divided by the leverage.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Final

from backtest.account import ZERO, Account, decimal_of
from backtest.bars import ClosedCandle
from backtest.costs import Costs
from backtest.orders import Fill, Order, OrderKind, OrderState, Side
from schemas.errors import ValidationError
from schemas.records import Micros

FillListener = Callable[[Fill], None]
_OPEN: Final = OrderState.OPEN
ONE: Final = Decimal(1)
LOOKED_AT_FIRST: Final[dict[OrderKind, int]] = {"market": 0, "stop": 1, "limit": 2}


class Broker:
    """Orders, and the account that they change.

    Args:
        account: Of the run.
        costs: Fees and slippage.
        lot: Smallest step of a size.
        leverage: 1: a position needs all of its value.
    """

    def __init__(self, account: Account, costs: Costs, lot: Decimal, leverage: Decimal = Decimal(1)) -> None:
        self.account = account
        self.orders: list[Order] = []
        self.open: list[Order] = []
        self.fills: list[Fill] = []
        self.last: dict[str, float] = {}
        """Last known price of each market."""
        self._costs = costs
        self._lot = lot
        self._leverage = leverage

    def place(
        self,
        market: str,
        side: Side,
        now: Micros,
        size: Decimal | None = None,
        part: Decimal | None = None,
        kind: OrderKind = "market",
        price: Decimal | None = None,
        reduce_only: bool = False,
    ) -> Order:
        """Take an order; it is looked at from the next candle on.

        Args:
            market: `venue:symbol`.
            side: buy or sell.
            now: Event time, µs.
            size: Units; or ...
            part: ... 0 to 1 of what is free once it can be filled.
            kind: market, limit or stop.
            price: Of a limit or a stop.
            reduce_only: Whether it may only make a position smaller.

        Raises:
            ValidationError: Size, part and price contradict each other, or are no such numbers.
        """
        if (size is None) is (part is None):
            raise ValidationError("an order has a size or a part")
        if size is not None and not size > ZERO:
            raise ValidationError(f"the size of an order is above 0, got {size}")
        if part is not None and not ZERO < part <= ONE:
            raise ValidationError(f"the part of an order is above 0 and at most 1, got {part}")
        if (price is None) is not (kind == "market") or (price is not None and not price > ZERO):
            raise ValidationError(
                f"a {kind} order has {'no price' if kind == 'market' else 'a price above 0'}, got {price}"
            )
        units = ZERO if size is None else self.rounded(size)
        order = Order(len(self.orders) + 1, market, side, units, part, kind, price, reduce_only, now)
        self.orders.append(order)
        if part or units:
            self.open.append(order)
        else:
            order.state, order.reason = OrderState.REFUSED, f"{size} is less than a lot of {self._lot}"
        return order

    def cancel(self, order: Order, reason: str = "cancelled") -> None:
        """Withdraw an order, if it is still open."""
        if order.is_open:
            order.state, order.reason = OrderState.CANCELLED, reason
            self.open.remove(order)

    def rounded(self, size: Decimal) -> Decimal:
        """A size in whole lots, towards zero."""
        return size // self._lot * self._lot

    def equity(self) -> Decimal:
        """Cash and positions at the last known prices."""
        return self.account.equity(self.last)

    def free(self) -> Decimal:
        """Value that new positions may have, at the last known prices."""
        return max(ZERO, self.equity() * self._leverage - self.account.value_at_entry)

    def take(self, candle: ClosedCandle, listener: FillListener) -> None:
        """Look at the open orders of a market with its next candle."""
        due = [order for order in self.open if order.market == candle.market]
        if len(due) > 1:
            due.sort(key=lambda order: LOOKED_AT_FIRST[order.kind])
        # What can be afforded is known by the open; the close comes later.
        self.last[candle.market] = candle.open
        first = decimal_of(candle.open)
        for order in due:
            if order.state is _OPEN:
                self._look(order, candle, first, listener)

    def _look(self, order: Order, candle: ClosedCandle, first: Decimal, listener: FillListener) -> None:
        price = fill_price(order, candle, first)
        if price is None:
            return
        self.open.remove(order)
        at_open = price == first
        if order.kind == "limit":
            rate = self._costs.maker_fee
        else:
            rate, price = self._costs.fee, self._costs.slipped(price, order.sign)
        held = self.account.size(order.market)
        against = held < ZERO if order.side == "buy" else held > ZERO
        if order.part is not None:
            order.size = self._affordable(order.part, price, rate)
        size = order.size
        if order.reduce_only:
            size = min(size, abs(held)) if against else ZERO
            if not size:
                order.state, order.reason = OrderState.CANCELLED, "there is no position to reduce"
                return
        elif not size:
            order.state, order.reason = (
                OrderState.REFUSED,
                f"what is free buys less than a lot of {self._lot}",
            )
            return
        opened = max(ZERO, size - abs(held)) if against else size
        # What a part buys can be carried, unless prices that have moved since the open count as well.
        checked = opened and (order.part is None or held)
        if checked and not self._carries(order.market, opened, size - opened, price, rate):
            order.state, order.reason = OrderState.REFUSED, "the account cannot carry it"
            return
        order.state = OrderState.FILLED
        time = candle.open_time if at_open else candle.close_time
        fill = Fill(order, time, order.market, order.side, size, price, size * price * rate)
        self.fills.append(fill)
        self.account.take(fill)
        listener(fill)

    def _affordable(self, part: Decimal, price: Decimal, rate: Decimal) -> Decimal:
        """The size that a part of what is free buys or sells at a price, its fee included; in whole lots."""
        return self.free() * part // (price * (ONE + rate) * self._lot) * self._lot

    def _carries(self, market: str, opened: Decimal, closed: Decimal, price: Decimal, rate: Decimal) -> bool:
        """Whether what is free after closing a part carries the rest."""
        account = self.account
        held = account.size(market)
        equity = account.equity(self.last)
        used = account.value_at_entry
        if held:
            equity += held * (price - decimal_of(self.last[market])) - closed * price * rate
            if closed:
                used -= account.positions[market].value_at_entry
        return opened * price * (ONE + rate) <= equity * self._leverage - used


def fill_price(order: Order, candle: ClosedCandle, first: Decimal) -> Decimal | None:
    """The price at which a candle that opens at `first` fills an order, before slippage; None if not."""
    if order.price is None:
        return first
    if order.kind == "limit":
        reached = candle.low <= order.price if order.sign > 0 else candle.high >= order.price
        better = min if order.sign > 0 else max
        return better(first, order.price) if reached else None
    reached = candle.high >= order.price if order.sign > 0 else candle.low <= order.price
    worse = max if order.sign > 0 else min
    return worse(first, order.price) if reached else None
