"""What is hidden in a line leaves the line readable, by people and by machines."""

from __future__ import annotations

import json

import pytest
from pydantic import BaseModel, SecretStr

from infra.secrets import HIDDEN, Mask


@pytest.mark.parametrize(
    ("told", "hidden"),
    [
        ('token="wordOfMouth" was sent', f'token="{HIDDEN}" was sent'),
        ("password='wordOfMouth'", f"password='{HIDDEN}'"),
        ("password=wordOf\\Mouth, user=me", f"password={HIDDEN}, user=me"),
        ("token=\nnone was given", "token=\nnone was given"),
        ('Authorization: "Bearer wordOfMouth"', f'Authorization: "{HIDDEN}"'),
        ('{"x-api-key": "wordOfMouth"}', f'{{"x-api-key": "{HIDDEN}"}}'),
        ('he said "x-api-key: wordOfMouth"', f'he said "x-api-key: {HIDDEN}"'),
    ],
)
def test_a_line_of_json_stays_one(told: str, hidden: str) -> None:
    mask = Mask()
    assert mask.masked(told) == hidden
    assert json.loads(mask.masked(json.dumps({"message": told}))) == {"message": hidden}


def test_of_a_database_address_only_passwords_are_secrets() -> None:
    class Section(BaseModel):
        url: SecretStr

    mask = Mask()
    address = "postgresql://me:wordOfMouth@h/db?sslmode=require&application_name=kandle&sslpassword=another1"
    mask.learn(Section(url=SecretStr(address)))
    line = "kandle-sink: a password is required of wordOfMouth, not another1"
    assert mask.masked(line) == f"kandle-sink: a password is required of {HIDDEN}, not {HIDDEN}"
