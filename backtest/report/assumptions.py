"""What a run takes for granted, in sentences, as its terms have it; docs/backtesting.md says all of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Final

from backtest.engine import Run
from backtest.terms import Fills, Queue, Terms

_BY: Final[Mapping[Fills, Sequence[str]]] = {
    "candle": (
        "Orders are looked at from the candle after the one at whose close they were placed.",
        "Market orders are filled at the next open; others at their price, or at an open beyond it.",
        "Within a candle the price goes straight from open to one extreme, to the other, to the close: first "
        "against what is held, without a position first to the nearer one.",
        "An order is filled whole or not at all; the volume of a candle is no limit.",
    ),
    "trade": (
        "Market orders are filled whole at the price of the next public trade.",
        "Limits that wait are filled by a trade through their price; by one at their price up to its size.",
        "Public trades stay as they were, whatever was filled upon them.",
    ),
    "quote": (
        "Orders take the best bid or ask up to the size that stands there; the rest waits for the next.",
        "Limits that wait are filled when the other side comes to their price, up to its size.",
    ),
    "book": (
        "Orders take the book level by level; what was taken is there again with its next change.",
        "Limits wait in the queue at their price, which trades there shorten.",
    ),
}
_QUEUES: Final[Mapping[Queue, str]] = {
    "back": "A limit stands behind all that its price showed when it came; only trades let it move up.",
    "proportional": "What is withdrawn at its price lets a limit move up by its share.",
    "front": "A limit stands before all others of its price.",
}


def assumptions_of(run: Run) -> list[str]:
    """The sentences for a run."""
    return [*_fills(run), *_prices(run.terms), *_account(run.terms)]


def _fills(run: Run) -> Iterator[str]:
    kinds = dict.fromkeys(run.filled_by.values())
    for kind in kinds:
        if len(kinds) > 1:
            markets = [market for market, by in run.filled_by.items() if by == kind]
            yield f"By {kind}s are filled: {', '.join(markets)}."
        yield from _BY[kind]
    if "book" in kinds:
        yield _QUEUES[run.terms.queue]
    latency = run.terms.latency
    if latency:
        yield f"Orders and their withdrawals arrive after {latency / 1000:g} ms."
    else:
        yield "Orders and their withdrawals arrive at once."


def _prices(terms: Terms) -> Iterator[str]:
    costs = terms.costs
    if costs.schedule is not None:
        yield f"Fees are those of the tiers of {', '.join(costs.schedule.tiers)}, by the volume of 30 days."
    waited = "for limits that have waited"
    yield f"Fees are {_part(costs.fee)} of the value of a fill, {_part(costs.maker_fee)} {waited}."
    missed = [
        *([f"{_part(costs.slippage)} of the price"] if costs.slippage else ()),
        *([f"{costs.slippage_ticks:f} ticks"] if costs.slippage_ticks else ()),
        *([f"{_part(costs.impact)} times the root of their part of the volume"] if costs.impact else ()),
    ]
    if missed:
        yield f"Orders without a limit are filled worse by {' and '.join(missed)}."
    else:
        yield "No price is missed: there is no slippage, and orders move no market."


def _account(terms: Terms) -> Iterator[str]:
    yield (
        f"A position binds its value at entry divided by {terms.leverage:f}; what the account cannot carry "
        "is refused."
    )
    if terms.maintenance:
        yield f"All positions are liquidated when the equity is {_part(terms.maintenance)} of their value."
    else:
        yield "All positions are liquidated when nothing is left."
    if terms.borrowing:
        yield f"What is sold short costs {_part(terms.borrowing)} interest a year."
    else:
        yield "What is sold short costs no interest."
    yield "Open positions stay open at the end, valued at the last close."


def _part(value: Decimal) -> str:
    """A part as percent, with all its digits if they are few."""
    return f"{float(100 * value):.6g} %"
