"""Schedules come when the clock on the wall says so, once each, through clock changes, leap days and outages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from engine.campaigns.schedules import Occurrence, due, next_occurrence, occurrences
from engine.rules.campaign import CatchUp, Schedule, cron_of

HELSINKI, NEW_YORK, LORD_HOWE = "Europe/Helsinki", "America/New_York", "Australia/Lord_Howe"


def schedule(time_zone: str = "UTC", **keys: Any) -> Schedule:
    return Schedule.model_validate({"time_zone": time_zone, **keys})


def utc(written: str) -> datetime:
    return datetime.fromisoformat(written).replace(tzinfo=UTC)


def when(one: Schedule, after: str, until: str) -> list[str]:
    """Occurrences as `key @ instant`."""
    found = occurrences(one, after=utc(after), until=utc(until))
    return [f"{each.key} @ {each.nominal_at:%Y-%m-%dT%H:%M}" for each in found]


@pytest.mark.parametrize(
    ("zone", "cron", "after", "until", "expected"),
    [
        # Helsinki skips 03:00-04:00 on 2026-03-29 and repeats 03:00-04:00 on 2026-10-25
        (HELSINKI, "30 3 * * *", "2026-03-27T12:00", "2026-03-30T12:00",
         ["2026-03-28T03:30 @ 2026-03-28T01:30", "2026-03-29T03:30 @ 2026-03-29T01:00", "2026-03-30T03:30 @ 2026-03-30T00:30"]),
        (HELSINKI, "30 3 * * *", "2026-10-24T12:00", "2026-10-26T12:00",
         ["2026-10-25T03:30 @ 2026-10-25T00:30", "2026-10-26T03:30 @ 2026-10-26T01:30"]),
        (HELSINKI, "0 10 * * mon", "2026-03-22T00:00", "2026-04-01T00:00",
         ["2026-03-23T10:00 @ 2026-03-23T08:00", "2026-03-30T10:00 @ 2026-03-30T07:00"]),
        (HELSINKI, "0 3,4 * * *", "2026-03-28T12:00", "2026-03-29T12:00",
         ["2026-03-29T03:00 @ 2026-03-29T01:00", "2026-03-29T04:00 @ 2026-03-29T01:00"]),
        # every hour counts real hours: 23 of them in spring, 25 in autumn
        (HELSINKI, "0 * * * *", "2026-03-29T00:00", "2026-03-29T03:00",
         ["2026-03-29T01:00Z @ 2026-03-29T01:00", "2026-03-29T02:00Z @ 2026-03-29T02:00", "2026-03-29T03:00Z @ 2026-03-29T03:00"]),
        (HELSINKI, "*/30 3 * * *", "2026-10-24T12:00", "2026-10-25T12:00",
         ["2026-10-25T00:00Z @ 2026-10-25T00:00", "2026-10-25T00:30Z @ 2026-10-25T00:30",
          "2026-10-25T01:00Z @ 2026-10-25T01:00", "2026-10-25T01:30Z @ 2026-10-25T01:30"]),
        (HELSINKI, "*/30 3 * * *", "2026-03-28T12:00", "2026-03-29T12:00", []),
        # New York skips 02:00-03:00 on 2026-03-08 and repeats 01:00-02:00 on 2026-11-01
        (NEW_YORK, "15 2 * * *", "2026-03-07T12:00", "2026-03-09T12:00",
         ["2026-03-08T02:15 @ 2026-03-08T07:00", "2026-03-09T02:15 @ 2026-03-09T06:15"]),
        (NEW_YORK, "15 1 * * *", "2026-10-31T12:00", "2026-11-02T12:00",
         ["2026-11-01T01:15 @ 2026-11-01T05:15", "2026-11-02T01:15 @ 2026-11-02T06:15"]),
        # Lord Howe changes by half an hour: skips 02:00-02:30 on 2026-10-04, repeats 01:30-02:00 on 2026-04-05
        (LORD_HOWE, "15 2 * * *", "2026-10-03T00:00", "2026-10-04T12:00",
         ["2026-10-04T02:15 @ 2026-10-03T15:30"]),
        (LORD_HOWE, "45 1 * * *", "2026-04-04T00:00", "2026-04-05T12:00",
         ["2026-04-05T01:45 @ 2026-04-04T14:45"]),
        (LORD_HOWE, "45 * * * *", "2026-04-04T14:00", "2026-04-04T16:30",
         ["2026-04-04T14:45Z @ 2026-04-04T14:45", "2026-04-04T15:15Z @ 2026-04-04T15:15", "2026-04-04T16:15Z @ 2026-04-04T16:15"]),
        # a leap day, and the last day of a month
        ("UTC", "0 9 29 2 *", "2026-01-01T00:00", "2033-01-01T00:00", ["2028-02-29T09:00 @ 2028-02-29T09:00", "2032-02-29T09:00 @ 2032-02-29T09:00"]),
        ("UTC", "0 9 L * *", "2028-02-01T00:00", "2028-04-01T00:00", ["2028-02-29T09:00 @ 2028-02-29T09:00", "2028-03-31T09:00 @ 2028-03-31T09:00"]),
        # Samoa left out 2011-12-30
        ("Pacific/Apia", "0 9 * * *", "2011-12-29T12:00", "2011-12-31T12:00",
         ["2011-12-29T09:00 @ 2011-12-29T19:00", "2011-12-30T09:00 @ 2011-12-30T10:00", "2011-12-31T09:00 @ 2011-12-30T19:00"]),
    ],
)  # fmt: skip
def test_clock_changes(zone: str, cron: str, after: str, until: str, expected: list[str]) -> None:
    """A named time comes once: after the gap where it is skipped, the first time where it is repeated. Real time goes on."""
    assert when(schedule(zone, cron=cron), after, until) == expected


def test_bounds_are_open_at_the_start_and_closed_at_the_end() -> None:
    """Two spans that meet share no occurrence and lose none."""
    daily = schedule(cron="0 9 * * *")
    assert when(daily, "2026-01-01T09:00", "2026-01-02T09:00") == ["2026-01-02T09:00 @ 2026-01-02T09:00"]


def test_from_and_until_bound_a_cron() -> None:
    """`from` and `until` are wall times, both included."""
    one = schedule(HELSINKI, cron="0 9 * * *", **{"from": "2026-06-02T09:00", "until": "2026-06-03T09:00"})
    assert when(one, "2026-01-01T00:00", "2027-01-01T00:00") == [
        "2026-06-02T09:00 @ 2026-06-02T06:00",
        "2026-06-03T09:00 @ 2026-06-03T06:00",
    ]
    running = schedule(HELSINKI, cron="0 * * * *", **{"from": "2026-06-02T09:00", "until": "2026-06-02T10:00"})
    assert when(running, "2026-01-01T00:00", "2027-01-01T00:00") == [
        "2026-06-02T06:00Z @ 2026-06-02T06:00",
        "2026-06-02T07:00Z @ 2026-06-02T07:00",
    ]


def test_every_counts_real_time_from_its_anchor() -> None:
    """An interval is as long in the week of a clock change as in any other; nothing comes before the anchor."""
    one = schedule(HELSINKI, every="1 day", **{"from": "2026-03-28T09:00"})
    assert when(one, "2026-03-01T00:00", "2026-03-30T12:00") == [
        "2026-03-28T07:00Z @ 2026-03-28T07:00",
        "2026-03-29T07:00Z @ 2026-03-29T07:00",
        "2026-03-30T07:00Z @ 2026-03-30T07:00",
    ]
    far = next_occurrence(one, after=utc("2126-01-01T07:00"))
    assert far == Occurrence(key="2126-01-02T07:00Z", nominal_at=utc("2126-01-02T07:00"))


def test_at_comes_once() -> None:
    """A single time comes at that time and never again; in a gap, just after it."""
    one = schedule(HELSINKI, at="2026-03-29T03:30")
    assert when(one, "2020-01-01T00:00", "2030-01-01T00:00") == ["2026-03-29T03:30 @ 2026-03-29T01:00"]
    assert next_occurrence(one, after=utc("2026-03-29T01:00")) is None


CRONS = (
    "0 * * * *",
    "*/20 * * * *",
    "45 */2 * * *",
    "30 3 * * *",
    "15 1,2 * * *",
    "*/30 1-3 * * *",
    "0 0 1 * *",
    "10 2 * * sun",
)


@settings(max_examples=60, deadline=None)
@given(
    zone=st.sampled_from([HELSINKI, NEW_YORK, LORD_HOWE, "UTC", "Africa/Cairo", "Asia/Kathmandu"]),
    cron=st.sampled_from(CRONS),
    start=st.integers(0, 330).map(lambda day: utc("2026-01-01T00:00") + timedelta(days=day, minutes=7 * day)),
    cuts=st.lists(st.integers(0, 40 * 24 * 60), min_size=1, max_size=6),
)
def test_a_daemon_that_looks_at_any_times_launches_each_occurrence_once(
    zone: str, cron: str, start: datetime, cuts: list[int]
) -> None:
    """However time is cut into spans, together they hold the same occurrences, in order, and no key comes twice."""
    one, begin = schedule(zone, cron=cron), start
    marks = sorted({begin + timedelta(minutes=cut) for cut in cuts} | {begin, begin + timedelta(days=40)})
    whole = list(occurrences(one, after=marks[0], until=marks[-1]))
    parts = [each for a, b in pairwise(marks) for each in occurrences(one, after=a, until=b)]
    assert parts == whole
    assert len({each.key for each in whole}) == len(whole)
    assert [each.nominal_at for each in whole] == sorted(each.nominal_at for each in whole)
    assert next_occurrence(one, after=marks[0]) == (whole[0] if whole else next_occurrence(one, after=marks[-1]))


@pytest.mark.parametrize(
    ("catch_up", "lateness", "now", "expected"),
    [
        (CatchUp.LATEST, timedelta(hours=6), "2026-01-05T10:00", ["2026-01-05T09:00"]),
        (CatchUp.LATEST, timedelta(hours=6), "2026-01-05T15:00", ["2026-01-05T09:00"]),
        (CatchUp.LATEST, timedelta(hours=6), "2026-01-05T15:01", []),
        (
            CatchUp.ALL,
            timedelta(days=2),
            "2026-01-05T09:00",
            ["2026-01-03T09:00", "2026-01-04T09:00", "2026-01-05T09:00"],
        ),
        (
            CatchUp.ALL,
            timedelta(days=90),
            "2026-01-04T10:00",
            ["2026-01-02T09:00", "2026-01-03T09:00", "2026-01-04T09:00"],
        ),
        (CatchUp.NONE, timedelta(hours=6), "2026-01-05T09:01", ["2026-01-05T09:00"]),
        (CatchUp.NONE, timedelta(hours=6), "2026-01-05T09:02", []),
    ],
)
def test_what_was_missed_is_made_up_for_as_the_campaign_says(
    catch_up: CatchUp, lateness: timedelta, now: str, expected: list[str]
) -> None:
    """After an outage: the newest alone, all, or none; and nothing that has become too late."""
    daily = schedule(cron="0 9 * * *")
    found = due(daily, catch_up, lateness, since=utc("2026-01-01T09:00"), now=utc(now))
    assert [each.key for each in found] == expected


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("0 25 * * *", r"hour \(0-23\) cannot be read"),
        ("60 1 * * *", "minute"),
        ("0 1 32 * *", "day of the month"),
        ("0 1 * 13 *", "month"),
        ("0 1 * * funday", "day of the week"),
        ("0 1 * *", "five fields"),
        ("0 0 1 * * *", "five fields"),
        ("0 0 30 2 *", "never comes"),
        ("0 0 31 4,6 *", "never comes"),
    ],
)
def test_a_wrong_cron_is_told_by_its_field(written: str, told: str) -> None:
    """Whoever wrote it learns which of the five fields is wrong."""
    with pytest.raises(ValueError, match=told):
        cron_of(written)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="0123456789*/,-#LWmonfebsat ", max_size=20))
def test_no_text_breaks_the_reading_of_a_cron(written: str) -> None:
    """Any text is either a cron that comes, or refused with a reason."""
    try:
        read = cron_of(written)
    except ValueError:
        return
    assert next_occurrence(schedule(HELSINKI, cron=read), after=utc("2026-01-01T00:00")) is not None


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({}, "exactly one of"),
        ({"cron": "0 9 * * *", "at": "2026-01-01"}, "exactly one of"),
        ({"every": "1 day"}, "add `from"),
        ({"every": "5 seconds", "from": "2026-01-01"}, "at most once a minute"),
        ({"at": "2026-01-01", "until": "2026-02-01"}, "happens once"),
        ({"cron": "0 9 * * *", "from": "2026-02-01", "until": "2026-01-01"}, "before its `from`"),
        ({"at": "2026-01-01T09:00+02:00"}, "leave the offset out"),
    ],
)
def test_a_schedule_that_makes_no_sense_is_refused(keys: dict[str, str], told: str) -> None:
    """Each with its reason."""
    with pytest.raises(ValidationError, match=told):
        schedule(**keys)
