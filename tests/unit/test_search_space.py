"""Which sets of parameters a search tries."""

import pytest

from backtest.search.constraint import Constraint, allowed_by
from backtest.search.space import axis_of, drawn, grid
from schemas.errors import ConfigurationError


def everything(_: object) -> bool:
    return True


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("fast=5:20:5", (5, 10, 15, 20)),
        ("fast=5:19:5", (5, 10, 15)),
        ("fast=7:7:1", (7,)),
        ("depth=0.1:0.5:0.1", (0.1, 0.2, 0.3, 0.4, 0.5)),  # no 0.30000000000000004
        ("depth=1e-2:3e-2:1e-2", (0.01, 0.02, 0.03)),
        ("shift=-10:10:10", (-10, 0, 10)),
        ("kind=ema,sma,ema", ("ema", "sma")),
        (" fast = 3, 5 ", (3, 5)),
        ("depth=0.5", (0.5,)),
    ],
)
def test_values_of_an_axis(text: str, values: tuple[object, ...]) -> None:
    found = axis_of(text).values
    assert found == values
    assert list(map(type, found)) == list(map(type, values))


@pytest.mark.parametrize(
    "text",
    [
        *("fast", "=5", "fast=", "fast=5:", "fast=9:5:1", "fast=1:9:0", "fast=1:9:-1", "fast=1:2:3:4"),
        *("fast=a:b", "fast=1:nan", "fast=1,,2", "fa-st=1", "fast=0:1:0.0000001"),
    ],
)
def test_what_is_no_axis_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError):
        axis_of(text)


def test_a_grid_is_every_allowed_combination_the_last_axis_first() -> None:
    axes = [axis_of("fast=1:3:1"), axis_of("slow=2,3")]
    assert grid(axes, everything) == [{"fast": f, "slow": s} for f in (1, 2, 3) for s in (2, 3)]
    below = allowed_by([Constraint("fast < slow")], {"fast": 0, "slow": 0})
    assert grid(axes, below) == [{"fast": 1, "slow": 2}, {"fast": 1, "slow": 3}, {"fast": 2, "slow": 3}]


def test_a_grid_needs_steps_and_has_an_end() -> None:
    with pytest.raises(ConfigurationError, match=r"fast=1:9:STEP; or draw"):
        grid([axis_of("fast=1:9")], everything)
    with pytest.raises(ConfigurationError, match="fast is given twice"):
        grid([axis_of("fast=1"), axis_of("fast=2")], everything)
    with pytest.raises(ConfigurationError, match="at most 1000000"):
        grid([axis_of(f"{name}=1:200:1") for name in "abc"], everything)


def test_the_same_seed_draws_the_same_sets_once_each_within_their_ranges() -> None:
    axes = [axis_of("fast=5:50"), axis_of("depth=0.1:0.2"), axis_of("kind=a,b"), axis_of("slow=30")]
    found = drawn(axes, 40, everything, 7)
    assert found == drawn(axes, 40, everything, 7) != drawn(axes, 40, everything, 8)
    assert len({tuple(each.values()) for each in found}) == len(found) == 40
    assert {type(each["fast"]) for each in found} == {int}
    assert all(5 <= each["fast"] <= 50 and 0.1 <= each["depth"] <= 0.2 for each in found)  # type: ignore[operator]
    assert {(each["kind"], each["slow"]) for each in found} == {("a", 30), ("b", 30)}
    assert found[:10] == drawn(axes, 10, everything, 7)


def test_both_ends_of_a_range_are_drawn_and_no_more_than_there_are() -> None:
    assert sorted(each["fast"] for each in drawn([axis_of("fast=1:4")], 9, everything, 0)) == [1, 2, 3, 4]
    odd = allowed_by([Constraint("fast % 2 == 1")], {"fast": 1})
    assert {each["fast"] for each in drawn([axis_of("fast=1:6")], 9, odd, 0)} == {1, 3, 5}


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("fast < slow", True),
        ("fast<fast", False),
        ("fast * 2 + 5 <= slow and depth > 0.01", True),
        ("fast < slow < 29", False),
        ("not fast > slow", True),
        ("kind == 'ema' or slow / fast == 2", False),
        ("-fast < 0", True),
    ],
)
def test_constraints(text: str, held: bool) -> None:
    assert Constraint(text).holds({"fast": 10, "slow": 30, "depth": 0.02, "kind": "sma"}) is held


@pytest.mark.parametrize(
    "text",
    [
        *("fast", "fast + 1", "fast <", "open('x') == 1", "fast.real < 2", "fast < 9**9**9", "[1] < [2]"),
        *("fast < slow if 1 else 2", "(fast := 2) < 3", "fast is None", "fast < True"),
    ],
)
def test_what_is_no_constraint_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="the constraint"):
        Constraint(text)


def test_a_constraint_on_nothing_known_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="names slwo; there are fast, slow"):
        allowed_by([Constraint("fast < slwo")], {"fast": 1, "slow": 2})
    with pytest.raises(ConfigurationError, match="'<' not supported"):
        Constraint("fast < kind").holds({"fast": 1, "kind": "ema"})
    with pytest.raises(ConfigurationError, match="division by zero"):
        Constraint("1 / fast < 1").holds({"fast": 0})
