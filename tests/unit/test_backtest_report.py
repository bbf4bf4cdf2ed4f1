"""The page of a backtest: its columns, and what it leaves out. A browser tries elsewhere how it looks."""

import itertools
import json
import re
from dataclasses import replace
from decimal import Decimal
from html import unescape
from math import exp
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from backtest.bars import DAY_US
from backtest.costs import Costs
from backtest.fees import FeeSchedule, Tier
from backtest.report.assumptions import assumptions_of
from backtest.report.distribution import calendar_of, distribution_of
from backtest.report.terms import terms_of_note, terms_shown
from backtest.report.thinning import candle_of, series_of
from backtest.report.trade_list import MOST_TRADES, trade_columns
from backtest.report.values import money, shown, span
from backtest.statistics import (
    FIGURES,
    MARKET_FIGURES,
    market_figures_of,
    statistics_by_market,
    statistics_of,
)
from infra.charts import as_style
from tests.backtest_pages import page, traded, waves
from tests.backtest_runs import BEGAN, MARKET, MINUTE, bars_of, flat, play, terms_of

OTHER = "test:C/B"
HOUR = 60 * MINUTE


def columns(text: str) -> Any:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found
    return json.loads(found[1])


def test_short_runs_are_drawn_as_they_are() -> None:
    run, strategy = traded(300)
    found = columns(page(run, strategy))
    (bars,) = run.bars
    assert found["prices"][MARKET][1] == pytest.approx(list(bars.highs))
    assert found["equity"] == pytest.approx(list(run.equity))
    assert found["lowest"] is None
    assert (found["first"], set(found["gaps"]), found["length"]) == (BEGAN // 1000, {60_000}, 60_000)
    assert found["currency"] == "B"
    trades = found["trades"]
    # Filled at an open: the step that begins then.
    assert [found["first"] + 60_000 * step for step in trades["entry_step"]] == trades["entry_ms"]
    assert trades["profit"] == pytest.approx([float(trade.profit) for trade in run.trades])


def test_long_runs_are_put_together_without_losing_an_extreme() -> None:
    run, _ = traded(3000)
    series = series_of(run, 250, [MARKET])
    (bars,), (prices,) = run.bars, series.prices
    # 3,000 minutes are 200 quarters of an hour; steps of 5 minutes would be 600.
    assert (series.length, series.candles, len(series.starts)) == (15 * MINUTE, 15, 200)
    for step in (0, 77, 199):
        own = slice(15 * step, 15 * step + 15)
        assert prices.opens[step] == bars.opens[own][0]
        assert prices.highs[step] == max(bars.highs[own])
        assert prices.lows[step] == min(bars.lows[own])
        assert prices.closes[step] == bars.closes[own][-1]
        assert series.equity[step] == run.equity[own][-1]
        assert (series.lowest[step], series.highest[step]) == (min(run.equity[own]), max(run.equity[own]))
    assert series.under.max() == statistics_of(run).drawdown.depth


def test_markets_that_begin_later_or_pause_have_empty_steps() -> None:
    first = bars_of(waves(10), length=HOUR)
    second = bars_of(waves(4), OTHER, HOUR, BEGAN + 8 * HOUR)
    run, _ = play([first, second], {})
    series = series_of(run, 100, [OTHER])
    assert len(series.starts) == 12
    (prices,) = series.prices
    assert np.isnan(prices.closes).tolist() == [True] * 8 + [False] * 4
    assert series.equity.tolist() == [10_000.0] * 12


def test_days_without_candles_take_no_room() -> None:
    bars = bars_of(flat(*range(100, 110)), length=DAY_US)
    times = [BEGAN + DAY_US * (number + 2 * (number // 5)) for number in range(10)]
    bars = type(bars)(MARKET, times, DAY_US, bars.opens, bars.highs, bars.lows, bars.closes, bars.volumes)
    run, _ = play([bars], {})
    assert len(series_of(run, 100, [MARKET]).starts) == 10
    weeks = series_of(run, 5, [MARKET])
    assert (weeks.starts.tolist(), weeks.candles) == ([BEGAN, BEGAN + 7 * DAY_US], 5)  # both of them Mondays


def test_a_fill_within_a_candle_lies_in_it() -> None:
    bars = bars_of([(100, 101, 99, 100), (100, 120, 100, 119), (119, 121, 118, 120)])
    # A limit of 110 was reached within the second candle: the fill bears its close, the open of the third.
    times = np.array([bars.open_times[2], bars.open_times[2], bars.open_times[1]])
    found = candle_of(bars, times, np.array([110.0, 119.0, 100.0]))
    assert found.tolist() == [bars.open_times[1], bars.open_times[2], bars.open_times[1]]


def test_only_the_largest_trades_are_listed_and_that_is_said() -> None:
    run, strategy = traded(4 * MOST_TRADES + 100, every=4)
    assert len(run.trades) > MOST_TRADES
    text = page(run, strategy)
    listed = columns(text)["trades"]
    assert len(listed["size"]) == MOST_TRADES
    assert listed["number"] == sorted(set(listed["number"]))
    left = set(range(1, len(run.trades) + 1)) - set(listed["number"])
    between = sorted(float(run.trades[number - 1].profit) for number in left)
    profits = sorted(listed["profit"])
    half = MOST_TRADES // 2
    assert profits[half - 1] <= between[0] + 1e-6
    assert between[-1] - 1e-6 <= profits[half]
    assert f"Of {len(run.trades):,} the 2,500 with the largest profits and as many" in " ".join(text.split())
    assert "put up to 5 candles together" in text


def test_what_is_still_open_is_listed_as_open() -> None:
    acts = {0: lambda strategy: strategy.buy(MARKET, 2), 1: lambda strategy: strategy.sell(MARKET, 1)}
    run, strategy = play(flat(100, 110, 120, 130), acts, terms_of(fee="0.01"))
    found = trade_columns(run, series_of(run, 10, [MARKET]))
    # Two at 110 for a fee of 2.2, one of them sold at 120; the other is worth 130.
    assert (found["open"], found["number"], found["size"]) == ([False, True], [1, 2], [1, 1])
    assert found["profit"] == pytest.approx([10 - 1.1 - 1.2, 20 - 1.1])
    assert (found["entry_step"], found["exit_step"]) == ([1, 1], [2, 3])
    assert statistics_of(run).open_profit == 20
    assert market_figures_of(statistics_by_market(run)[0])["open_profit"] == 20
    assert "At the end 1 is still open" in " ".join(page(run, strategy).split())


def test_the_largest_pages_are_below_five_megabytes() -> None:
    run, strategy = traded(42_000, every=20)
    assert len(page(run, strategy).encode()) < 5_000_000
    run, strategy = traded(6_000, every=20, markets=14)
    text = page(run, strategy)
    assert len(text.encode()) < 5_000_000
    assert len(columns(text)["prices"]) == 12
    assert "Prices are drawn of the 12 markets with the most fills." in unescape(text)


def test_a_page_asks_for_nothing_and_names_are_only_text() -> None:
    run, strategy = traded(30)
    strategy.name = "</script><script>alert(1)</script>"
    text = page(run, strategy)
    assert "<script>alert" not in text
    for name in re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?([^"')\s>]+)""", text):
        assert name == "data:," or name.startswith("#")
    # The name of the language of drawings is no address that is asked.
    assert set(re.findall(r"https?://[\w./]+", text)) == {"http://www.w3.org/2000/svg"}


def test_what_is_not_defined_is_a_dash_and_every_figure_is_explained() -> None:
    run, strategy = play(flat(100, 100), {})
    text = page(run, strategy)
    assert "nan" not in columns(text)
    assert columns(text)["distributions"]["trades"] is None
    assert "<dd>-</dd>" in text
    assert "Deepest fall of the equity below a peak" in text


def test_months_and_years_add_up() -> None:
    # 400 days that each win a thousandth.
    closes = [100 * exp(number / 1000) for number in range(401)]
    candles = [(before, after, before, after) for before, after in itertools.pairwise(closes)]
    run, _ = play([bars_of(candles, length=DAY_US)], {0: lambda strategy: strategy.buy(MARKET, "100")})
    first, second = calendar_of(run)
    assert (first.year, second.year) == (2024, 2025)
    assert [part is None for part in second.months] == [False] * 2 + [True] * 10
    product = 1.0
    for part in (*first.months, *second.months):
        product *= 1 + (part or 0)
    assert product == pytest.approx(float(run.final_equity) / 10_000)
    assert (1 + (first.total or 0)) * (1 + (second.total or 0)) == pytest.approx(product)


def test_bins_are_round_and_one_begins_at_zero() -> None:
    values = np.array([-0.031, -0.011, -0.01, 0.0, 0.0049, 0.005, 0.012])
    found = distribution_of(values)
    assert found
    edges = [found.first + found.width * number for number in range(len(found.counts) + 1)]
    assert found.counts == [
        int(((low - 1e-12 <= values) & (values < high - 1e-12)).sum())
        for low, high in itertools.pairwise(edges)
    ]
    assert any(abs(edge) < 1e-12 for edge in edges)
    assert sum(found.counts) == 7
    same = distribution_of(np.array([0.01, 0.01]))
    assert same
    assert sum(same.counts) == 2
    assert sum(distribution_of(np.zeros(3)).counts) == 3  # type: ignore[union-attr]


def test_values_are_written_for_people() -> None:
    assert [span(each) for each in (0, 59, 3600, 93_784, 86_400 * 400)] == [
        "0 s",
        "59 s",
        "1 h",
        "1 d 2 h",
        "400 d",
    ]
    assert [money(each) for each in (1234.567, -0.5, 0.0, 0.000123456)] == [
        "1,234.57",
        "-0.50",
        "0.00",
        "0.000123",
    ]
    assert shown("part", 0.12345) == "12.35 %"
    assert shown("time", BEGAN) == "2024-01-01 00:00:00"
    assert shown("ratio", None) == "-"


def test_what_is_assumed_is_what_the_terms_say() -> None:
    plain = assumptions_of(traded(30)[0])
    assert "An order is filled whole or not at all; the volume of a candle is no limit." in plain
    assert "Orders and their withdrawals arrive at once." in plain
    assert "Fees are 0.1 % of the value of a fill, 0 % for limits that have waited." in plain
    costs = Costs(slippage=Decimal("0.0005"), slippage_ticks=Decimal(2))
    terms = replace(terms_of(leverage=5), costs=costs, latency=1500, maintenance=Decimal("0.01"))
    told = assumptions_of(replace(traded(30)[0], terms=terms, filled_by={MARKET: "book", OTHER: "trade"}))
    assert "Orders and their withdrawals arrive after 1.5 ms." in told
    assert "By books are filled: test:A/B." in told
    assert "Orders without a limit are filled worse by 0.05 % of the price and 2 ticks." in told
    assert "All positions are liquidated when the equity is 1 % of their value." in told
    assert not set(told) & set(plain[:4])


def test_terms_that_nobody_has_changed_are_not_shown_to_people() -> None:
    terms = replace(terms_of(fee="0.001"), queue="front", latency=2_000_000)
    assert terms_of_note(terms) == {
        "capital": 10_000,
        "fee": 0.001,
        "maker_fee": 0,
        "lot": 1,
        "leverage": 1,
        "queue": "front",
        "latency_s": 2,
    }
    schedule = FeeSchedule({"mexc": [Tier(Decimal(0), Decimal("0.0005"), Decimal(0))]})
    shown_terms = terms_shown(replace(terms, costs=Costs(schedule=schedule)))
    assert shown_terms["schedule"] == {"mexc": [{"volume": 0, "taker": 0.0005, "maker": 0}]}
    assert json.loads(msgspec.json.encode(shown_terms)) == shown_terms


def contrast(one: str, other: str) -> float:
    """Of two colours, as WCAG 2 defines it."""

    def light(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    bright, dim = sorted((light(one), light(other)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


@pytest.mark.parametrize("scheme", [0, 1])
def test_text_can_be_read_on_light_and_dark(scheme: int) -> None:
    pairs = re.findall(r"--(\w+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)", as_style())
    colours = {name: both[scheme] for name, *both in pairs}
    for name in ("text", "muted", "up", "down", "accent", "held"):
        assert contrast(colours[name], colours["card"]) >= 4.5, name
        assert contrast(colours[name], colours["page"]) >= 4.5, name


def test_the_page_of_definitions_holds_each_of_them() -> None:
    text = (Path(__file__).parents[2] / "docs" / "backtest-report.md").read_text("utf-8")
    for figure in (*FIGURES, *MARKET_FIGURES):
        assert re.search(rf"\| `{figure.name}` \| [^|]+ \| {re.escape(figure.meaning)} \|", text), figure.name
