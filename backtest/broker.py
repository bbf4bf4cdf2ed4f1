"""A simulated broker: takes orders, keeps their lives, and books what is executed.

When and at what price an order is executed is not said here but by a model of `backtest.matching`, which
looks at the open orders with what happens in the market and calls `trigger`, `follow` and `execute`. What
holds for all of them:

- An order ends in one state: filled, cancelled, refused or expired.
- Orders of a group cancel each other: what one of them is filled by, the others are made smaller by.
- What the account cannot carry is refused. A position needs its value at entry, divided by the leverage.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from math import isnan, nan
from typing import Final

from backtest.account import Account, Payment, decimal_of
from backtest.fees import FeeMeter
from backtest.margin import Margin
from backtest.orders import (
    AT_MARKET,
    CLOSING,
    ONE,
    ZERO,
    Conditions,
    Fill,
    Order,
    OrderState,
    Side,
)
from backtest.rules import Rules, rules_of
from backtest.terms import Terms
from schemas.errors import ValidationError
from schemas.records import Instrument, Micros

FillListener = Callable[[Fill], object]
_FILLED: Final = OrderState.FILLED


class Broker:
    """Orders, and the account that they change.

    Args:
        account: Of the run.
        terms: Of the run.
        instruments: By market: what they ask of orders; a market without one has `terms.lot` alone.
    """

    def __init__(
        self, account: Account, terms: Terms, instruments: Mapping[str, Instrument] | None = None
    ) -> None:
        self.account = account
        self.orders: list[Order] = []
        self.open: list[Order] = []
        """Orders that may still be filled, in the order of their placing."""
        self.fills: list[Fill] = []
        self.last: dict[str, float] = {}
        """Last known price of each market; kept by what runs the strategy and by what matches orders."""
        self.listener: FillListener | None = None
        """Called with each fill, once it is booked."""
        self._costs, self._slips, self._schedule = terms.costs, terms.costs.slips, terms.costs.schedule
        self._plain = Rules(terms.lot)
        self._rules = {name: rules_of(each, terms.lot) for name, each in (instruments or {}).items()}
        self._fees = FeeMeter(terms.costs.fee, terms.costs.maker_fee, terms.costs.schedule)
        self._groups: list[list[Order]] = []
        self.margin = Margin(account, self.last, terms.leverage, terms.maintenance)

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
        rules, units = self._rules.get(market, self._plain), ZERO
        if size is not None:
            if not size > ZERO:
                raise ValidationError(f"the size of an order is above 0, got {size}")
            units = rules.size(size)
        elif part is not ONE and part is not None and not ZERO < part <= ONE:
            raise ValidationError(f"the part of an order is above 0 and at most 1, got {part}")
        order = Order(len(self.orders) + 1, market, side, units, part, "market", now)
        self.orders.append(order)
        self.open.append(order)
        if how is CLOSING:
            order.reduce_only = True
        elif how is not AT_MARKET:
            self._demand(order, how, rules)
        if size is not None and not units:
            self.refuse(order, f"{size} is less than a lot of {rules.lot}")
        elif rules.minimum is not None and units:
            price = order.limit or order.trigger
            if price is None and market in self.last:
                price = decimal_of(self.last[market])
            if price is not None:
                self._check_value(order, price, rules.minimum)
        return order

    def _demand(self, order: Order, how: Conditions, rules: Rules) -> None:
        trigger = how.stop or how.take_profit
        order.kind = how.kind
        order.limit = None if how.limit is None else rules.asked(how.limit, order.side)
        order.trigger = None if trigger is None else rules.asked(trigger, order.side, how.stop is not None)
        order.trail, order.trail_part = how.trail, how.trail_part
        order.time_in_force = how.time_in_force
        order.post_only, order.reduce_only, order.fit = how.post_only, how.reduce_only, how.fit
        if order.kind == "trailing" and order.market in self.last:
            self.follow(order, decimal_of(self.last[order.market]))
        elif ZERO in (order.limit, order.trigger):
            self.refuse(order, f"its price is less than a tick of {rules.tick}")

    def _check_value(self, order: Order, price: Decimal, minimum: Decimal) -> None:
        """Refuse an order that is worth less than the smallest one, unless it only reduces."""
        if order.size * price < minimum and not order.reduce_only:
            self.refuse(order, f"its value is below the market's minimum of {minimum}")

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
        found = self.rules(order.market).asked(price + order.sign * distance, order.side, stop=True)
        if order.trigger is None or (found < order.trigger if order.side == "buy" else found > order.trigger):
            order.trigger = found

    def rules(self, market: str) -> Rules:
        """What a market asks of orders."""
        return self._rules.get(market, self._plain)

    def equity(self) -> Decimal:
        """Cash and positions at the last known prices."""
        return self.account.equity(self.last)

    def execute(
        self,
        order: Order,
        size: Decimal | None,
        price: Decimal,
        time: Micros,
        maker: bool,
        volume: float = nan,
    ) -> Fill | None:
        """Fill an open order, or a part of it.

        Args:
            order: Of this broker.
            size: Units that there are for it; None: all that it asks for.
            price: Quote currency per unit; a taker without a limit pays the slippage besides.
            time: Event time, µs.
            maker: Whether it has waited in the book.
            volume: Of the candle, base units; nan where it is not known.

        Returns:
            The fill, when it is booked and told; None if the order was refused or cancelled instead.

        Raises:
            ConfigurationError: The slippage depends on what is not known of the market.
        """
        market = order.market
        rules = self._rules.get(market, self._plain)
        rate = self._fees.rate(market, time, maker)
        if self._slips and not maker and order.limit is None:
            price = self._slipped(order, size, price, rate, volume)
        held = self.account.size(market)
        against = bool(held) and (held < ZERO) is (order.side == "buy")
        if not order.size:
            order.size = self.margin.affordable(rules.lot, order.part or ZERO, price, rate)
        if order.reduce_only:
            if not against:
                self.cancel(order, "there is no position to reduce")
                return None
            if order.size - order.filled > abs(held):
                order.size = order.filled + abs(held)
        if not order.size:
            self.refuse(order, f"what is free buys less than a lot of {rules.lot}")
            return None
        left = order.size - order.filled if order.filled else order.size
        units = left if size is None or size > left else size
        opened = max(ZERO, units - abs(held)) if against else units
        # What a part buys can be carried, unless prices that have moved since the open count as well.
        if opened and (order.part is None or held or order.filled):
            carried = self.margin.carried(market, units - opened, price, rate)
            if opened * price * (ONE + rate) > carried:
                cut = rules.size(max(ZERO, carried) / (price * (ONE + rate))) if order.fit else -units
                units += cut - opened
                if units <= ZERO:
                    self.refuse(order, "the account cannot carry it")
                    return None
                order.size = order.filled + units
        if rules.minimum is not None and not order.filled and (order.part is not None or order.fit):
            self._check_value(order, price, rules.minimum)
            if not order.is_open:
                return None
        order.filled = order.filled + units if order.filled else units
        if order.filled is order.size or order.filled == order.size:
            order.state = _FILLED
            self.open.remove(order)
        else:
            order.state = OrderState.PARTLY_FILLED
        fill = Fill(order, time, market, order.side, units, price, units * price * rate, maker)
        self._book(fill)
        if order.group:
            self._settle(order, units)
        if self.listener is not None:
            self.listener(fill)
        return fill

    def _book(self, fill: Fill) -> None:
        self.fills.append(fill)
        self.account.take(fill)
        if self._schedule is not None:
            self._fees.count(fill.market, fill.time, fill.size * fill.price)
        self.margin.refresh()

    def fund(
        self, market: str, time: Micros, rate: float, mark: float, size: Decimal | None = None
    ) -> Decimal:
        """Book the funding of what is held of a perpetual.

        Args:
            market: `venue:symbol`.
            time: When, µs.
            rate: Part of the value that longs pay to shorts; below 0 the other way round.
            mark: Price that values the position; nan: the last known one.
            size: Units held then; None: as many as now.

        Returns:
            What was received, or below 0 paid, quote currency.
        """
        size = self.account.size(market) if size is None else size
        if not size:
            return ZERO
        price = self.last[market] if isnan(mark) else mark
        amount = -size * decimal_of(price) * decimal_of(rate)
        self.account.pay(Payment(market, time, amount))
        self.margin.refresh()
        return amount

    def danger(self, market: str) -> Decimal | None:
        """The price of a market at which the account is liquidated, in whole ticks; see `Margin.price`."""
        price = self.margin.price(market)
        if price is None:
            return None
        return self.rules(market).missed(price, _closing(self.account.size(market)))

    def liquidate(self, market: str, price: Decimal, time: Micros) -> None:
        """Withdraw all orders, and close all positions: what is left no longer carries them.

        Args:
            market: Whose price it was.
            price: That price; the positions of other markets are closed at their last known ones.
            time: Event time, µs.
        """
        for order in tuple(self.open):
            self.cancel(order, "the account was liquidated")
        done = len(self.fills)
        for name, position in self.account.positions.items():
            units, side = abs(position.size), _closing(position.size)
            if not units:
                continue
            order = Order(len(self.orders) + 1, name, side, units, None, "liquidation", time)
            order.state, order.filled = _FILLED, units
            order.reason = "the equity had fallen to the maintenance margin"
            self.orders.append(order)
            at = price if name == market else decimal_of(self.last[name])
            rate = self._fees.rate(name, time, False) + self._costs.liquidation_fee
            self._book(Fill(order, time, name, side, units, at, units * at * rate))
        if self.listener is not None:
            for fill in self.fills[done:]:
                self.listener(fill)

    def settle_size(self, order: Order, price: Decimal, time: Micros) -> None:
        """Let an order of a part have the size that a taker would be executed with now, whole."""
        if not order.size:
            rate = self._fees.rate(order.market, time, False)
            if self._costs.slips and order.limit is None:
                price = self._slipped(order, None, price, rate, nan)
            lot = self.rules(order.market).lot
            order.size = self.margin.affordable(lot, order.part or ZERO, price, rate)

    def _slipped(
        self, order: Order, size: Decimal | None, price: Decimal, rate: Decimal, volume: float
    ) -> Decimal:
        """The price that an order without a limit is filled at; of a part, for the size before slippage."""
        rules = self.rules(order.market)
        units = order.left or self.margin.affordable(rules.lot, order.part or ZERO, price, rate)
        units = units if size is None else min(units, size)
        found = self._costs.slipped(price, order.sign, units, Decimal(repr(volume)), rules.tick)
        return rules.missed(found, order.side)


def _closing(held: Decimal) -> Side:
    return "sell" if held > ZERO else "buy"
