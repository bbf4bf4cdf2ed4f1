"""Which indicators and rules run where, as settings say it."""

from typing import Any

import pytest

from infra.settings import ProcessorSettings, load
from processors.indicators.rsi import Rsi
from processors.indicators.sma import Sma
from processors.series.book import SeriesBook
from processors.series.plan import SeriesPlan
from processors.signals.moving_average_crossover import MovingAverageCrossover
from schemas.errors import ConfigurationError
from schemas.records import IndicatorValue
from tests.signal_candles import of_closes, scaled

MARKETS = ("binance:BTC/USDT", "binance:ETH/USDT", "gateio:BTC/USDT:USDT")
INTERVALS = ("1s", "1m", "1h")


def places(text: str) -> set[tuple[str, str]]:
    (choice,) = SeriesPlan.of([text], []).indicators
    return {(key, name) for key in MARKETS for name in INTERVALS if choice.covers(key, name)}


@pytest.mark.parametrize(
    ("text", "keys", "intervals"),
    [
        ("ema(50)", MARKETS, INTERVALS),
        ("ema(50)@1m|1h", MARKETS, ("1m", "1h")),
        ("ema(50)@1m|1h@binance:BTC/*", MARKETS[:1], ("1m", "1h")),
        (" ema ( 50 ) @ 1m | 1h @ binance:* | gateio:BTC/* ", MARKETS, ("1m", "1h")),
        ("ema(50)@@gateio:*", MARKETS[2:], INTERVALS),
        ("ema(50)@1?@*:BTC/USDT", MARKETS[:1], INTERVALS),
        ("ema(50)@*m@*BTC*", MARKETS[::2], ("1m",)),
        ("ema(50)@1h@gateio:BTC/USDT:USDT", MARKETS[2:], ("1h",)),
        ("ema(50)@1w@*", (), ()),
    ],
)
def test_a_choice_covers_what_its_patterns_name(
    text: str, keys: tuple[str, ...], intervals: tuple[str, ...]
) -> None:
    assert places(text) == {(key, interval) for key in keys for interval in intervals}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ema(50)@1x", r"no interval is called 1x; there are 1s, 1m, .*1w"),
        ("ema(50)@1m|2m", "no interval is called 2m"),
        ("ema(50)@binance:BTC/*", "no interval is called binance:BTC"),
        ("ema(50)@1m@BTC/USDT", "markets are venue:symbol, as .*got BTC/USDT"),
        ("ema(50)@1m@BTC/*", r"got BTC/\*"),
        ("ema(50)@1m@binance:*@x", "got binance:.*@x"),
        ("emma(50)@1m", "there is no indicator 'emma'; known: .*ema"),
        ("ema(-1)@1m", "period=-1"),
        ("", "is written 'name' or"),
    ],
)
def test_a_choice_that_can_fit_nothing_is_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        SeriesPlan.of([text], [])


def test_rules_are_chosen_in_the_same_way() -> None:
    with pytest.raises(ConfigurationError, match=r"there is no signal rule 'ema'; known: .*volume_spike"):
        SeriesPlan.of([], ["ema(50)"])
    with pytest.raises(ConfigurationError, match="no interval is called 2m"):
        SeriesPlan.of([], ["volume_spike@2m"])


def test_settings_hold_several_choices_in_one_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "KANDLE_PROCESSORS__INDICATORS", "macd(12, 26, 9)@1m|1s, vwap(session=1d)@1m@binance:*"
    )
    monkeypatch.setenv("KANDLE_PROCESSORS__SIGNALS", '["rsi_level(14,20,80)@1m", "volume_spike"]')
    plan = SeriesPlan.of_settings(load().processors)
    assert [str(choice) for choice in plan.indicators] == [
        "macd_12_26_9@1m|1s@*",
        "vwap_1d@1m@binance:*",
    ]
    assert [str(choice) for choice in plan.rules] == ["rsi_level_14_20_80@1m@*", "volume_spike_20_3@*@*"]


def test_candles_that_are_not_built_cannot_be_chosen() -> None:
    chosen = ProcessorSettings(intervals=["1s", "1m"], indicators=["ema(50)@1m|4h"])
    with pytest.raises(ConfigurationError, match=r"ema_50.*: no candles of 4h are built; .* has 1s, 1m"):
        SeriesPlan.of_settings(chosen)
    SeriesPlan.of_settings(chosen.model_copy(update={"intervals": ["1m", "4h"]}))


def test_every_change_of_a_plan_changes_its_digest() -> None:
    changes: list[dict[str, Any]] = [
        {},
        {"indicators": ["sma(21)"]},
        {"indicators": ["sma(20)@1m"]},
        {"indicators": ["bollinger(20,2)"]},
        {"indicators": ["bollinger(20,2.0000001)"]},
        {"signals": []},
        {"signals": ["volume_spike"]},
        {"signals": ["volume_spike(20,4)"]},
        {"signal_on_incomplete": True},
        {"empty_candles": "carry"},
    ]
    digests = [SeriesPlan.of_settings(ProcessorSettings(**change)).digest for change in changes]
    assert len(set(digests)) == len(changes)
    written_out = ProcessorSettings(indicators=["bollinger(period=20, deviations=2.0)@*"])
    assert SeriesPlan.of_settings(written_out).digest == digests[3]


def test_a_change_of_what_a_state_means_changes_the_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    plans = (SeriesPlan.of(), SeriesPlan.of([]))
    before = [plan.digest for plan in plans]
    for changed, concerned in (
        (Rsi, [True, False]),
        (MovingAverageCrossover, [True, True]),
        (Sma, [True, True]),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(changed, "state_version", 2)
            assert [plan.digest != old for plan, old in zip(plans, before, strict=True)] == concerned
    assert [plan.digest for plan in plans] == before


def test_choices_that_overlap_give_each_value_once() -> None:
    book = SeriesBook(SeriesPlan.of(["sma(2)", "sma@1m", "sma(20)", "sma(2)@1m@binance:*"], []))
    records = [record for candle in scaled(of_closes(range(1, 25)), 2.0) for record in book.fold(candle)]
    names = [(record.open_time, record.name) for record in records if isinstance(record, IndicatorValue)]
    assert len(names) == len(set(names)) == 23 + 5
