"""The terms of a run by name, for people and programs."""

from __future__ import annotations

from dataclasses import fields
from decimal import Decimal
from typing import Any

from backtest.costs import Costs
from backtest.fees import FeeSchedule
from backtest.terms import Terms


def terms_shown(terms: Terms) -> dict[str, Any]:
    """Terms by their names in JSON, those of the costs among them; amounts are numbers."""
    found: dict[str, Any] = {}
    for field in fields(Terms):
        value = getattr(terms, field.name)
        if isinstance(value, Costs):
            found |= {each.name: _plain(getattr(value, each.name)) for each in fields(Costs)}
        elif field.name == "latency":
            found["latency_s"] = value / 1_000_000
        else:
            found[field.name] = _plain(value)
    return found


def terms_of_note(terms: Terms) -> dict[str, Any]:
    """Those that people look for, and those that were set: capital, fees, lot and leverage always."""
    usual = terms_shown(Terms())
    named = ("capital", "fee", "maker_fee", "lot", "leverage")
    shown = terms_shown(terms)
    return {name: value for name, value in shown.items() if name in named or value != usual[name]}


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        number = float(value)
        return int(number) if number.is_integer() else number
    if isinstance(value, FeeSchedule):
        return {
            venue: [
                {"volume": float(tier.volume), "taker": float(tier.taker), "maker": float(tier.maker)}
                for tier in tiers
            ]
            for venue, tiers in value.tiers.items()
        }
    return value
