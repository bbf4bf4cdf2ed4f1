"""Which symbols are fed: those of the settings, and what was asked for since."""

import pytest

from producers.control import Requests, shard_of
from producers.instruments import is_pattern, matches
from schemas import rows
from schemas.records import SymbolRequest


def requests(*asked: tuple[str, bool]) -> Requests:
    """Requests in the order in which they were made."""
    found = Requests("binance", "spot")
    for at, (symbol, wanted) in enumerate(asked):
        assert found.take(rows.encode(SymbolRequest("binance", "spot", symbol, wanted, at)))
    return found


def test_the_newest_request_about_a_symbol_holds() -> None:
    asked = requests(("SOL/USDT", True), ("BTC/USDT", False), ("SOL/USDT", False), ("SOL/USDT", True))
    assert asked.names(["BTC/USDT", "ETH/USDT"]) == ["ETH/USDT", "SOL/USDT"]


def test_of_a_pattern_and_a_name_the_later_one_holds() -> None:
    asked = requests(("*/USDT", True), ("SOL/USDT", False))
    assert asked.names(["BTC/EUR"]) == ["BTC/EUR", "*/USDT"]
    assert not asked.permits("SOL/USDT")
    assert asked.permits("ETH/USDT")
    again = requests(("SOL/USDT", True), ("*/USDT", False), ("ETH/USDT", True))
    assert not again.permits("SOL/USDT")
    assert again.names(["BTC/USDT"]) == ["ETH/USDT"]


def test_a_pattern_of_the_settings_can_be_removed_whole() -> None:
    assert requests(("*/USDT", False)).names(["*/USDT", "BTC/EUR"]) == ["BTC/EUR"]


def test_copies_of_a_request_in_other_partitions_change_nothing() -> None:
    asked = requests(("SOL/USDT", True), ("SOL/USDT", True))
    assert asked.names([]) == ["SOL/USDT"]


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"garbage",
        rows.encode(SymbolRequest("binance", "usdm", "SOL/USDT", True, 1)),
        rows.encode(SymbolRequest("gateio", "spot", "SOL/USDT", True, 1)),
    ],
    ids=["tombstone", "empty", "garbage", "another market", "another venue"],
)
def test_what_is_not_about_this_market_is_left_alone(value: bytes | None) -> None:
    asked = Requests("binance", "spot")
    assert not asked.take(value)
    assert asked.names(["BTC/USDT"]) == ["BTC/USDT"]


def test_symbols_spread_over_shards_and_stay_there() -> None:
    symbols = [f"{base}{number}/USDT" for base in ("AB", "C", "DEF") for number in range(200)]
    for shards in (1, 2, 3, 8):
        counts = [sum(shard_of(symbol, shards) == number for symbol in symbols) for number in range(shards)]
        assert sum(counts) == len(symbols)
        assert min(counts) > len(symbols) / shards * 0.6
    assert shard_of("BTC/USDT", 4) == 3, "as long as there are processes of an older version"


def test_patterns_match_in_any_case() -> None:
    assert is_pattern("*/USDT")
    assert not is_pattern("BTC/USDT")
    assert matches("BTC/USDT", "*/usdt")
    assert not matches("BTC/USDT:USDT", "*/USDT")
