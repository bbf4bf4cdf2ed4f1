"""The strategies that come with Kandle: their trades by hand, and that none of them looks ahead."""

from pathlib import Path
from random import Random

import pytest

from backtest.engine import Run, run
from backtest.strategy import Strategy
from schemas.errors import ConfigurationError
from tests.backtest_runs import Prices, bars_of, flat, terms_of

OF_CANDLES = sorted(set(Strategy.known()) - {"market_maker"})


def played(spec: str, candles: list[Prices], **terms: object) -> Run:
    return run(Strategy.create(spec), [bars_of(candles)], terms_of(**terms))


def trades(found: Run) -> list[tuple[float, float, float]]:
    """Size, price of entry and price of exit of each."""
    return [(float(one.size), float(one.entry_price), float(one.exit_price)) for one in found.trades]


def test_macd_turns_where_it_crosses_its_signal() -> None:
    # Averages over 1 and 2 closes, signal over 2; weights 1 and 2/3.
    #   close       10  10  10  13      13      10      10      11
    #   slow        -   10  10  12      12 2/3  10 8/9  10.296
    #   macd        -   0   0   1       1/3     -8/9    -0.296
    #   signal      -   -   0   2/3     4/9     -4/9    -0.346
    # It rises from the signal at 13, which is no crossing, falls below it at the next close and above it
    # again at the seventh: 1,000 units short at 10, covered at 11; then 9,000 buy 818 units.
    found = played("macd(1,2,2)", flat(10, 10, 10, 13, 13, 10, 10, 11, 11))
    assert trades(found) == [(-1_000, 10, 11)]
    assert [(fill.side, float(fill.size)) for fill in found.fills] == [
        ("sell", 1_000),
        ("buy", 1_000),
        ("buy", 818),
    ]


#   close             10  10  10  13      12      12.2    12.2    9       9       9.5    9.5
#   middle (3)        -   -   10  11      11.667  12.4    12.133  11.133  10.067  9.167
#   deviation         -   -   0   1.414   1.247   0.432   0.094   1.508   1.508   0.236
#   upper (1.4 of it) -   -   10  12.980  13.413  13.005  12.265  13.245  12.179  9.497
#   lower             -   -   10  9.020   9.921   11.795  12.001  9.021   7.955   8.837
SWINGS = flat(10, 10, 10, 13, 12, 12.2, 12.2, 9, 9, 9.5, 9.5)


def test_a_breakout_is_followed_until_the_middle() -> None:
    # Above the band at 13: 833 units at 12, the next open; below the middle at 12.2: sold there. Below the
    # band at 9: 10,166.6 sell 1,129 short at 9, turned at 9.5, where the close is above the band.
    found = played("bollinger_breakout(3,1.4)", SWINGS)
    assert trades(found) == [(833, 12, 12.2), (-1_129, 9, 9.5)]
    assert found.fills[-1].side == "buy"


def test_sizing_by_risk_takes_the_middle_for_the_stop_of_a_breakout() -> None:
    # 1 % of 10,000 over 13 - 11, and over 11.133 - 9 of 10,010: 50 and 46.9 units.
    found = played("bollinger_breakout(3,1.4,risk,0.01)", SWINGS)
    assert [size for size, _, _ in trades(found)] == [50, -46]


def test_a_reversion_is_held_to_the_middle() -> None:
    # Above the band at 13: 833 units short at 12, covered at 12.2 after the close below the middle. Below the
    # band at 9: bought at 9, 9,833.4 / 9 = 1,092 units; above the middle at 9.5.
    found = played("bollinger_reversion(3,1.4)", SWINGS)
    assert trades(found) == [(-833, 12, 12.2), (1_092, 9, 9.5)]


def test_a_reversion_that_goes_wrong_ends_at_its_stop() -> None:
    # The stop of the short position is 13 + 1.4 * sqrt(2) = 14.980, which the high of 15.2 passes.
    candles = [*SWINGS[:5], (12.2, 15.2, 12.2, 12.2), *SWINGS[6:]]
    found = played("bollinger_reversion(3,1.4)", candles)
    ((size, entry, left), *_) = trades(found)
    assert (size, entry) == (-833, 12)
    assert left == pytest.approx(13 + 1.4 * 2**0.5)
    held = played("bollinger_reversion(3,1.4,0)", candles)
    assert trades(held) == trades(played("bollinger_reversion(3,1.4,0)", SWINGS))
    assert all(order.kind == "market" for order in held.orders)


# Lows at 10 and 9.9 with indices (over 2 changes) of 9.1 and 22.4:
#   close    20   22   18   10    14    16    9.9    12
#   change        2    -4   -8    4     2     -6.1
#   gain               1    0.5   2.25  2.125 1.0625
#   loss               2    5     2.5   1.25  3.675
#   index              33   9.1   47    63    22.4
# The second low is known one candle later, at the close of 12; the stop lies at 9.9.
DIVERGENCE = flat(20, 22, 18, 10, 14, 16, 9.9, 12, 12)


@pytest.mark.parametrize(
    ("last", "left"),
    [
        ((12.0, 17.0, 11.0, 15.0), 16.2),  # 12 + 2 * (12 - 9.9)
        ((12.0, 13.0, 9.0, 10.0), 9.9),
        ((12.0, 17.0, 9.0, 10.0), 9.9),  # both: the stop came first
    ],
)
def test_a_divergence_is_bought_and_left_at_the_stop_or_the_goal(last: Prices, left: float) -> None:
    found = played("rsi_divergence(2,1,1,10)", [*DIVERGENCE, last])
    assert trades(found) == [(833, 12, round(left, 1))]
    assert not any(order.is_open for order in found.orders)


def test_a_divergence_whose_open_jumps_over_the_stop_is_left_at_once() -> None:
    found = played("rsi_divergence(2,1,1,10)", [*DIVERGENCE[:-1], *flat(9, 8, 8)])
    assert trades(found) == [(1_111, 9, 8)]


def test_what_has_no_stop_cannot_be_sized_by_risk() -> None:
    with pytest.raises(ConfigurationError, match="has no stop"):
        Strategy.create("macd(sizing=risk)")
    with pytest.raises(ConfigurationError, match="fast \\(26\\) is to be below slow"):
        Strategy.create("macd(26,12)")
    with pytest.raises(ConfigurationError, match="has no stop"):
        played("bollinger_reversion(3,1.4,0,risk,0.01)", SWINGS)


def walk(count: int, seed: int) -> list[Prices]:
    random, price, found = Random(seed), 100.0, []
    for _ in range(count):
        opened, price = price, price * random.uniform(0.97, 1.03)
        found.append((opened, max(opened, price) * 1.01, min(opened, price) * 0.99, price))
    return found


def test_the_manual_has_them_all_with_their_parameters() -> None:
    page = (Path(__file__).parents[2] / "docs" / "backtesting.md").read_text("utf-8")
    table = page.partition("## Strategies that are shipped")[2].partition("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.split("|")[1:3]] for line in table.splitlines() if line[:3] == "| `"
    ]
    shipped = [kind for kind in Strategy.known().values() if kind.__module__.startswith("backtest.")]
    assert {name for name, _ in rows} == {f"`{kind.name}`" for kind in shipped}
    for name, told in rows:
        for key, value in Strategy.known()[name.strip("`")].defaults().items():
            assert ("sizing" if key in ("sizing", "amount") else f"`{key}` {value:g}") in told, key


SIZED = [f"macd(sizing={rule},amount=0.05)" for rule in ("percent", "volatility", "kelly")]


@pytest.mark.parametrize("spec", [*OF_CANDLES, *SIZED])
def test_what_has_happened_does_not_depend_on_what_is_to_come(spec: str) -> None:
    candles = walk(700, seed=4)
    whole = played(spec, candles, lot="0.001")
    assert len(whole.trades) > 5
    for count in (90, 333, 500):
        past = played(spec, candles[:count], lot="0.001")
        assert list(whole.fills[: len(past.fills)]) == list(past.fills)
        assert past.equity.tolist() == whole.equity[:count].tolist()
