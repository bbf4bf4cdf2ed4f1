"""Fees by venue, and by what was traded there in the last 30 days."""

from __future__ import annotations

import tomllib
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import msgspec

from backtest.bars import DAY_US
from backtest.orders import ZERO
from schemas.errors import ConfigurationError
from schemas.identity import split_key
from schemas.records import Micros

WINDOW_US: Final = 30 * DAY_US


class Tier(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Fees from some volume on.

    Attributes:
        volume: Value of the fills of the last 30 days from which on they hold, quote currency.
        taker: Of what takes from the book, as a part of the value: 0.001 is 0.1 %.
        maker: Of what has waited; below 0 where the venue pays for it.
    """

    volume: Decimal
    taker: Decimal
    maker: Decimal


@dataclass(frozen=True, slots=True)
class FeeSchedule:
    """Tiers of some venues.

    Attributes:
        tiers: By venue, their volumes rising from 0.
    """

    tiers: Mapping[str, Sequence[Tier]]


class FeeMeter:
    """What the venues of a run charge, as what is traded grows and grows old.

    Args:
        taker: Of venues that are not in the schedule, as a part of the value.
        maker: The same.
        schedule: Of the run; None: all venues charge the two above.
    """

    def __init__(self, taker: Decimal, maker: Decimal, schedule: FeeSchedule | None = None) -> None:
        self._plain = Tier(ZERO, taker, maker)
        self._schedule = schedule
        self._fills: dict[str, deque[tuple[Micros, Decimal]]] = {}
        self._volumes: dict[str, Decimal] = {}

    def rate(self, market: str, now: Micros, maker: bool) -> Decimal:
        """What a market charges now, by what was traded before; a part of the value.

        Args:
            market: `venue:symbol`.
            now: Event time, µs.
            maker: Whether what is filled has waited in the book.
        """
        if self._schedule is None:
            return self._plain.maker if maker else self._plain.taker
        tier = self._tier(self._schedule, market, now)
        return tier.maker if maker else tier.taker

    def _tier(self, schedule: FeeSchedule, market: str, now: Micros) -> Tier:
        venue, _ = split_key(market)
        tiers = schedule.tiers.get(venue)
        if tiers is None:
            return self._plain
        fills = self._fills.get(venue, ())
        while fills and fills[0][0] <= now - WINDOW_US:
            self._volumes[venue] -= fills.popleft()[1]
        volume = self._volumes.get(venue, ZERO)
        return next(each for each in reversed(tiers) if each.volume <= volume)

    def count(self, market: str, now: Micros, value: Decimal) -> None:
        """Count the value of a fill, quote currency."""
        venue, _ = split_key(market)
        self._fills.setdefault(venue, deque()).append((now, value))
        self._volumes[venue] = self._volumes.get(venue, ZERO) + value


def read_fees(text: str, source: str) -> FeeSchedule:
    """Read a schedule from TOML: for each venue its tiers, from volume 0 on.

        [[binance]]
        volume = 0
        taker = 0.001
        maker = 0.001

    Args:
        text: The TOML.
        source: What to call it in messages.

    Raises:
        ConfigurationError: It is no such schedule.
    """
    try:
        found: Any = tomllib.loads(text, parse_float=Decimal)
        tiers = msgspec.convert(found, dict[str, tuple[Tier, ...]])
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ConfigurationError(
            f"{source}: expected [[venue]] with volume, taker and maker for each tier: {error}"
        ) from error
    for venue, each in tiers.items():
        volumes = [tier.volume for tier in each if tier.volume.is_finite()]
        if volumes[:1] != [ZERO] or volumes != sorted(set(volumes)) or len(volumes) < len(each):
            raise ConfigurationError(f"{source}: the volumes of {venue} are to rise from 0")
        rates = [rate for tier in each for rate in (tier.taker, tier.maker)]
        if any(not rate.is_finite() or not -1 < rate < 1 for rate in rates):
            raise ConfigurationError(f"{source}: fees of {venue} are parts of the value: 0.001 is 0.1 %")
    return FeeSchedule(tiers)
