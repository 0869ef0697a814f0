"""A condition as a sentence: it says what the rule says, as the shop would say it."""

from __future__ import annotations

from typing import Any

import pytest

from engine.rules.explain import sentence
from tests.rules.agreeing import read


def told(rule: dict[str, Any]) -> str:
    return sentence(read(rule))


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"did": "purchase", "since": "2026-10-01"}, "Customers who did purchase since 2026-10-01."),
        ({"created_at": {"before": "2026-07-15T00:00"}}, "Customers whose created_at is before 2026-07-15."),
        ({"created_at": {"before": "2026-07-15T10:30:05"}}, "Customers whose created_at is before 2026-07-15 10:30:05."),
        ({"did": "visit", "between": ["2026-10-01", "2026-10-31"]}, "Customers who did visit between 2026-10-01 and 2026-10-31."),
        ({"created_at": {"between": ["2026-10-01T00:00", "2026-10-31T00:00"]}}, "Customers whose created_at lies between 2026-10-01 and 2026-10-31 00:00."),
        ({"created_at": {"after": "2026-10-31"}}, "Customers whose created_at is after 2026-10-31."),
        ({"did": "visit", "before": "2026-07-15T10:00Z"}, "Customers who did visit before 2026-07-15 13:00."),
    ],
)  # fmt: skip
def test_times_are_told_by_the_shops_clock(rule: dict[str, Any], expected: str) -> None:
    """Not in UTC, where midnight in Helsinki is the evening before; a day is told as a day."""
    assert told(rule) == expected
