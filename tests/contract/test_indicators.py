"""What every registered indicator promises, and how they are named in settings."""

import pkgutil
import time
from collections import deque
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import pairwise
from math import isfinite, nan
from pathlib import Path
from random import Random
from types import SimpleNamespace

import msgspec
import pytest

from processors import indicators
from processors.indicator import Bar, Indicator, Period, State
from processors.signal import SignalRule
from schemas.errors import ConfigurationError
from schemas.records import Candle


def candles(count: int, seed: int = 7) -> Iterator[Candle]:
    random = Random(seed)
    close = 100.0
    for index in range(count):
        opened, close = close, max(1.0, close * random.uniform(0.95, 1.05))
        high, low = max(opened, close) * 1.01, min(opened, close) * 0.99
        times = (index * 60_000_000, (index + 1) * 60_000_000)
        volume = random.uniform(0.0, 10.0)
        yield Candle(
            "binance",
            "BTC/USDT",
            "1m",
            *times,
            opened,
            high,
            low,
            close,
            volume,
            0.0,
            0.0,
            1,
            None,
            None,
            0,
            True,
        )


@cache
def many_candles() -> list[Candle]:
    return list(candles(8_000))


def held(thing: object) -> int:
    """Values that an object holds, however deep, in its attributes and containers."""
    if isinstance(thing, deque | list | tuple | set):
        return sum(map(held, thing))
    if isinstance(thing, Mapping):
        return sum(map(held, thing.values()))
    if type(thing).__module__.startswith("processors."):
        return held(getattr(thing, "__dict__", ()))
    return 1


@pytest.mark.parametrize("name", sorted(Indicator.known()))
class TestEveryIndicator:
    def test_columns_give_the_same_values_bit_for_bit(self, name: str) -> None:
        series = list(candles(300))
        names = ("open", "high", "low", "close", "volume")
        columns = SimpleNamespace(**{f"{each}s": [getattr(bar, each) for bar in series] for each in names})
        for count in (0, 5, 300):
            cut = SimpleNamespace(**{key: column[:count] for key, column in vars(columns).items()})
            found = Indicator.create(name).over(cut)
            if found is None:
                return  # it goes by `update`
            one = Indicator.create(name)
            values = [one.update(bar) or {} for bar in series[:count]]
            assert found.keys() == set(one.outputs or (one.name,))
            for output, column in found.items():
                assert list(map(repr, column)) == [repr(value.get(output, nan)) for value in values]

    def test_restored_state_goes_on_bit_for_bit(self, name: str) -> None:
        series = list(candles(300))
        whole = Indicator.create(name)
        expected = [whole.update(candle) for candle in series]
        for cut in (0, 1, 13, 14, 15, 21, 150):
            first, second = Indicator.create(name), Indicator.create(name)
            for candle in series[:cut]:
                first.update(candle)
            for candle in series[: 100 - cut]:  # another history, to be forgotten
                second.update(candle)
            state = msgspec.msgpack.decode(msgspec.msgpack.encode(first.snapshot()), type=State)
            second.restore(state)
            assert second.snapshot() == first.snapshot()
            assert [second.update(candle) for candle in series[cut:]] == expected[cut:]

    def test_state_and_memory_are_bounded(self, name: str) -> None:
        indicator = Indicator.create(name)
        sizes, values = [], []
        for index, candle in enumerate(many_candles()[:2_000]):
            indicator.update(candle)
            if index % 10 == 0:
                sizes.append(len(indicator.snapshot()))
                values.append(held(indicator))
        assert set(sizes[100:]) == {max(sizes)}
        assert max(values[100:]) <= max(values[:100]) * 1.2

    def test_a_candle_costs_as_much_after_many_as_after_few(self, name: str) -> None:
        indicator = Indicator.create(name)
        series, costs = many_candles(), []
        for start in range(0, len(series), 200):
            part = series[start : start + 200]
            began = time.thread_time()
            for candle in part:
                indicator.update(candle)
            costs.append(time.thread_time() - began)
        few, many = min(costs[1:10]), min(costs[-9:])
        assert many < 3.0 * few

    def test_a_reset_leaves_nothing_of_the_history(self, name: str) -> None:
        series = list(candles(200))
        used, new = Indicator.create(name), Indicator.create(name)
        empty = used.snapshot()
        for candle in series[:77]:
            used.update(candle)
        used.restore(empty)
        assert used.snapshot() == empty
        assert [used.update(candle) for candle in series] == [new.update(candle) for candle in series]

    def test_outputs_are_the_declared_ones_from_the_first_defined_value_on(self, name: str) -> None:
        indicator = Indicator.create(name)
        values = [indicator.update(candle) for candle in candles(200)]
        defined = [value for value in values if value]
        assert defined
        assert values[-len(defined) :] == defined
        declared = list(indicator.names())
        assert defined[-1].keys() == set(declared)
        for before, after in pairwise(defined):
            assert before.keys() <= after.keys()
            assert all(isfinite(value) for value in after.values())
        assert all([name for name in declared if name in value] == list(value) for value in defined)
        assert all(full.startswith(indicator.label) for full in indicator.names().values())

    def test_fresh_has_the_parameters_and_no_history(self, name: str) -> None:
        indicator = Indicator.create(name)
        empty = indicator.snapshot()
        for candle in candles(50):
            indicator.update(candle)
        assert indicator.fresh().snapshot() == empty
        assert indicator.fresh().label == indicator.label


AS_AGREED: dict[str, tuple[dict[str, object], tuple[str, ...]]] = {
    "sma": ({"period": 20}, ()),
    "ema": ({"period": 20}, ()),
    "wma": ({"period": 20}, ()),
    "rsi": ({"period": 14}, ()),
    "macd": ({"fast": 12, "slow": 26, "signal": 9}, ("macd", "signal", "histogram")),
    "stochastic": ({"k": 14, "smooth": 3, "d": 3}, ("k", "d")),
    "bollinger": ({"period": 20, "deviations": 2}, ("upper", "middle", "lower")),
    "atr": ({"period": 14}, ()),
    "adx": ({"period": 14}, ("adx", "plus_di", "minus_di")),
    "obv": ({}, ()),
    "vwap": ({"session": "1d"}, ()),
    "donchian": ({"period": 20}, ("upper", "middle", "lower")),
    "keltner": ({"ema": 20, "atr": 10, "multiplier": 2}, ("upper", "middle", "lower")),
    "supertrend": ({"period": 10, "multiplier": 3}, ("line", "direction")),
    "volume_profile": ({"period": 20, "bins": 24}, ("poc", "vah", "val")),
}
"""Parameters with defaults, in their order, and outputs: users write and read these."""


def test_names_parameters_and_outputs_are_those_that_users_know() -> None:
    for name, (parameters, outputs) in AS_AGREED.items():
        indicator = Indicator.create(name)
        assert list(indicator.parameters.items()) == list(parameters.items()), name
        assert indicator.outputs == outputs, name
        assert list(indicator.names()) == list(outputs or (name,)), name
        given = ",".join(f"{key}={value}" for key, value in parameters.items())
        assert Indicator.create(f"{name}({given})").label == indicator.label
    assert Indicator.create("vwap").label == "vwap_1d"
    assert Indicator.create("bollinger(20,1.5)").names()["upper"] == "bollinger_20_1.5.upper"


def test_the_page_about_indicators_has_them_all_with_parameters_and_outputs() -> None:
    page = (Path(__file__).parents[2] / "docs" / "indicators.md").read_text("utf-8")
    rows = [
        [cell.strip() for cell in line.split("|")[1:4]] for line in page.splitlines() if line[:3] == "| `"
    ]
    expected = {
        (
            f"`{name}`",
            ", ".join(f"{key} {value}" for key, value in parameters.items()),
            ", ".join(f"`{output}`" for output in outputs or (name,)),
        )
        for name, (parameters, outputs) in AS_AGREED.items()
    }
    assert {tuple(row) for row in rows} == expected


def test_folder_and_registry_agree() -> None:
    files = {module.name for module in pkgutil.iter_modules(indicators.__path__)}
    ours = {name for name, cls in Indicator.known().items() if cls.__module__.startswith("processors.")}
    assert files == ours == AS_AGREED.keys()


def test_each_file_holds_the_class_of_its_name() -> None:
    for kind in (Indicator, SignalRule):
        for name, cls in kind.known().items():
            if cls.__module__.startswith("processors."):
                assert cls.__module__.rpartition(".")[2] == name


@pytest.mark.parametrize("spec", ["sma(50)", "sma( period = 50 )", " sma(50) "])
def test_specs_name_the_same_instance_by_place_or_by_name(spec: str) -> None:
    indicator = Indicator.create(spec)
    assert (indicator.label, dict(indicator.parameters)) == ("sma_50", {"period": 50})


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("smma(20)", f"known: {', '.join(sorted(Indicator.known()))}$"),
        ("sma(length=20)", r"takes period \(20\); got length=20"),
        ("sma(1, 2)", r"takes period \(20\)"),
        ("sma(3, period=3)", r"takes period \(20\)"),
        ("sma(0)", "period=0: Expected `int` >= 1"),
        ("sma(2.5)", "Expected `int`, got `float`"),
        ("sma(ten)", "period=ten: Expected `int`, got `str`"),
        ("sma(1 0)", "expected a number or a word, got '1 0'"),
        ("vwap(session=2d)", "needs a session of 1s, .* got '2d'"),
        ("macd(26, 12)", "needs fast < slow, got 26 and 12"),
        ("bollinger(20, 0)", "deviations=0: Expected `float` > 0"),
        ("sma[20]", "is written 'name' or"),
        ("rsi(1)", "period=1: Expected `int` >= 2"),
    ],
)
def test_wrong_specs_say_what_exists(spec: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        Indicator.create(spec)


def test_a_users_own_indicator_registers_itself_and_a_clash_of_names_is_refused() -> None:
    class LastClose(Indicator):
        lag: Period = 3

        def update(self, candle: Bar) -> Mapping[str, float] | None:
            return {self.name: candle.close / self.lag}

        def snapshot(self) -> State:
            return ()

        def restore(self, state: State) -> None:
            pass

    try:
        assert Indicator.create("last_close(lag=4)").label == "last_close_4"
        with pytest.raises(ConfigurationError, match="rename one of the classes"):
            type("LastClose", (LastClose,), {"__module__": "another"})
    finally:
        del Indicator.registry["last_close"]
