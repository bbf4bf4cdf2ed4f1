"""Binance's protocol from the server's side: paths, subscriptions, answers."""

import json

import pytest

from producers.simulator.client import ClientProtocol, combined


@pytest.mark.parametrize(
    ("path", "is_combined", "streams"),
    [
        ("/ws", False, []),
        ("/ws/btcusdt@trade", False, ["btcusdt@trade"]),
        ("/ws/a@trade/b@trade", False, ["a@trade", "b@trade"]),
        ("/stream", True, []),
        ("/stream?streams=a@trade/b@bookTicker", True, ["a@trade", "b@bookTicker"]),
        ("/ws/btcusdt@trade?timeUnit=MICROSECOND", False, ["btcusdt@trade"]),
    ],
)
def test_the_path_decides_form_and_streams(path: str, is_combined: bool, streams: list[str]) -> None:
    client = ClientProtocol(path)
    assert (client.combined, list(client.streams)) == (is_combined, streams)


@pytest.mark.parametrize("path", ["/", "/wsx", "/api/v3/ping"])
def test_other_paths_do_not_exist(path: str) -> None:
    with pytest.raises(ValueError, match="expected a path"):
        ClientProtocol(path)


def test_streams_are_subscribed_listed_and_dropped() -> None:
    client = ClientProtocol("/stream")
    ask = '{"method":"SUBSCRIBE","params":["a@trade","b@trade"],"id":1}'
    assert json.loads(client.answer(ask)) == {"result": None, "id": 1}
    assert json.loads(client.answer('{"method":"UNSUBSCRIBE","params":["a@trade"],"id":2}'))["id"] == 2
    assert json.loads(client.answer('{"method":"LIST_SUBSCRIPTIONS","id":3}')) == {
        "result": ["b@trade"],
        "id": 3,
    }


@pytest.mark.parametrize(
    ("message", "code", "number"),
    [
        ("nonsense", 3, None),
        ('{"params":[]}', 2, None),
        ('{"method":"NOTHING","id":4}', 2, 4),
        ('{"method":"SUBSCRIBE","params":[1],"id":5}', 2, 5),
        ("[]", 2, None),
    ],
)
def test_wrong_requests_are_answered_with_an_error(message: str, code: int, number: int | None) -> None:
    answer = json.loads(ClientProtocol("/ws").answer(message))
    assert (answer["error"]["code"], answer["id"]) == (code, number)


def test_a_combined_frame_names_its_stream() -> None:
    assert combined("a@trade", b'{"x":1}') == b'{"stream":"a@trade","data":{"x":1}}'
