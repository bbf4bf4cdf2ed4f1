"""The expansion of macros and variables that the tests of dashboards rest on."""

import datetime

import pytest

from tests.grafana_macros import Range, as_promql, seconds, with_macros, with_variables

SPAN = Range(
    datetime.datetime(2026, 1, 2, 3, 4, 5, 120_000, tzinfo=datetime.UTC),
    datetime.datetime(2026, 1, 2, 4, 4, 5, tzinfo=datetime.UTC),
    "20s",
)
BEGIN, END = "2026-01-02T03:04:05.12Z", "2026-01-02T04:04:05Z"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$__time(at)", 'at AS "time"'),
        ("$__timeEpoch(at)", 'extract(epoch from at) as "time"'),
        ("$__timeFilter(at)", f"at BETWEEN '{BEGIN}' AND '{END}'"),
        ("a > $__timeFrom() AND a < $__timeTo()", f"a > '{BEGIN}' AND a < '{END}'"),
        ("$__unixEpochFilter(e)", "e >= 1767323045 AND e <= 1767326645"),
        ("$__timeGroup(at, '5m') AS x", "floor(extract(epoch from at)/300)*300 AS x"),
        ("$__timeGroup(at,'5m'), 1", 'floor(extract(epoch from at)/300)*300 AS "time", 1'),
        ("$__timeGroupAlias(at, '1h')", 'floor(extract(epoch from at)/3600)*3600 AS "time"'),
        ("$__unixEpochGroup(e, '1m')", "floor((e)/60)*60"),
    ],
)
def test_macros_become_what_the_plug_in_makes_of_them(text: str, expected: str) -> None:
    assert with_macros(text, SPAN) == expected


def test_groups_of_time_are_buckets_where_the_source_is_a_timescaledb() -> None:
    assert with_macros("$__timeGroup(at, '20s')", SPAN, timescaledb=True) == "time_bucket('20.000s',at)"


@pytest.mark.parametrize("text", ["$__timefilter(at)", "$__timeGroup(at)", "$__nothing()"])
def test_what_is_no_macro_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="macro"):
        with_macros(text, SPAN)


def test_one_value_stands_as_it_is_and_several_stand_as_literals() -> None:
    values = {"symbol": "O'N/USDT", "rules": ["a", "b'c"]}
    text = (
        "s = '$symbol' AND r IN ($rules) AND i = '$__interval' AND m = $__interval_ms AND x ~ '(a|$)' AND $y"
    )
    assert with_variables(text, values, SPAN) == (
        "s = 'O''N/USDT' AND r IN ('a','b''c') AND i = '20s' AND m = 20000 AND x ~ '(a|$)' AND $y"
    )


def test_rates_look_back_over_four_scrapes_at_least() -> None:
    assert as_promql("rate(a[$__rate_interval])", SPAN, 15) == "rate(a[60s])"
    assert as_promql("rate(a[$__rate_interval])[$__range:$__interval]", SPAN, 1) == "rate(a[21s])[3600s:20s]"


def test_an_interval_has_a_unit() -> None:
    assert (seconds("250ms"), seconds("1d")) == (0.25, 86_400)
    with pytest.raises(ValueError, match="interval"):
        seconds("5")
