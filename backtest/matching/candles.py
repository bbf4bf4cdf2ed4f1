"""Fills by candles: what is assumed of the prices between an open and a close.

- An order is placed at the close of a candle, and looked at from the next one on; first at its open, in the
  order market, stops, limits, then placing.
- From there the price goes straight to one extreme, to the other, and to the close. It goes against what is
  held first: to the low if that is long, to the high if it is short. Without a position it goes to the
  extreme that is nearer to the open; if both are as near, to the high of a candle that falls, else the low.
- The account is liquidated where the price comes to its margin, or at the open if that is beyond it.
- On this path every order is filled where the price comes to it: at its own price, or at the open where the
  candle opens beyond it. All of an order is filled, or nothing.
"""

from __future__ import annotations

from decimal import Decimal
from math import nan
from operator import attrgetter
from typing import Final

from backtest.account import decimal_of
from backtest.bars import ClosedCandle
from backtest.broker import Broker
from backtest.orders import ZERO, Order, OrderKind
from schemas.records import Micros

RANK: Final[dict[OrderKind, int]] = {
    "stop": 1,
    "stop_limit": 1,
    "trailing": 1,
    "limit": 2,
    "take_profit": 2,
}
"""Who comes first at one price: the worse one."""


class CandleMatching:
    """Looks at the open orders of a market with its next candle.

    Args:
        broker: Of the run.
        latency: After which an order reaches the market, µs: candles that open before do not fill it.
    """

    def __init__(self, broker: Broker, latency: Micros = 0) -> None:
        self._broker = broker
        self._latency = latency
        self._volume = nan

    def take(self, candle: ClosedCandle) -> None:
        """Have executed what a candle fills."""
        broker, self._volume = self._broker, candle.volume
        opens = candle.open_time - self._latency
        due = [order for order in broker.open if order.market == candle.market and order.placed <= opens]
        # What can be afforded is known by the open; the close comes later.
        broker.last[candle.market] = candle.open
        first = decimal_of(candle.open)
        waiting = []
        for order in due:
            if order.kind != "market":
                waiting.append(order)
            elif order.is_open:
                broker.execute(order, None, first, candle.open_time, False, candle.volume)
        if waiting:
            waiting.sort(key=lambda order: RANK[order.kind])
            self._open(waiting, first, candle.open_time)
        if waiting or (broker.margin.guards and broker.margin.threatened(candle)):
            self._walk(waiting, candle, first)

    def _open(self, due: list[Order], first: Decimal, time: Micros) -> None:
        for order in due:
            if order.is_open and order.reached(first):
                self._reach(order, first, time)
            if not order.is_open:
                continue
            if order.waits:
                if order.kind == "trailing":
                    self._broker.follow(order, first)
            elif order.time_in_force != "gtc":
                self._broker.expire(order)
            else:
                order.resting = True

    def _walk(self, due: list[Order], candle: ClosedCandle, first: Decimal) -> None:
        """Go along the path behind the open, for orders in their rank and for the margin."""
        broker, market = self._broker, candle.market
        self._call(market, first, candle.open_time)
        low, high, last = decimal_of(candle.low), decimal_of(candle.high), decimal_of(candle.close)
        down = broker.account.size(market) or (high - first) - (first - low) or last - first
        at = first
        for to in (low, high, last) if down >= ZERO else (high, low, last):
            if to != at:
                self._leg(market, due, at, to, candle.close_time)
            at = to

    def _leg(self, market: str, due: list[Order], at: Decimal, to: Decimal, time: Micros) -> None:
        """The price goes straight from one point to another."""
        sign = 1 if to > at else -1
        while True:
            due[:] = [order for order in due if order.is_open]
            reached = [order for order in due if order.rises is (sign > 0) and order.reached(to)]
            first = (min if sign > 0 else max)(reached, key=attrgetter("level"), default=None)
            until = to if first is None else first.level or to
            end = self._liquidation(market, sign, at)
            if end is not None and sign * end <= sign * to and (first is None or sign * end < sign * until):
                self._broker.liquidate(market, end, time)
            elif first is None:
                break
            else:
                self._reach(first, until, time)
                self._call(market, until, time)
                at = until
        for order in due:
            if order.kind == "trailing" and order.rises is (sign < 0):
                self._broker.follow(order, to)

    def _call(self, market: str, at: Decimal, time: Micros) -> None:
        """Liquidate an account whose margin is used up at a price that is there."""
        if at in (self._liquidation(market, 1, at), self._liquidation(market, -1, at)):
            self._broker.liquidate(market, at, time)

    def _liquidation(self, market: str, sign: int, at: Decimal) -> Decimal | None:
        """Where a price that rises (1) or falls (-1) from here liquidates the account; None: nowhere."""
        if market not in self._broker.margin.guards or self._broker.account.size(market) * sign > ZERO:
            return None
        danger = self._broker.danger(market)
        return None if danger is None else sign * max(sign * danger, sign * at)

    def _reach(self, order: Order, price: Decimal, time: Micros) -> None:
        """The price has come to what an order waits for."""
        if order.waits:
            self._broker.trigger(order)
            if not order.reached(price):
                if order.time_in_force == "gtc":
                    order.resting = True
                else:
                    self._broker.expire(order)
                return
        if order.post_only and not order.resting:
            self._broker.refuse(order, "post_only: it would be filled at once")
            return
        self._broker.execute(order, None, price, time, order.resting, self._volume)
