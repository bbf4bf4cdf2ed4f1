"""ccxt's forms as our records, and its errors as ours."""

from typing import Any

import aiohttp
import ccxt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.exchange import BadRecord
from producers.manager import readings
from producers.manager.answer import HttpAnswer
from producers.manager.errors import error_of
from schemas import errors
from schemas.errors import KandleError, RateLimitedError, ServerError

NOW = 1_700_000_000_000_000
MINUTE_MS = 1_699_999_980_000
TICKER = {"last": 2.0, "bid": 1.9, "ask": 2.1, "baseVolume": 5.0, "change": -0.5, "percentage": -20.0}


def candles(*rows: list[Any], interval: str = "1m", multiplier: float | None = 1.0) -> Any:
    return readings.candles("binance", "BTC/USDT", interval, rows, multiplier, NOW)


def test_a_ticker_has_what_the_venue_tells_and_nothing_else() -> None:
    found = readings.ticker("binance", "spot", "BTC/USDT", TICKER | {"timestamp": 1_699_999_999_000}, NOW)
    assert (found.price, found.bid, found.ask, found.volume) == (2.0, 1.9, 2.1, 5.0)
    assert (found.change_24h, found.change_percent_24h) == (-0.5, -20.0)
    assert (found.timestamp, found.receive_time) == (1_699_999_999_000_000, NOW)
    assert (found.high_24h, found.low_24h) == (None, None)
    bare = readings.ticker("binance", "spot", "BTC/USDT", {"last": 2.0, "bid": 0.0}, NOW)
    assert (bare.bid, bare.volume, bare.timestamp) == (None, None, None)


@pytest.mark.parametrize(
    "figures",
    [
        {"last": None},
        {"last": 0.0},
        {"last": float("nan")},
        {"bid": -1.0},
        {"baseVolume": -1.0},
        {"change": float("inf")},
        {"high": "x"},
        {"timestamp": 12},
    ],
)
def test_a_ticker_that_breaks_a_rule_is_refused(figures: dict[str, Any]) -> None:
    with pytest.raises(BadRecord):
        readings.ticker("binance", "spot", "BTC/USDT", TICKER | figures, NOW)


def test_candles_that_break_a_rule_are_left_out_and_counted() -> None:
    found = candles(
        [MINUTE_MS - 120_000, 2, 3, 1, 2, 5],
        [MINUTE_MS - 60_000, 2, 1.5, 1, 2, 5],
        [MINUTE_MS - 50_000, 2, 3, 1, None, 5],
        [MINUTE_MS - 40_000, 2, 3, 1, 2, -5],
        [MINUTE_MS - 120_000, 2, 3, 1, 2, 5],
        [MINUTE_MS - 30_000, 2, 3, 0, 2, 5],
        [MINUTE_MS - 30_000],
        [MINUTE_MS, 2, 3, 1, 2, None],
    )
    assert [candle.open_time for candle in found.candles] == [
        (MINUTE_MS - 120_000) * 1_000,
        MINUTE_MS * 1_000,
    ]
    assert found.rejected == {"ohlc": 2, "column": 2, "time": 1, "price": 1}
    assert [candle.closed for candle in found.candles] == [True, False]
    assert found.candles[1].volume is None


def test_volumes_in_contracts_become_base_units_or_nothing() -> None:
    row = [MINUTE_MS, 2, 3, 1, 2, 7]
    assert candles(row, multiplier=0.0001).candles[0].volume == 0.0007
    assert candles(row, multiplier=None).candles[0].volume is None


@pytest.mark.parametrize(
    ("interval", "days", "closed"), [("1d", 1, True), ("1M", 30, False), ("1M", 31, True)]
)
def test_the_last_candle_is_closed_once_its_time_is_over(interval: str, days: int, closed: bool) -> None:
    begun = NOW // 1_000 - days * 86_400_000
    assert candles([begun, 2, 3, 1, 2, 7], interval=interval).candles[0].closed is closed


NUMBERS = st.one_of(st.none(), st.floats(), st.integers(-5, 5), st.just("x"))
ROWS = st.lists(st.lists(st.one_of(NUMBERS, st.integers(MINUTE_MS, MINUTE_MS + 9)), max_size=7), max_size=9)


@given(rows=ROWS)
def test_what_is_kept_keeps_the_rules_and_nothing_is_lost(rows: list[list[Any]]) -> None:
    found = candles(*rows)
    assert len(found.candles) + sum(found.rejected.values()) == len(rows)
    times = [candle.open_time for candle in found.candles]
    assert times == sorted(set(times))
    for one in found.candles:
        assert 0 < one.low <= min(one.open, one.close) <= max(one.open, one.close) <= one.high
        assert one.volume is None or one.volume >= 0


def broken(cause: Exception) -> Exception:
    error: Exception = ccxt.ExchangeError("binance GET https://venue/path")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "status", "kind", "retriable"),
    [
        (ccxt.RateLimitExceeded("x"), 429, errors.RateLimitedError, True),
        (ccxt.DDoSProtection("x"), 418, errors.RateLimitedError, True),
        (ccxt.RequestTimeout("x"), None, errors.CallTimeoutError, True),
        (ccxt.ExchangeNotAvailable("x"), None, errors.UnavailableError, True),
        (ccxt.ExchangeNotAvailable("x"), 503, errors.ServerError, True),
        (ccxt.ExchangeNotAvailable("x"), 501, errors.ServerError, False),
        (ccxt.ExchangeNotAvailable("x"), 404, errors.ClientError, False),
        (ccxt.ExchangeNotAvailable("x"), 451, errors.AuthorizationError, False),
        (ccxt.ExchangeNotAvailable("x"), 403, errors.AuthorizationError, False),
        (ccxt.OnMaintenance("x"), 200, errors.ServerError, True),
        (ccxt.NetworkError("x"), None, errors.UnavailableError, True),
        (ccxt.OperationFailed("x"), 500, errors.ServerError, True),
        (ccxt.InvalidNonce("x"), 400, errors.ClientError, False),
        (ccxt.AuthenticationError("x"), 401, errors.AuthenticationError, False),
        (ccxt.PermissionDenied("x"), 400, errors.AuthorizationError, False),
        (ccxt.AccountSuspended("x"), 400, errors.AuthorizationError, False),
        (ccxt.RestrictedLocation("x"), 200, errors.AuthorizationError, False),
        (ccxt.BadSymbol("x"), 400, errors.ClientError, False),
        (ccxt.NotSupported("x"), None, errors.ClientError, False),
        (ccxt.NullResponse("x"), 200, errors.BadAnswerError, False),
        (ccxt.ExchangeError("x"), 500, errors.ServerError, True),
        (ccxt.ExchangeError("x"), 400, errors.ClientError, False),
        (ccxt.InvalidProxySettings("x"), None, errors.ConfigurationError, False),
        (broken(aiohttp.ClientPayloadError("cut")), None, errors.UnavailableError, True),
        (KeyError("price"), 200, errors.BadAnswerError, False),
        (errors.ValidationError("x"), 200, errors.ValidationError, False),
    ],
)
def test_every_error_of_ccxt_has_its_place_in_our_tree(
    error: Exception, status: int | None, kind: type[KandleError], retriable: bool
) -> None:
    found = error_of(error, "binance-spot fetchTicker", HttpAnswer(status))
    assert type(found) is kind
    assert found.retriable is retriable


def test_limits_say_how_long_to_wait() -> None:
    told = error_of(ccxt.DDoSProtection("x"), "a", HttpAnswer(418, {"retry-after": "7"}))
    untold = error_of(ccxt.RateLimitExceeded("x"), "a", HttpAnswer(429))
    down = error_of(ccxt.ExchangeNotAvailable("x"), "a", HttpAnswer(503, {"retry-after": "9"}))
    assert isinstance(told, RateLimitedError)
    assert isinstance(untold, RateLimitedError)
    assert isinstance(down, ServerError)
    assert (told.wait_s, told.banned, untold.wait_s, untold.banned, down.wait_s) == (
        7.0,
        True,
        60.0,
        False,
        9.0,
    )


def test_messages_show_no_signature_and_no_secret() -> None:
    error = ccxt.ExchangeNotAvailable(
        "binance GET https://venue/account?timestamp=1&signature=abcdef mykey no"
    )
    found = error_of(error, "binance-spot fetchBalance", HttpAnswer(503), ["mykey"])
    assert str(found) == "binance-spot fetchBalance: binance GET https://venue/account *** no"
