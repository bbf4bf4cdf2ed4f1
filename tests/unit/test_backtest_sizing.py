"""Sizes of positions, each with its arithmetic."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from backtest.account import ClosedTrade
from backtest.engine import run
from backtest.sizing import FIRST_PART, LEAST_TRADES, KellyRecord, Sizer, SizingRule
from backtest.strategy import Strategy
from schemas.errors import ConfigurationError
from tests.backtest_runs import MARKET, Prices, bars_of, flat, play, terms_of

STEADY: list[Prices] = [(100.0, 102.0, 98.0, 100.0)] * 20
"""Candles with a true range of 4."""


def sized(
    rule: SizingRule, amount: float, candles: list[Prices], at: int, ask: Callable[[Any], object]
) -> object:
    """What a sizer answers at the close of a candle, with an equity of 10,000."""

    def begin(strategy: Any) -> None:
        strategy.sizer = Sizer(strategy, rule, amount, period=3)

    def look(strategy: Any) -> None:
        strategy.answer = ask(strategy.sizer)

    _, strategy = play(candles, {0: begin, at: look})
    found: object = strategy.answer
    return found


def test_all_is_left_to_the_order() -> None:
    assert sized("all", 1, STEADY, 1, lambda sizer: sizer.size(MARKET, 100)) is None


def test_fixed_units_are_those() -> None:
    assert sized("fixed", 2.5, STEADY, 1, lambda sizer: sizer.size(MARKET, 100)) == Decimal("2.5")


def test_a_part_of_the_equity_buys_its_value() -> None:
    # 0.2 * 10,000 / 80
    assert sized("percent", 0.2, STEADY, 1, lambda sizer: sizer.size(MARKET, 80)) == 25


def test_volatility_lets_one_average_true_range_move_a_part_of_the_equity() -> None:
    # 0.01 * 10,000 / 4; before the range is known there is no position.
    assert sized("volatility", 0.01, STEADY, 10, lambda sizer: sizer.size(MARKET, 100)) == 25
    assert sized("volatility", 0.01, STEADY, 2, lambda sizer: sizer.size(MARKET, 100)) == 0
    assert sized("volatility", 0.01, flat(*[100.0] * 20), 10, lambda sizer: sizer.size(MARKET, 100)) == 0


def test_risk_loses_a_part_of_the_equity_at_the_stop() -> None:
    # 0.01 * 10,000 / (100 - 96); a stop above is one of a short position.
    for stop in (96, 104):
        answer = sized("risk", 0.01, STEADY, 1, lambda sizer, stop=stop: sizer.size(MARKET, 100, stop))  # type: ignore[misc]
        assert answer == 25
    assert sized("risk", 0.01, STEADY, 1, lambda sizer: sizer.size(MARKET, 100, 100)) == 0
    with pytest.raises(ConfigurationError, match="has no stop"):
        sized("risk", 0.01, STEADY, 1, lambda sizer: sizer.size(MARKET, 100))


def closed(part: str) -> ClosedTrade:
    """A trade of one unit at 100 that won this part of it."""
    profit = 100 * Decimal(part)
    return ClosedTrade(MARKET, Decimal(1), Decimal(100), 100 + profit, 0, 1, Decimal(0), profit)


def test_the_kelly_fraction_by_hand() -> None:
    # Six of ten win 0.03 on average, four lose 0.02: 0.6 - 0.4 / 1.5 = 1 / 3.
    trades = [closed("0.02"), closed("0.04")] * 3 + [closed("-0.01"), closed("-0.03")] * 2
    record = KellyRecord()
    record.take(trades[:3])
    assert record.fraction == 1.0
    record.take(trades)
    record.take(trades)
    assert record.fraction == pytest.approx(1 / 3)
    record.take([*trades, closed("0")])  # one that won nothing: 6 / 11 - 5 / 11 / 1.5
    assert record.fraction == pytest.approx(6 / 11 - 5 / 11 / 1.5)
    losing = KellyRecord()
    losing.take([closed("-0.01")])
    assert losing.fraction == 0.0
    losing.take([closed("-0.01"), closed("0.005")])
    assert losing.fraction == 0.0  # 0.5 - 0.5 / 0.5 is below it


def test_kelly_begins_with_a_tenth_and_then_follows_the_runs_own_trades() -> None:
    # In turns 100 and 110, bought at 100 and sold at 110: all trades win a tenth.
    candles = flat(*[100.0, 110.0] * 30)
    sizes: list[Decimal] = []

    def act(strategy: Any) -> None:
        sizes.append(strategy.sizer.size(MARKET, 100))
        strategy.buy(MARKET, 1)

    acts: dict[int, Callable[[Any], object]] = {
        number: (act if number % 2 else (lambda strategy: strategy.close(MARKET))) for number in range(1, 60)
    }
    acts[0] = lambda strategy: setattr(strategy, "sizer", Sizer(strategy, "kelly", 0.5))
    found, _ = play(candles, acts)
    assert len(found.trades) > LEAST_TRADES
    # The first sees 10,000; each trade adds 10. After 20 of them all have won: half of the fraction 1.
    assert sizes[0] == 10_000 * FIRST_PART / 100
    assert sizes[LEAST_TRADES] == (10_000 + 10 * LEAST_TRADES) / Decimal(2) / 100


class _Goes(Strategy):
    """Goes long at the first close and short at the third."""

    rule: SizingRule = "percent"
    amount: float = 0.5

    def on_start(self) -> None:
        self.sizer = Sizer(self, self.rule, self.amount)
        self.seen = 0

    def on_candle(self, candle: Any) -> None:
        self.seen += 1
        if self.seen in (1, 3):
            self.sizer.go(MARKET, "buy" if self.seen == 1 else "sell", candle.close, candle.close - 200)


@pytest.mark.parametrize(
    ("rule", "amount", "long", "short"),
    [
        ("all", 1.0, 100, -100),
        ("fixed", 7.0, 7, -7),
        ("percent", 0.5, 50, -50),
        ("percent", 3.0, 100, -100),  # what cannot be carried is cut off
        ("risk", 0.04, 2, -2),
    ],
)
def test_go_turns_a_position_to_its_size(rule: SizingRule, amount: float, long: int, short: int) -> None:
    found = run(_Goes(rule=rule, amount=amount), [bars_of(flat(*[100.0] * 6))], terms_of())
    held = [sum(fill.signed_size for fill in found.fills if fill.time <= time) for time in found.times]
    assert (held[1], held[-1]) == (long, short)


def test_an_amount_is_above_0() -> None:
    with pytest.raises(ConfigurationError, match="above 0"):
        play(flat(1, 2), {0: lambda strategy: Sizer(strategy, "percent", 0)})
