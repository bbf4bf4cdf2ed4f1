"""The terms of a run by name, for people and programs."""

from __future__ import annotations

from backtest.terms import Terms


def terms_shown(terms: Terms) -> dict[str, float]:
    """Terms by their names in JSON."""
    return {
        "capital": float(terms.capital),
        "fee": float(terms.costs.fee),
        "maker_fee": float(terms.costs.maker_fee),
        "slippage": float(terms.costs.slippage),
        "lot": float(terms.lot),
        "leverage": float(terms.leverage),
    }
