"""Frames of MEXC's futures for tests."""

import json
from typing import Any

import msgspec
import pytest

from producers.exchange import BadRecord, Control
from producers.exchanges.mexc.futures import MexcFutures
from schemas.records import (
    Instrument,
)

RECEIVED = 1_755_487_578_300_000
BTC = "BTC/USDT:USDT"

DEAL = {
    "p": 115309.8,
    "v": 55,
    "T": 2,
    "O": 3,
    "M": 1,
    "t": 1755487578276,
    "i": "13064218826",
    "cts": "1755487578276",
}
DEPTH = {"asks": [[6859.5, 3251, 1]], "bids": [[6858.5, 42, 7]], "cts": 1587442021983, "version": 96801927}
FULL = {"asks": [[31708.5, 74950, 2], [31709, 8817, 2]], "bids": [[31708, 3210, 1]], "version": 5194972869}
DAY = {
    "amount24": 898120149.6331,
    "ask1": 29911.5,
    "bid1": 29911,
    "contractId": 10,
    "fairPrice": 29911.1,
    "fundingRate": 7.2e-05,
    "high24Price": 31905.5,
    "holdVol": 12357864,
    "indexPrice": 29926.9,
    "lastPrice": 29911.5,
    "lower24Price": 29316,
    "riseFallRate": -0.0275,
    "riseFallValue": -846,
    "symbol": "BTC_USDT",
    "timestamp": 1654165943014,
    "volume24": 295146577,
}
CANDLE = {
    "a": 99371.3865,
    "c": 31575,
    "h": 31585.5,
    "interval": "Min1",
    "l": 31574.5,
    "o": 31576,
    "q": 31468,
    "symbol": "BTC_USDT",
    "t": 1654083480,
}


def instrument(name: str, contract_size: float) -> Instrument:
    found = MexcFutures.guess(name)
    assert found is not None
    return msgspec.structs.replace(found, multiplier=contract_size)


def frame(subject: str, data: Any, symbol: str = "BTC_USDT", ts: Any = 1755487578276) -> bytes:
    push = {"channel": f"push.{subject}", "data": data, "symbol": symbol, "ts": ts}
    return json.dumps(push, separators=(",", ":")).encode()


def written(**numbers: str) -> bytes:
    """A trade whose numbers stand in the frame as given here."""
    data = frame("deal", [DEAL | dict.fromkeys(numbers, "?")])
    for name, number in numbers.items():
        data = data.replace(f'"{name}":"?"'.encode(), f'"{name}":{number}'.encode())
    return data


def reason(exchange: MexcFutures, data: bytes) -> str:
    with pytest.raises(BadRecord) as caught:
        exchange.parse(data, RECEIVED)
    return caught.value.reason


# channels


def answer(exchange: MexcFutures, channel: str, words: str) -> Control | None:
    data = json.dumps({"channel": channel, "data": words, "ts": "1587442022003"}).encode()
    controls = exchange.parse(data, RECEIVED)
    assert len(controls) <= 1
    return controls[0] if controls and isinstance(controls[0], Control) else None
