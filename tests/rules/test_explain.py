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


BOUGHT = {"then": {"did": "purchase"}, "then_not": {"did": "visit", "within": "1 day"}}


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"did": "visit", **BOUGHT}, "Customers who did visit and then did purchase later, and after the same visit did not do visit within 1 day (once that time is over)."),
        ({"did": "visit", "times": {"at_least": "2"}, **BOUGHT}, "Customers whose number of visit events followed by purchase later and not followed by visit within 1 day (once that time is over) is at least 2."),
        ({"did": "visit", "last": {"before": "7 days ago"}, "then": {"did": "purchase", "within": "2 hours"}}, "Customers whose last visit followed by purchase within 2 hours is before 7 days ago."),
        ({"did": "visit", "then_not": {"did": "purchase"}}, "Customers who did visit and then did not do purchase later."),
        ({"did": "purchase", "within": "1 day", "where": {"amount": {"at_least": "3"}}}, "Customers who did purchase with an amount that is at least 3 within the last day."),
        ({"did": "purchase", "within": "11 days", "where": {"title": "3"}}, "Customers who did purchase with a title that is “3” within the last 11 days."),
        ({"rfm": "purchase", "money": "amount", "within": "365 days", "total": {"at_least": "9"}}, "Customers whose total score is at least 9 by purchase within the last 365 days with its amount as money."),
    ],
)  # fmt: skip
def test_it_reads_one_way(rule: dict[str, Any], expected: str) -> None:
    """What must follow follows the first event, not the one before it; what must not is told when its time is over."""
    assert told(rule) == expected
