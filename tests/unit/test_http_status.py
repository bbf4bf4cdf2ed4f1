"""What an HTTP status means, and how long we are told to wait."""

import email.utils

import pytest

from infra.http_status import error_of, retry_after_s
from schemas.errors import (
    AuthenticationError,
    AuthorizationError,
    ClientError,
    KandleError,
    RateLimitedError,
    ServerError,
)

NOW_S = 1_766_000_000.0


def date(offset_s: float) -> str:
    return email.utils.formatdate(NOW_S + offset_s, usegmt=True)


@pytest.mark.parametrize(
    ("status", "kind", "code", "retriable"),
    [
        (400, ClientError, "CLIENT", False),
        (401, AuthenticationError, "AUTHENTICATION", False),
        (403, AuthorizationError, "AUTHORIZATION", False),
        (404, ClientError, "CLIENT", False),
        (418, RateLimitedError, "RATE_LIMITED", True),
        (429, RateLimitedError, "RATE_LIMITED", True),
        (500, ServerError, "SERVER", True),
        (501, ServerError, "SERVER", False),
        (502, ServerError, "SERVER", True),
        (503, ServerError, "SERVER", True),
        (504, ServerError, "SERVER", True),
        (505, ServerError, "SERVER", False),
    ],
)
def test_each_status_has_its_error(status: int, kind: type[KandleError], code: str, retriable: bool) -> None:
    error = error_of(status, {}, b"", "venue")
    assert type(error) is kind
    assert (error.code, error.retriable, error.context) == (code, retriable, {"status": status})


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"message": "no such pair"}', "no such pair"),
        (b'{"code": -1121, "msg": "Invalid symbol."}', "Invalid symbol."),
        (b'{"label": "INVALID_CURRENCY"}', "INVALID_CURRENCY"),
        (b"<html>\n<h1>Bad   gateway</h1>", "<html> <h1>Bad gateway</h1>"),
        (b'{"other": 1}', '{"other": 1}'),
        (b"[1]", "[1]"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"", "unknown"),
        (b"x" * 5_000, "x" * 200),
    ],
)
def test_the_message_says_what_the_other_side_says(body: bytes, words: str) -> None:
    assert str(error_of(400, {}, body, "https://venue/path")) == f"https://venue/path answers 400: {words}"


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({"retry-after": "17"}, 17.0),
        ({"retry-after": " 0.5 "}, 0.5),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": date(90)}, 90.0),
        ({"retry-after": date(-90)}, 0.0),
        ({"retry-after": date(90), "date": date(60)}, 30.0),
        ({"retry-after": "9" * 12}, 259_200.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "\u0661"}, None),
        ({"retry-after": "3", "x-gate-ratelimit-reset-timestamp": str(int(NOW_S) + 7)}, 3.0),
        ({"x-gate-ratelimit-reset-timestamp": str(int(NOW_S) + 7)}, 7.0),
        ({}, None),
    ],
)
def test_how_long_to_wait_is_a_number_or_a_date(headers: dict[str, str], wait_s: float | None) -> None:
    assert retry_after_s(headers, NOW_S) == wait_s


def test_the_end_of_a_wait_is_told() -> None:
    error = error_of(429, {"retry-after": "17"}, b"", "venue", NOW_S)
    assert isinstance(error, RateLimitedError)
    assert (error.wait_s, error.reset_at, error.banned) == (17.0, int((NOW_S + 17) * 1e6), False)


@pytest.mark.parametrize(("status", "wait_s"), [(429, 60.0), (418, 120.0)])
def test_who_does_not_say_how_long_means_long(status: int, wait_s: float) -> None:
    error = error_of(status, {}, b"", "venue")
    assert isinstance(error, RateLimitedError)
    assert (error.wait_s, error.banned) == (wait_s, status == 418)
