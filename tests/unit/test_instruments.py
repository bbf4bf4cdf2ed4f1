"""Symbols as a user writes them, against what a venue lists."""

import pytest

from producers.instruments import Listing
from producers.markets import exchange_class
from schemas.errors import ConfigurationError

MARKET = exchange_class("binance")
NAMES = ("BTCUSDT", "BTCUSDC", "ETHUSDT")
LISTED = Listing([found for name in NAMES if (found := MARKET.guess(name)) is not None], "binance")


@pytest.mark.parametrize("name", ["BTC/USDT", "btc/usdt", "BTCUSDT", "btcusdt"])
def test_a_symbol_may_be_written_in_any_case_or_as_the_venue_does(name: str) -> None:
    assert list(LISTED.choose([name])) == ["BTC/USDT"]


def test_a_pattern_stands_for_all_that_trade() -> None:
    assert list(LISTED.choose(["*/usdt"])) == ["BTC/USDT", "ETH/USDT"]
    assert list(LISTED.choose(["BTC/*", "ETH/USDT"])) == ["BTC/USDT", "BTC/USDC", "ETH/USDT"]
    assert LISTED.choose(["*/EUR"]) == {}


def test_an_unknown_symbol_is_answered_with_near_ones() -> None:
    with pytest.raises(ConfigurationError, match=r"binance lists no BTC/USTD; did you mean .*BTC/USDT"):
        LISTED.choose(["BTC/USTD"])


def test_a_symbol_like_no_other_is_answered_with_the_way_to_write_it() -> None:
    with pytest.raises(ConfigurationError, match="written like BTC/USDT"):
        LISTED.choose(["§"])
