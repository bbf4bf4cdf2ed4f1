"""What the headers of venues say of their budgets."""

import pytest

from producers.rest_budget import Budget, budget_of

NOW_S = 1_766_000_040.0 + 40
"""Twenty seconds before a minute ends."""


@pytest.mark.parametrize(
    ("headers", "budget"),
    [
        ({"x-mbx-used-weight-1m": "250"}, Budget(5_750, 20)),
        ({"x-mbx-used-weight-1m": "6100"}, Budget(-100, 20)),
        (
            {
                "x-gate-ratelimit-requests-remain": "180",
                "x-gate-ratelimit-limit": "200",
                "x-gate-ratelimit-reset-timestamp": str(int(NOW_S) + 7),
            },
            Budget(180, 7),
        ),
        ({"x-gate-ratelimit-requests-remain": "0", "x-gate-ratelimit-reset-timestamp": "1"}, Budget(0, 0)),
        ({"x-gate-ratelimit-requests-remain": "180"}, None),
        ({"x-mbx-used-weight-1m": "many"}, None),
        ({"x-mbx-used-weight-1m": "-1"}, None),
        ({}, None),
    ],
)
def test_a_budget_is_read_from_headers(headers: dict[str, str], budget: Budget | None) -> None:
    assert (NOW_S % 60, budget_of(headers, 6_000, NOW_S)) == (40, budget)
