"""The cache: one key for one question, three layers, nothing stale."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.resilience.cache import Cache
from infra.resilience.cache_key import cache_key
from infra.resilience.events import ResilienceEvent
from infra.resilience.local_store import FILES_OF_CONTEXT, LocalStore

ADDRESS = "0x" + "aB" * 20


class Time:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({"amount": 1}, {"amount": 1.0}),
        ({"amount": Decimal("1.10")}, {"amount": 1.1}),
        ({"amount": Decimal("1e3")}, {"amount": 1000}),
        ({"amount": 0}, {"amount": -0.0}),
        ({"address": ADDRESS}, {"address": ADDRESS.lower()}),
        ({"a": 1, "unset": None}, {"a": 1}),
        ({"of": {"b": [1, 2.0], "a": None}}, {"of": {"b": (1.0, 2)}}),
    ],
)
def test_the_same_question_has_one_key(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert cache_key("ticker", one) == cache_key("ticker", other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1}, {"a": "1"}),
        ({"a": True}, {"a": 1}),
        ({"a": [1, 2]}, {"a": [2, 1]}),
        ({"symbol": "BTC/USDT"}, {"symbol": "btc/usdt"}),
        ({"a": 1}, {"b": 1}),
        ({"a": 1}, {"a": ["number", "1"]}),
        ({"a": {"b": "c"}}, {"a": ["names", ["b", "c"]]}),
        ({}, {"a": []}),
    ],
)
def test_another_question_has_another_key(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert cache_key("ticker", one) != cache_key("ticker", other)
    assert cache_key("ticker", one) != cache_key("instruments", one)


@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5) | st.none(), max_size=5))
def test_keys_do_not_depend_on_the_order_of_parameters(parameters: dict[str, Any]) -> None:
    assert cache_key("ticker", parameters) == cache_key("ticker", dict(reversed(parameters.items())))


@pytest.mark.parametrize("context", ["", "../etc", "Ticker", "a b", "a/b", "-a"])
def test_a_context_is_a_plain_name(context: str) -> None:
    with pytest.raises(ValueError, match="context"):
        cache_key(context, {})


def test_parameters_that_have_no_text_are_refused() -> None:
    with pytest.raises(ValueError, match="object"):
        cache_key("ticker", {"a": object()})
    with pytest.raises(ValueError, match="finite"):
        cache_key("ticker", {"a": float("nan")})


TICKER = cache_key("ticker", {"symbol": "BTC/USDT"})
LISTING = cache_key("instruments", {"venue": "binance"})


async def test_a_value_is_fresh_for_as_long_as_its_context_says() -> None:
    clock = Time()
    cache = Cache(clock=clock)
    await cache.put(TICKER, {"last": 1.5})
    await cache.put(LISTING, ["BTC/USDT"])
    clock.now += 59.9
    assert await cache.get(TICKER) == ({"last": 1.5}, "memory")
    clock.now += 0.1
    assert await cache.get(TICKER) is None
    clock.now += 3_539.9
    assert await cache.get(LISTING) == (["BTC/USDT"], "memory")


async def test_what_has_no_time_to_live_is_not_kept() -> None:
    cache = Cache()
    await cache.put("book:1", [])
    assert await cache.get("book:1") is None


async def test_memory_is_bounded_and_keeps_what_is_used() -> None:
    cache = Cache(entries=2)
    for name in ("a", "b"):
        await cache.put(f"ticker:{name}", name)
    await cache.get("ticker:a")
    await cache.put("ticker:c", "c")
    assert [await cache.get(f"ticker:{name}") is not None for name in "abc"] == [True, False, True]


async def test_the_store_outlives_the_process_and_fills_the_memory(tmp_path: Path) -> None:
    clock = Time()
    await Cache(LocalStore(tmp_path, clock), clock).put(TICKER, {"last": 1.5})
    clock.now += 40.0
    again = Cache(LocalStore(tmp_path, clock), clock)
    assert await again.get(TICKER) == ({"last": 1.5}, "store")
    assert await again.get(TICKER) == ({"last": 1.5}, "memory")
    clock.now += 20.0
    assert await again.get(TICKER) is None, "its time runs from when it was fetched"


async def test_a_file_of_the_future_is_not_fresh(tmp_path: Path) -> None:
    clock = Time()
    store = LocalStore(tmp_path, clock)
    await store.put(TICKER, 1, 60.0)
    clock.now -= 7_200.0
    assert await store.get(TICKER) is None


async def test_a_damaged_or_foreign_file_is_as_good_as_none(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    await store.put(TICKER, 1, 60.0)
    file = tmp_path / f"{TICKER.replace(':', '/')}.json"
    whole = file.read_bytes()
    for damaged in (b"", whole[:-5], b"\x00\xff", b"{}", whole.replace(b"ticker:", b"ticket:")):
        file.write_bytes(damaged)
        assert await store.get(TICKER) is None
    file.write_bytes(whole)
    assert await store.get(TICKER) is not None


async def test_a_folder_that_cannot_be_used_is_no_error(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    cache = Cache(LocalStore(blocked))
    await cache.put(TICKER, 1)
    assert await cache.get(TICKER) == (1, "memory")


async def test_files_are_bounded(tmp_path: Path) -> None:
    folder = tmp_path / "ticker"
    folder.mkdir()
    for number in range(FILES_OF_CONTEXT):
        (folder / f"{number}.json").touch()
    store = LocalStore(tmp_path)
    await store.put(TICKER, 1, 60.0)
    assert len(list(folder.iterdir())) == FILES_OF_CONTEXT // 2
    assert await store.get(TICKER) is not None


async def test_dropping_a_context_is_told(tmp_path: Path) -> None:
    events: list[ResilienceEvent] = []
    cache = Cache(LocalStore(tmp_path), on_event=events.append)
    await cache.put(TICKER, 1)
    await cache.put(LISTING, 2)
    await cache.invalidate("ticker", "a test")
    assert await cache.get(TICKER) is None
    assert await cache.get(LISTING) is not None
    assert [(event.kind, event.data) for event in events] == [
        ("cache.invalidated", {"context": "ticker", "memory": 1, "store": 1})
    ]
