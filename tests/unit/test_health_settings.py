"""Bounds of the settings of the monitor."""

import pytest
from pydantic import ValidationError

from infra.settings import HealthSettings


@pytest.mark.parametrize(
    "wrong",
    [{"every_s": 0.5}, {"every_s": 3_601}, {"timeout_s": 0.1}, {"timeout_s": 61}, {"disk_free_mb": 0}],
)
def test_what_is_out_of_bounds_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        HealthSettings(**wrong)


def test_a_check_ends_before_the_next() -> None:
    with pytest.raises(ValidationError, match="a check ends before the next"):
        HealthSettings(every_s=5, timeout_s=6)
    assert HealthSettings(every_s=5).limit_s == 5
    assert HealthSettings().limit_s == 10
