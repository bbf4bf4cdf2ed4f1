"""Orders and fills, in exact decimals: what a strategy asks for, and what came of it."""

from __future__ import annotations

import enum
from decimal import Decimal
from typing import Final, Literal, TypeAlias, get_args

import msgspec

from schemas.errors import ValidationError
from schemas.records import Micros

Side: TypeAlias = Literal["buy", "sell"]
OrderKind: TypeAlias = Literal[
    "market", "limit", "stop", "stop_limit", "take_profit", "trailing", "liquidation"
]
TimeInForce: TypeAlias = Literal["gtc", "ioc", "fok"]
_KEPT: Final = frozenset(get_args(TimeInForce))
ZERO: Final = Decimal(0)
ONE: Final = Decimal(1)


class OrderState(enum.Enum):
    """Where an order stands; one of the last four is where it ends."""

    OPEN = "open"
    TRIGGERED = "triggered"
    PARTLY_FILLED = "partly_filled"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REFUSED = "refused"
    EXPIRED = "expired"


_OPEN: Final = OrderState.OPEN
_TRIGGERED: Final = OrderState.TRIGGERED
_PARTLY_FILLED: Final = OrderState.PARTLY_FILLED


class Conditions(msgspec.Struct, gc=False, frozen=True, kw_only=True):
    """How an order is to be filled; without any, at the market.

    Attributes:
        limit: The worst price; with `stop`, from when that was reached.
        stop: Price from which on it becomes a market order, or one at `limit`: above for a buy, below for
            a sell.
        take_profit: Price at which it becomes a market order from the other side: below for a buy, above
            for a sell.
        trail: A stop that follows the best price at this distance, quote currency, and never steps back.
        trail_part: The same, the distance as a part of the best price.
        time_in_force: gtc: until it is cancelled; ioc: what is not filled at once expires; fok: so does all
            of it if all cannot be filled at once. At once means from its trigger on, if it has one.
        post_only: Refused if it would be filled as soon as it arrives.
        reduce_only: Never opens or turns a position: what is more than the position is cut off.
        fit: What the account cannot carry is cut off; else the order is refused.

    Raises:
        ValidationError: They contradict each other, or a number is none that a price can be.
    """

    limit: Decimal | None = None
    stop: Decimal | None = None
    take_profit: Decimal | None = None
    trail: Decimal | None = None
    trail_part: Decimal | None = None
    time_in_force: TimeInForce = "gtc"
    post_only: bool = False
    reduce_only: bool = False
    fit: bool = False

    def __post_init__(self) -> None:
        for name in ("limit", "stop", "take_profit", "trail", "trail_part"):
            price = getattr(self, name)
            if price is not None and not (price.is_finite() and price > ZERO):
                raise ValidationError(f"{name} of an order is above 0, got {price}")
        if self.trail_part is not None and self.trail_part >= ONE:
            raise ValidationError(f"trail_part of an order is a part below 1, got {self.trail_part}")
        triggers = [
            name for name in ("stop", "take_profit", "trail", "trail_part") if getattr(self, name) is not None
        ]
        if len(triggers) > 1:
            raise ValidationError(f"an order has one trigger, got {' and '.join(triggers)}")
        if self.limit is not None and triggers and triggers != ["stop"]:
            raise ValidationError(f"an order has a limit or {triggers[0]}; with a limit goes stop alone")
        if self.time_in_force not in _KEPT:
            raise ValidationError(f"time_in_force is gtc, ioc or fok, got {self.time_in_force}")
        if self.post_only and (self.kind != "limit" or self.time_in_force != "gtc"):
            raise ValidationError("post_only is for limits that wait: without a trigger, gtc")

    @property
    def kind(self) -> OrderKind:
        """What such an order is called."""
        if self.stop is not None:
            return "stop" if self.limit is None else "stop_limit"
        if self.take_profit is not None:
            return "take_profit"
        if self.trail is not None or self.trail_part is not None:
            return "trailing"
        return "market" if self.limit is None else "limit"


AT_MARKET: Final = Conditions()
CLOSING: Final = Conditions(reduce_only=True)
"""Of a market order that ends a position."""


class Order(msgspec.Struct, gc=False):
    """One order.

    Attributes:
        number: Running number in its run, from 1.
        market: `venue:symbol`.
        side: buy or sell.
        size: Units of the base; 0 of an order of a part, until it is filled. What is cut off, as by
            `reduce_only`, is no longer in it.
        part: Of what is free when it is filled, 0 to 1; None of an order of a size.
        kind: See `Conditions`; liquidation of what the broker itself closes, for want of margin.
        placed: Event time at which it was placed, µs.
        limit: Worst price, quote currency; None without one.
        trigger: Price that it waits for, quote currency; of a trailing stop where it stands now, None until
            a price is known. None of a market order or a limit.
        trail: Distance of a trailing stop, quote currency.
        trail_part: Distance of a trailing stop, as a part of the best price.
        time_in_force: See `Conditions`; likewise post_only, reduce_only, fit.
        state: Where it stands.
        reason: Why it was refused or cancelled, or has expired.
        filled: Units that were executed.
        group: Number of the orders that cancel each other, from 1; 0 without.
        resting: Whether it stands in the book: a limit that was looked at and not filled at once.
    """

    number: int
    market: str
    side: Side
    size: Decimal
    part: Decimal | None
    kind: OrderKind
    placed: Micros
    limit: Decimal | None = None
    trigger: Decimal | None = None
    trail: Decimal | None = None
    trail_part: Decimal | None = None
    time_in_force: TimeInForce = "gtc"
    post_only: bool = False
    reduce_only: bool = False
    fit: bool = False
    state: OrderState = OrderState.OPEN
    reason: str = ""
    filled: Decimal = ZERO
    group: int = 0
    resting: bool = False

    @property
    def sign(self) -> int:
        """1 for a buy, -1 for a sell."""
        return 1 if self.side == "buy" else -1

    @property
    def is_open(self) -> bool:
        """Whether it may still be filled."""
        state = self.state
        return state is _OPEN or state is _TRIGGERED or state is _PARTLY_FILLED

    @property
    def left(self) -> Decimal:
        """Units that are not filled yet."""
        return self.size - self.filled

    @property
    def waits(self) -> bool:
        """Whether it has a trigger that has not been reached."""
        return self.state is _OPEN and self.kind not in ("market", "limit")

    @property
    def level(self) -> Decimal | None:
        """The price that it waits for now: its trigger, then its limit; None if it waits for none."""
        return self.trigger if self.waits else self.limit

    @property
    def rises(self) -> bool:
        """Whether prices have to rise to `level`; else they have to fall to it."""
        if self.waits and self.kind != "take_profit":
            return self.side == "buy"
        return self.side == "sell"

    def reached(self, price: Decimal) -> bool:
        """Whether a price stands at `level` or beyond: the trigger fires, or the limit can be filled."""
        level = self.level
        if level is None:
            return not self.waits
        return price >= level if self.rises else price <= level


class Fill(msgspec.Struct, gc=False, frozen=True):
    """What a part of an order, or all of it, was executed at.

    Attributes:
        order: The order.
        time: Event time, µs; by candles the open of the candle for what is filled there, else its close.
        market: `venue:symbol`.
        side: buy or sell.
        size: Units of the base.
        price: Quote currency per unit, slippage included.
        fee: Quote currency.
        maker: Whether it had waited in the book.
    """

    order: Order
    time: Micros
    market: str
    side: Side
    size: Decimal
    price: Decimal
    fee: Decimal
    maker: bool = False

    @property
    def signed_size(self) -> Decimal:
        """Size with the sign of the side."""
        return self.size if self.side == "buy" else -self.size
