"""A simulated broker: takes orders, keeps their lives, and books what is executed.

When and at what price an order is executed is not said here but by a model of `backtest.matching`, which
looks at the open orders with what happens in the market and calls `trigger`, `follow` and `execute`. What
holds for all of them:

- An order ends in one state: filled, cancelled, refused or expired.
- Orders of a group cancel each other: what one of them is filled by, the others are made smaller by.
- What the account cannot carry is refused. A position needs its value at entry, divided by the leverage.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Final

from backtest.account import Account, decimal_of
from backtest.orders import (
    AT_MARKET,
    ONE,
    ZERO,
    Conditions,
    Fill,
    Order,
    OrderState,
    Side,
)
from backtest.terms import Terms
from schemas.errors import ValidationError
from schemas.records import Micros

FillListener = Callable[[Fill], object]
_FILLED: Final = OrderState.FILLED


class Broker:
    """Orders, and the account that they change.

    Args:
        account: Of the run.
        terms: Of the run.
    """

    def __init__(self, account: Account, terms: Terms) -> None:
        self.account = account
        self.orders: list[Order] = []
        self.open: list[Order] = []
        """Orders that may still be filled, in the order of their placing."""
        self.fills: list[Fill] = []
        self.last: dict[str, float] = {}
        """Last known price of each market; kept by what runs the strategy and by what matches orders."""
        self.listener: FillListener | None = None
        """Called with each fill, once it is booked."""
        self._costs = terms.costs
        self._lot = terms.lot
        self._leverage = terms.leverage
        self._groups: list[list[Order]] = []

    def place(
        self,
        market: str,
        side: Side,
        now: Micros,
        size: Decimal | None = None,
        part: Decimal | None = None,
        how: Conditions = AT_MARKET,
    ) -> Order:
        """Take an order.

        Args:
            market: `venue:symbol`.
            side: buy or sell.
            now: Event time, µs.
            size: Units; or ...
            part: ... 0 to 1 of what is free once it can be filled.
            how: When, and at what price.

        Raises:
            ValidationError: Size and part contradict each other, or are no such numbers.
        """
        if (size is None) is (part is None):
            raise ValidationError("an order has a size or a part")
        if size is not None and not size > ZERO:
            raise ValidationError(f"the size of an order is above 0, got {size}")
        if part is not None and not ZERO < part <= ONE:
            raise ValidationError(f"the part of an order is above 0 and at most 1, got {part}")
        units = ZERO if size is None else self.rounded(size)
        order = Order(len(self.orders) + 1, market, side, units, part, how.kind, now)
        if how is not AT_MARKET:
            self._demand(order, how)
        self.orders.append(order)
        if part or units:
            self.open.append(order)
        else:
            order.state, order.reason = OrderState.REFUSED, f"{size} is less than a lot of {self._lot}"
        return order

    def _demand(self, order: Order, how: Conditions) -> None:
        order.limit = how.limit
        order.trigger = how.stop or how.take_profit
        order.trail, order.trail_part = how.trail, how.trail_part
        order.time_in_force = how.time_in_force
        order.post_only, order.reduce_only, order.fit = how.post_only, how.reduce_only, how.fit
        if order.kind == "trailing" and order.market in self.last:
            self.follow(order, decimal_of(self.last[order.market]))

    def cancel(self, order: Order, reason: str = "cancelled") -> None:
        """Withdraw an order, if it is still open."""
        self._end(order, OrderState.CANCELLED, reason)

    def refuse(self, order: Order, reason: str) -> None:
        """End an order that cannot be filled; one that was filled in part is cancelled."""
        self._end(order, OrderState.CANCELLED if order.filled else OrderState.REFUSED, reason)

    def expire(self, order: Order) -> None:
        """End an order that was to be filled at once, and was not."""
        self._end(order, OrderState.EXPIRED, f"{order.time_in_force}: not filled at once")

    def _end(self, order: Order, state: OrderState, reason: str) -> None:
        if order.is_open:
            order.state, order.reason = state, reason
            self.open.remove(order)

    def group(self, orders: Sequence[Order]) -> None:
        """Let orders cancel each other: what one of them is filled by, the others are made smaller by.

        Raises:
            ValidationError: There are fewer than two, they are of several markets, or one is in a group.
        """
        if len({order.number for order in orders}) < 2 or len({order.market for order in orders}) > 1:
            raise ValidationError("two orders or more of one market can cancel each other")
        if any(order.group for order in orders):
            raise ValidationError("an order is in one group")
        self._groups.append(list(orders))
        for order in orders:
            order.group = len(self._groups)
        for order in orders:
            if order.filled:
                self._settle(order, order.filled)

    def _settle(self, order: Order, size: Decimal) -> None:
        """Make the others of a group smaller by what one was filled by."""
        for other in self._groups[order.group - 1]:
            if other is order or not other.is_open:
                continue
            if order.state is _FILLED or not other.size or other.left <= size:
                self.cancel(other, f"order {order.number} was filled")
            else:
                other.size -= size

    def trigger(self, order: Order) -> None:
        """Say that the trigger of an order was reached: from now on it is at the market, or at its limit."""
        order.state = OrderState.TRIGGERED

    def follow(self, order: Order, price: Decimal) -> None:
        """Let the trigger of a trailing stop follow a price, if that is better than those before."""
        distance = order.trail if order.trail is not None else price * (order.trail_part or ZERO)
        found = price + distance if order.side == "buy" else price - distance
        if order.trigger is None or (found < order.trigger if order.side == "buy" else found > order.trigger):
            order.trigger = found

    def rounded(self, size: Decimal) -> Decimal:
        """A size in whole lots, towards zero."""
        return size // self._lot * self._lot

    def equity(self) -> Decimal:
        """Cash and positions at the last known prices."""
        return self.account.equity(self.last)

    def free(self) -> Decimal:
        """Value that new positions may have, at the last known prices."""
        return max(ZERO, self.equity() * self._leverage - self.account.value_at_entry)

    def execute(
        self, order: Order, size: Decimal | None, price: Decimal, time: Micros, maker: bool
    ) -> Fill | None:
        """Fill an open order, or a part of it.

        Args:
            order: Of this broker.
            size: Units that there are for it; None: all that it asks for.
            price: Quote currency per unit; a taker without a limit pays the slippage besides.
            time: Event time, µs.
            maker: Whether it has waited in the book.

        Returns:
            The fill, when it is booked and told; None if the order was refused or cancelled instead.
        """
        price, rate = self._priced(order, price, maker)
        held = self.account.size(order.market)
        against = held < ZERO if order.side == "buy" else held > ZERO
        if not order.size:
            order.size = self._affordable(order.part or ZERO, price, rate)
        if order.reduce_only:
            order.size = order.filled + (min(order.left, abs(held)) if against else ZERO)
            if not order.left:
                self.cancel(order, "there is no position to reduce")
                return None
        elif not order.size:
            self.refuse(order, f"what is free buys less than a lot of {self._lot}")
            return None
        left = order.left
        units = left if size is None or size > left else size
        opened = max(ZERO, units - abs(held)) if against else units
        # What a part buys can be carried, unless prices that have moved since the open count as well.
        if opened and (order.part is None or held or order.filled):
            carried = self._carried(order.market, units - opened, price, rate)
            if opened * price * (ONE + rate) > carried:
                cut = self.rounded(carried / (price * (ONE + rate))) if order.fit and carried > ZERO else ZERO
                units += cut - opened
                order.size = order.filled + units
                if not order.fit or not units:
                    self.refuse(order, "the account cannot carry it")
                    return None
        order.filled += units
        if order.filled == order.size:
            order.state = _FILLED
            self.open.remove(order)
        else:
            order.state = OrderState.PARTLY_FILLED
        fill = Fill(order, time, order.market, order.side, units, price, units * price * rate, maker)
        self.fills.append(fill)
        self.account.take(fill)
        if order.group:
            self._settle(order, units)
        if self.listener is not None:
            self.listener(fill)
        return fill

    def settle_size(self, order: Order, price: Decimal, maker: bool) -> None:
        """Let an order of a part have the size that it would be executed with now, whole."""
        if not order.size:
            order.size = self._affordable(order.part or ZERO, *self._priced(order, price, maker))

    def _priced(self, order: Order, price: Decimal, maker: bool) -> tuple[Decimal, Decimal]:
        """The price that an execution has, and the part of its value that is its fee."""
        if maker:
            return price, self._costs.maker_fee
        slipped = price if order.limit is not None else self._costs.slipped(price, order.sign)
        return slipped, self._costs.fee

    def _affordable(self, part: Decimal, price: Decimal, rate: Decimal) -> Decimal:
        """The size that a part of what is free buys or sells at a price, its fee included; in whole lots."""
        return self.free() * part // (price * (ONE + rate) * self._lot) * self._lot

    def _carried(self, market: str, closed: Decimal, price: Decimal, rate: Decimal) -> Decimal:
        """The value that what is free after closing a part carries, fees included."""
        account = self.account
        held = account.size(market)
        equity = account.equity(self.last)
        used = account.value_at_entry
        if held:
            equity += held * (price - decimal_of(self.last[market])) - closed * price * rate
            if closed:
                used -= account.positions[market].value_at_entry
        return equity * self._leverage - used
