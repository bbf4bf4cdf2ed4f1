"""Secrets of addresses, in whichever form a library writes them."""

from __future__ import annotations

import pytest

from infra.secrets import HIDDEN, Mask

URL = "jsons://user:p%40ss/word1@hook.example.com/way%2Fin?token=ab%2Fcdefgh&plus=one+two"


@pytest.mark.parametrize(
    "secret",
    ["p%40ss", "way%2Fin", "way/in", "ab%2Fcdefgh", "ab/cdefgh", "one+two", "one two", "one%20two"],
)
def test_a_secret_is_hidden_as_it_came_as_it_is_meant_and_as_libraries_write_it(secret: str) -> None:
    mask = Mask()
    mask.hide(URL.replace("/word1", ""))
    assert mask.masked(f"no answer from {secret} in time") == f"no answer from {HIDDEN} in time"
