"""What a strategy can see: what has happened, and nothing of what is to come."""

import gc
from collections.abc import Iterator
from math import nan
from random import Random
from types import FunctionType, ModuleType
from typing import Any

import pytest

from backtest.bars import Bars, ClosedCandle
from backtest.engine import run
from backtest.lines import Line
from backtest.strategy import Strategy
from schemas.errors import ConfigurationError, ValidationError
from tests.backtest_runs import Prices, bars_of, flat, play, terms_of


def walk(count: int, seed: int = 3) -> list[Prices]:
    random, price, found = Random(seed), 100.0, []
    for _ in range(count):
        opened, price = price, price * random.uniform(0.97, 1.03)
        found.append((opened, max(opened, price) * 1.01, min(opened, price) * 0.99, price))
    return found


def reachable(thing: object) -> Iterator[object]:
    """All that can be reached from an object by its attributes and contents; code and its globals are not."""
    seen, waiting = {id(thing)}, [thing]
    while waiting:
        found = waiting.pop()
        yield found
        for each in gc.get_referents(found):
            if id(each) not in seen and not isinstance(each, type | ModuleType | FunctionType):
                seen.add(id(each))
                waiting.append(each)


class _Curious(Strategy):
    """Looks at everything that it can reach."""

    def begin(self, prices: list[Prices]) -> None:
        self.future = {f"{price!r}": number for number, row in enumerate(prices) for price in row}
        self.count = 0
        self.found: list[object] = []

    def on_start(self) -> None:
        self.average = self.line("sma(3)")
        self.other = self.line("ema(3)")

    def on_candle(self, candle: ClosedCandle) -> None:
        if self.count % 5 == 0:
            self.buy(candle.market, 1)
        future, self.future = self.future, {}
        for each in reachable(self):
            if isinstance(each, Bars):
                self.found.append(each)
            elif isinstance(each, float) and future.get(f"{each!r}", 0) > self.count + 1:
                self.found.append((self.count, each))
            elif isinstance(each, ClosedCandle) and each.open_time > candle.open_time:
                self.found.append(each)
        self.future = future
        self.count += 1


def test_nothing_that_a_strategy_reaches_holds_a_price_to_come() -> None:
    prices = walk(40)
    strategy = _Curious()
    strategy.begin(prices)
    run(strategy, [bars_of(prices)], terms_of())
    assert strategy.count == 40
    assert strategy.found == []


def test_the_search_finds_what_is_within_reach() -> None:
    strategy = _Curious()
    strategy.found = [{"deep": (bars_of(flat(1, 2)),)}]
    assert any(isinstance(each, Bars) for each in reachable(strategy))


def test_a_line_ends_now() -> None:
    def look(strategy: Any) -> object:
        line = strategy.line("sma(2)")
        with pytest.raises(ValidationError, match="future"):
            line[-1]
        return line[0], line[1], line[5_000]

    _, strategy = play(flat(1, 2, 3, 4), {0: look, 3: look})
    # Asked for at the close of the first candle: it begins with the next one.
    assert [value == value for value in strategy.orders[0]] == [False, False, False]
    assert strategy.orders[3][:2] == (3.5, 2.5)


@pytest.mark.parametrize("spec", ["sma(3)", "ema(3)", "macd(3,5,2).signal", "bollinger(3)"])
def test_lines_are_the_same_computed_ahead_and_candle_by_candle(spec: str) -> None:
    prices, seen = walk(50), []

    class _Reader(Strategy):
        def on_start(self) -> None:
            self.ahead = self.line(spec)

        def on_candle(self, candle: ClosedCandle) -> None:
            seen.append(self.ahead[0])

    run(_Reader(), [bars_of(prices)], terms_of())
    cut: list[float] = []
    for count in range(2, 51):
        full, seen[:] = list(seen), []
        run(_Reader(), [bars_of(prices[:count])], terms_of())
        cut.append(seen[-1])
        seen[:] = full
    assert [repr(value) for value in seen[1:]] == [repr(value) for value in cut]


def test_a_future_that_is_changed_changes_nothing_before_it() -> None:
    prices = walk(200)
    changed = [*prices[:120], *walk(80, seed=9)]
    strategies = [Strategy.create("sma_cross(3,8)") for _ in range(2)]
    runs = [
        run(each, [bars_of(rows)], terms_of())
        for each, rows in zip(strategies, (prices, changed), strict=True)
    ]
    before = [[fill for fill in each.fills if fill.time < each.times[119]] for each in runs]
    assert len(before[0]) > 5
    assert [(fill.time, fill.price, fill.size) for fill in before[0]] == [
        (fill.time, fill.price, fill.size) for fill in before[1]
    ]
    assert runs[0].equity[:119].tolist() == runs[1].equity[:119].tolist()


def test_a_second_run_is_the_same() -> None:
    bars = bars_of(walk(300))
    first, second = (run(Strategy.create("sma_cross(3,8)"), [bars], terms_of(fee="0.001")) for _ in range(2))
    for name in ("orders", "fills", "trades", "cash", "fees", "final_equity"):
        assert getattr(first, name) == getattr(second, name)
    assert first.equity.tolist() == second.equity.tolist()


def test_lines_are_asked_for_while_running() -> None:
    with pytest.raises(ConfigurationError, match="on_start"):
        Strategy.create("sma_cross").line("sma(3)")


def test_an_output_that_an_indicator_has_not_is_refused() -> None:
    for spec, message in (("macd(12,26,9).middle", "histogram"), ("nothing(3)", "there is no indicator")):
        with pytest.raises(ConfigurationError, match=message):
            play(flat(1, 2), {0: lambda strategy, spec=spec: strategy.line(spec)})  # type: ignore[misc]


def test_of_several_markets_one_is_named() -> None:
    markets = [bars_of(flat(1, 2)), bars_of(flat(1, 2), market="test:C/B")]
    with pytest.raises(ConfigurationError, match="name one"):
        play(markets, {0: lambda strategy: strategy.line("sma(3)")})
    with pytest.raises(ConfigurationError, match="once"):
        play([markets[0], markets[0]], {})


def test_lines_that_touch_have_not_crossed() -> None:
    def of(*values: float) -> Line:
        line = Line()
        for value in values:
            line.add(value)
        return line

    level = of(2, 2)
    for before, now, side in (
        (1, 3, 1),
        (3, 1, -1),
        (1, 2, 0),
        (2, 3, 0),
        (2, 1, 0),
        (3, 2, 0),
        (1, 1, 0),
        (nan, 3, 0),
    ):
        line = of(before, now)
        assert (line.crossed(level), line.crossed_above(level), line.crossed_below(level)) == (
            side,
            side > 0,
            side < 0,
        )
    assert of(3).crossed(level) == 0
