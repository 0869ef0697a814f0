"""A time on the command line is read as one in the rules."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from engine.cli.app import moment, present
from engine.errors import RegularsError

HELSINKI = ZoneInfo("Europe/Helsinki")


@pytest.mark.parametrize(
    ("written", "means"),
    [
        ("2026-11-26", datetime(2026, 11, 25, 22, tzinfo=UTC)),
        ("2026-11-26T10:00", datetime(2026, 11, 26, 8, tzinfo=UTC)),
        ("2026-11-26 10:00", datetime(2026, 11, 26, 8, tzinfo=UTC)),
        ("2026-11-26T10:00Z", datetime(2026, 11, 26, 10, tzinfo=UTC)),
        ("2026-11-26T10:00+05:30", datetime(2026, 11, 26, 4, 30, tzinfo=UTC)),
        (
            "2026-03-29T03:30",
            datetime(2026, 3, 29, 1, tzinfo=UTC),
        ),  # this hour does not exist: the first instant after it
        ("2026-10-25T03:30", datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),  # it comes twice: the first
    ],
)
def test_without_an_offset_it_is_the_workspaces_clock(written: str, means: datetime) -> None:
    """A date alone is the start of its day there."""
    assert moment(written, HELSINKI) == means


def test_it_may_be_counted_from_the_present() -> None:
    """As in the rules; without any, it is the present."""
    assert abs(moment("90 days ago", HELSINKI) - (present() - timedelta(days=90))) < timedelta(minutes=1)
    assert abs(moment(None, HELSINKI) - present()) < timedelta(minutes=1)


@pytest.mark.parametrize("written", ["", "tomorrow", "26.11.2026", "2026-13-01", "10:00", "0001-01-01", "3 months ago"])
def test_what_is_no_time_is_refused_with_an_example(written: str) -> None:
    """Under the option's name."""
    with pytest.raises(RegularsError, match=r"^--since: ") as caught:
        moment(written, HELSINKI, option="--since")
    assert any(word in str(caught.value) for word in ("is written", "the year must lie", "90 days"))
