"""Symbols as a user writes them, against what a venue lists."""

import pytest

from producers.instruments import choose_symbols
from schemas.errors import ConfigurationError

LISTED = {"BTC/USDT": "BTCUSDT", "BTC/USDC": "BTCUSDC", "ETH/USDT": "ETHUSDT"}


@pytest.mark.parametrize("name", ["BTC/USDT", "btc/usdt", "BTCUSDT", "btcusdt"])
def test_a_symbol_may_be_written_in_any_case_or_as_the_venue_does(name: str) -> None:
    assert choose_symbols([name], LISTED, "binance") == {"BTC/USDT": "BTCUSDT"}


def test_an_unknown_symbol_is_answered_with_near_ones() -> None:
    with pytest.raises(ConfigurationError, match=r"binance lists no BTC/USTD; did you mean .*BTC/USDT"):
        choose_symbols(["BTC/USTD"], LISTED, "binance")


def test_a_symbol_like_no_other_is_answered_with_the_way_to_write_it() -> None:
    with pytest.raises(ConfigurationError, match="written like BTC/USDT"):
        choose_symbols(["§"], LISTED, "binance")


def test_no_symbols_at_all_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="KANDLE_PRODUCER__SYMBOLS"):
        choose_symbols([], LISTED, "binance")
