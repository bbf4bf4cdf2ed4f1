"""Settings that name what does not exist are refused before anything starts."""

from typing import Any

import pytest

from infra.settings import load
from kandle.preflight import check
from schemas.errors import ConfigurationError


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"processors": {"intervals": ["1x"]}}, "1x"),
        ({"processors": {"indicators": ["sma(0)"]}}, "sma"),
        ({"processors": {"indicators": ["nothing(3)"]}}, "nothing"),
        ({"processors": {"signals": ["moving_average_crossover(30,10)"]}}, "fast < slow"),
        ({"processors": {"signals": ["volume_spike@4h"]}}, "no candles of 4h are built"),
        ({"processors": {"plugins": ["no_such_module"]}}, "there is no such module"),
        ({"producer": {"history": ["2m:500"]}}, "INTERVAL:COUNT"),
        ({"database": {"url": "notaurl"}}, "DATABASE_URL"),
        ({"notifications": {"rules": [{"name": "a", "urls": ["nosuch://x"]}]}}, "'a' has a URL of kind"),
        ({"notifications": {"rules": [{"name": "a"}]}}, "names no channel"),
        ({"notifications": {"rules": [{"name": "a", "channels": ["desk"]}]}}, "the channel 'desk'"),
        ({"notifications": {"channels": {"desk": {"url": "nosuch://x"}}}}, "'desk' has a URL of kind"),
        (
            {"notifications": {"rules": [{"name": "a", "urls": ["json://h"], "type": "signals"}]}},
            "type 'signals'; types are account_balance",
        ),
        ({"notifications": {"templates": "no/such/folder"}}, "not a folder"),
    ],
    ids=lambda value: "" if isinstance(value, str) else str(value),
)
def test_what_is_not_there_is_named(sections: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        check(load(**sections))


def test_the_defaults_hold() -> None:
    check(load())
