"""What every registered signal rule promises, and that each fires where it should."""

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.indicator import State
from processors.series.machine import Machine
from processors.signal import Decision, SignalRule
from schemas.errors import ConfigurationError
from schemas.records import Candle
from tests.signal_candles import decisions, of_closes, of_volumes, random_candles, scaled

COUNT = 1_500
DIVERGING = [
    100,
    101,
    100,
    99,
    101,
    100,
    95,
    88,
    80,
    86,
    92,
    96,
    97,
    95,
    93,
    90,
    87,
    85,
    83,
    81,
    79.5,
    79,
    81,
]
DIVERGING += [84, 88]
HIDDEN = [100, 101, 100, 99.5, 100, 99, 99.6, 98.5, 99, 98, 99.5, 101, 103, 105, 107, 108, 105, 102, 99, 101]
HIDDEN += [103, 104]
SQUEEZED = [10, 14, 9, 15, 10, 13, 11, 12, 11.5, 11.7, 11.6, 11.6, 11.61, 11.6]

MADE: dict[str, list[tuple[str, list[Candle], list[tuple[int, str]]]]] = {
    "moving_average_crossover": [
        ("(1,3)", of_closes([5, 4, 3, 2, 6, 7, 8, 2]), [(4, "long"), (7, "short")]),
    ],
    "macd_cross": [
        (
            "(2,4,3)",
            of_closes([10, 11, 10, 9, 8, 7, 8, 10, 12, 13, 13, 12, 10, 8]),
            [(6, "long"), (11, "short")],
        ),
    ],
    "rsi_level": [
        ("(3)", of_closes([10, 10, 9, 8, 7, 9, 11, 13, 15, 12, 10]), [(5, "long"), (9, "short")]),
        # At the level is not above it.
        ("(2,50,90)", of_closes([10, 10, 9, 8, 8.75, 8.85]), [(5, "long")]),
    ],
    "rsi_divergence": [
        ("(3,2,2)", of_closes(DIVERGING), [(23, "long")]),
        ("(3,2,2)", of_closes([200 - close for close in DIVERGING]), [(23, "short")]),
        ("(3,2,2,13)", of_closes(DIVERGING), [(23, "long")]),
        ("(3,2,2,12)", of_closes(DIVERGING), []),
    ],
    "rsi_hidden_divergence": [
        ("(3,2,2)", of_closes(HIDDEN), [(20, "long")]),
        ("(3,2,2)", of_closes([200 - close for close in HIDDEN]), [(20, "short")]),
    ],
    "bollinger_breakout": [
        (
            "(5,1.5)",
            of_closes([10, 11, 10, 11, 10, 11, 14, 16, 11, 10, 11, 10, 6]),
            [(6, "long"), (12, "short")],
        ),
    ],
    "bollinger_squeeze": [
        ("(4,2,6)", of_closes([*SQUEEZED, 13, 15]), [(9, "neutral"), (14, "long")]),
        ("(4,2,6)", of_closes([*SQUEEZED, 10, 8]), [(9, "neutral"), (14, "short")]),
    ],
    "volume_spike": [
        ("(4,3)", of_volumes([1, 1, 1, 1, 3.75, 10, 10, 1, 1, 1, 1, 20], 1), [(4, "long"), (11, "long")]),
        ("(4,3)", of_volumes([9, 1, 1, 1, 1, 3.0, 9], -1), [(6, "short")]),
        ("(4,3)", of_volumes([1, 1, 1, 1, 9]), [(4, "neutral")]),
        ("(4,3)", of_volumes([0, 0, 0, 0, 9]), []),
    ],
}
"""Rules, candles that are made for them, and at which candle they fire."""

CASES = [(name + spec, candles, fired) for name, made in MADE.items() for spec, candles, fired in made]


def where(found: Sequence[tuple[int, Decision]]) -> list[tuple[int, str]]:
    return [(index, decision.direction) for index, decision in found]


@pytest.mark.parametrize(("spec", "candles", "fired"), CASES, ids=[spec for spec, _, _ in CASES])
def test_a_rule_fires_at_the_event_and_only_there(
    spec: str, candles: list[Candle], fired: list[tuple[int, str]]
) -> None:
    assert where(decisions(SignalRule.create(spec), candles)) == fired


def test_candles_are_made_for_every_rule() -> None:
    ours = {name for name, rule in SignalRule.known().items() if rule.__module__.startswith("processors.")}
    assert MADE.keys() == ours
    assert all(any(fired for _, _, fired in made) for made in MADE.values())


@pytest.fixture(scope="module")
def market() -> list[Candle]:
    return random_candles(COUNT, seed=7)


@pytest.mark.parametrize("name", sorted(SignalRule.known()))
class TestEveryRule:
    def test_it_fires_now_and_then_with_values_and_decides_the_same_again(
        self, name: str, market: list[Candle]
    ) -> None:
        found = decisions(SignalRule.create(name), market)
        assert 5 < len(found) < COUNT / 5
        assert all(decision.values for _, decision in found)
        assert any(0.0 < decision.strength < 1.0 for _, decision in found)
        assert decisions(SignalRule.create(name), market) == found

    def test_a_restored_state_goes_on_bit_for_bit(self, name: str, market: list[Candle]) -> None:
        whole = Machine([], [SignalRule.create(name)])
        expected = [list(whole.update(each)[1]) for each in market]
        last = max(index for index, fired in enumerate(expected) if fired)
        for cut in (0, 1, 7, 35, 300, last - 1, last):
            first, second = (Machine([], [SignalRule.create(name)]) for _ in range(2))
            for each in market[:cut]:
                first.update(each)
            for each in market[5:9]:
                second.update(each)
            second.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(first.states()), type=list[State]))
            assert second.states() == first.states()
            assert [list(second.update(each)[1]) for each in market[cut:]] == expected[cut:]
            assert second.states() == whole.states()

    def test_it_decides_nothing_before_its_indicators_are_defined(
        self, name: str, market: list[Candle]
    ) -> None:
        asked: list[int] = []

        class _Watched(SignalRule.known()[name]):  # type: ignore[misc]
            def update(self, candle: Candle, values: dict[str, float]) -> Decision | None:
                asked.append(candle.open_time)
                assert values.keys() == {full for part in self.needs() for full in part.names().values()}
                decision: Decision | None = super().update(candle, values)
                return decision

        found = decisions(_Watched(), market)
        indicators = [indicator.fresh() for indicator in SignalRule.create(name).needs()]
        defined = [[indicator.update(each) for indicator in indicators] for each in market]
        assert asked == [each.open_time for each, ready in zip(market, defined, strict=True) if all(ready)]
        assert found

    def test_its_memory_is_bounded(self, name: str, market: list[Candle]) -> None:
        machine = Machine([], [SignalRule.create(name)])
        sizes = []
        for each in market:
            machine.update(each)
            sizes.append(sum(map(len, machine.states())))
        assert max(sizes[COUNT // 2 :]) <= max(sizes[: COUNT // 2])

    @pytest.mark.parametrize("factor", [1_000.0, 1e-6])
    def test_the_currency_does_not_matter(self, name: str, factor: float) -> None:
        for seed in (1, 2):
            candles = random_candles(600, seed)
            found = decisions(SignalRule.create(name), candles)
            again = decisions(SignalRule.create(name), scaled(candles, factor))
            assert where(again) == where(found)
            for (_, one), (_, other) in zip(found, again, strict=True):
                assert other.strength == pytest.approx(one.strength, rel=1e-6, abs=1e-9)

    @pytest.mark.parametrize("price", [0.1, 100.0, 1 / 3e5, 67_123.456_789])
    def test_a_market_that_stands_still_fires_nothing(self, name: str, price: float) -> None:
        assert decisions(SignalRule.create(name), of_closes([price] * 400)) == []
        moved = of_closes([*[1.7 * price] * 60, *[price] * 400])
        assert [index for index, _ in decisions(SignalRule.create(name), moved) if index > 260] == []

    def test_fresh_has_the_parameters_and_no_history(self, name: str, market: list[Candle]) -> None:
        rule = SignalRule.create(name)
        empty, seen = (
            rule.snapshot(),
            dict.fromkeys(name_ for i in rule.needs() for name_ in i.names().values()),
        )
        for each in market[:50]:
            rule.update(each, dict.fromkeys(seen, 50.0))
        assert (rule.fresh().snapshot(), rule.fresh().label) == (empty, rule.label)


ticks = st.lists(st.integers(1, 400), min_size=1, max_size=120)


@given(ticks, st.sampled_from(sorted(MADE)), st.sampled_from((1_000.0, 1024.0, 1 / 1024)))
def test_decisions_do_not_depend_on_the_currency_of_any_prices(
    closes: list[int], name: str, factor: float
) -> None:
    candles = of_closes([close / 4 for close in closes])
    rule = SignalRule.create(MADE[name][0][0].join((name, "")))
    assert where(decisions(rule, scaled(candles, factor))) == where(decisions(rule, candles))


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("moving_average_crossover(30, 10)", "needs fast < slow, got 30 and 10"),
        ("macd_cross(26, 12)", "needs fast < slow, got 26 and 12"),
        ("rsi_level(14, 70, 30)", "needs oversold < overbought, got 70 and 30"),
        ("rsi_level(14, 0)", "oversold=0"),
        ("rsi_divergence(14, 0)", "left=0"),
        ("bollinger_breakout(20, 0)", "deviations=0"),
        ("bollinger_squeeze(release=1)", "release=1"),
        ("volume_spike(20, 0.5)", "factor=0.5"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(spec: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        SignalRule.create(spec)


@pytest.mark.parametrize(
    ("decision", "said"),
    [
        (("up", 0.5, {}), "a direction is long, short, neutral; got 'up'"),
        (("long", 1.5, {}), "from 0 to 1, got 1.5"),
        (("long", float("nan"), {}), "from 0 to 1, got nan"),
        (("long", 0.5, {"a": 1.0, "b": float("inf")}), "others for b"),
        (("long", 0.5, {14: 1.0}), r"have names, got \[14\]"),
        (("long", 0.5, {"\ud800": 1.0}), "have names"),
    ],
)
def test_a_decision_that_nobody_could_use_is_refused(
    decision: tuple[str, float, dict[str, float]], said: str
) -> None:
    with pytest.raises(Exception, match=said) as refusal:
        Decision(*decision)  # type: ignore[arg-type]
    assert refusal.type.__name__ == "ValidationError"
