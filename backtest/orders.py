"""Orders and fills, in exact decimals: what a strategy asks for, and what came of it."""

from __future__ import annotations

import enum
from decimal import Decimal
from typing import Literal, TypeAlias

import msgspec

from schemas.records import Micros

Side: TypeAlias = Literal["buy", "sell"]
OrderKind: TypeAlias = Literal["market", "limit", "stop"]


class OrderState(enum.Enum):
    """Where an order stands."""

    OPEN = "open"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REFUSED = "refused"


class Order(msgspec.Struct, gc=False):
    """One order.

    Attributes:
        number: Running number in its run, from 1.
        market: `venue:symbol`.
        side: buy or sell.
        size: Units of the base; 0 of an order of a part, until it is filled.
        part: Of what is free when it is filled, 0 to 1; None of an order of a size.
        kind: market, limit or stop.
        price: Of a limit or a stop, in quote currency; None of a market order.
        reduce_only: Never opens or turns a position: what is more than the position is cut off.
        placed: Event time of the candle at whose close it was placed, µs.
        state: Where it stands.
        reason: Why it was refused or cancelled.
    """

    number: int
    market: str
    side: Side
    size: Decimal
    part: Decimal | None
    kind: OrderKind
    price: Decimal | None
    reduce_only: bool
    placed: Micros
    state: OrderState = OrderState.OPEN
    reason: str = ""

    @property
    def sign(self) -> int:
        """1 for a buy, -1 for a sell."""
        return 1 if self.side == "buy" else -1

    @property
    def is_open(self) -> bool:
        """Whether it may still be filled."""
        return self.state is OrderState.OPEN


class Fill(msgspec.Struct, gc=False, frozen=True):
    """What a part of an order, or all of it, was executed at.

    Attributes:
        order: The order.
        time: Event time, µs: the open of the candle for what is filled there, else its close.
        market: `venue:symbol`.
        side: buy or sell.
        size: Units of the base.
        price: Quote currency per unit, slippage included.
        fee: Quote currency.
    """

    order: Order
    time: Micros
    market: str
    side: Side
    size: Decimal
    price: Decimal
    fee: Decimal

    @property
    def signed_size(self) -> Decimal:
        """Size with the sign of the side."""
        return self.size if self.side == "buy" else -self.size
