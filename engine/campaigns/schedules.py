"""When a campaign is due: its schedule's occurrences, over clock changes and outages. Pure: nothing here reads a clock.

Rules for clock changes. A cron with a fixed hour and minute (`0 10 * * mon`) names a time on the wall: where the clock
skips it, it comes once, at the first instant after the gap; where the clock shows it twice, once, at the first of the
two. A cron with `*` in its hour or minute, and `every`, count real time: nothing is skipped, nothing is merged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from itertools import takewhile
from zoneinfo import ZoneInfo

from cronsim import CronSim

from engine.rules.campaign import CatchUp, Schedule
from engine.scalars import first_instant

ON_TIME = timedelta(minutes=1)
"""What `catch_up: none` still takes for the present."""

_LONGEST_JUMP = timedelta(days=2)
"""More than any clock was ever set forward: Samoa left out a whole day in 2011."""

_LONGEST_REPEAT = timedelta(hours=3)
"""More than any clock is ever set back."""

_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Occurrence:
    """One time that a schedule comes round. `nominal_at` is when (UTC); `key` is its name for ever.

    The key is the local wall time where the schedule names one, so that an occurrence stays the same through clock
    changes and a change of the zone's rules; else the time in UTC.
    """

    key: str
    nominal_at: datetime


def occurrences(schedule: Schedule, *, after: datetime, until: datetime) -> Iterator[Occurrence]:
    """The occurrences with `after` < nominal_at <= `until`, in order."""
    return takewhile(lambda occurrence: occurrence.nominal_at <= until, _from(schedule, after))


def next_occurrence(schedule: Schedule, *, after: datetime) -> Occurrence | None:
    """The first occurrence later than `after`; None where there is none."""
    return next(_from(schedule, after), None)


def due(
    schedule: Schedule, catch_up: CatchUp, max_lateness: timedelta, *, since: datetime, now: datetime
) -> list[Occurrence]:
    """What is to be launched at `now`, when everything up to `since` has been. Missed ones as `catch_up` says.

    latest: the newest alone, unless it is later than `max_lateness`. all: every one that is not. none: what is due within
    this minute.
    """
    patience = min(ON_TIME, max_lateness) if catch_up is CatchUp.NONE else max_lateness
    found = list(occurrences(schedule, after=max(since, now - patience - _INSTANT), until=now))
    return found[-1:] if catch_up is CatchUp.LATEST else found


def _from(schedule: Schedule, after: datetime) -> Iterator[Occurrence]:
    """Every occurrence later than `after`, within the schedule's own bounds."""
    rhythm: Callable[[Schedule, datetime], Iterator[Occurrence]]
    if schedule.cron is not None:
        rhythm = _wall_cron if _names_a_time(schedule.cron) else _running_cron
    elif schedule.every is not None:
        rhythm = _every
    else:
        rhythm = _once
    last = first_instant(schedule.until, schedule.time_zone) if schedule.until else None
    for occurrence in rhythm(schedule, after.astimezone(UTC)):
        if last is not None and occurrence.nominal_at > last:
            return
        if occurrence.nominal_at > after:
            yield occurrence


def _names_a_time(cron: str) -> bool:
    minute, hour, *_ = cron.split()
    return not minute.startswith("*") and not hour.startswith("*")


def _wall_cron(schedule: Schedule, after: datetime) -> Iterator[Occurrence]:
    """Walks the wall clock, which knows no changes, and then asks when each time is."""
    assert schedule.cron is not None
    wall = after.astimezone(schedule.time_zone).replace(tzinfo=None) - _LONGEST_JUMP
    if schedule.start:
        wall = max(wall, schedule.start - _INSTANT)
    for time in CronSim(schedule.cron, wall):
        yield Occurrence(key=_written(time), nominal_at=first_instant(time, schedule.time_zone))


def _running_cron(schedule: Schedule, after: datetime) -> Iterator[Occurrence]:
    """Walks the wall clock, too (cronsim's own walk through a zone loses times at half-hour changes), and takes each time
    as often as the clock shows it. Times shown twice wait until the clock has been set back.
    """
    assert schedule.cron is not None
    begin = after
    if schedule.start:
        begin = max(begin, first_instant(schedule.start, schedule.time_zone) - _INSTANT)
    shown: list[datetime] = []
    wall = begin.astimezone(schedule.time_zone).replace(tzinfo=None) - _LONGEST_REPEAT
    for time in CronSim(schedule.cron, wall):
        passed = first_instant(time, schedule.time_zone)
        while shown and shown[0] < passed:
            yield _in_utc(heappop(shown))
        for at in _instants(time, schedule.time_zone):
            if at > begin:
                heappush(shown, at)
    yield from (_in_utc(at) for at in sorted(shown))


def _instants(wall: datetime, zone: ZoneInfo) -> set[datetime]:
    """When the clock shows this time: never, once or twice."""
    either = {wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)}
    return {at for at in either if at.astimezone(zone).replace(tzinfo=None) == wall}


def _every(schedule: Schedule, after: datetime) -> Iterator[Occurrence]:
    assert schedule.every is not None and schedule.start is not None
    anchor = first_instant(schedule.start, schedule.time_zone)
    count = max(0, (after - anchor) // schedule.every)
    while True:
        yield _in_utc(anchor + count * schedule.every)
        count += 1


def _once(schedule: Schedule, _after: datetime) -> Iterator[Occurrence]:
    assert schedule.at is not None
    yield Occurrence(key=_written(schedule.at), nominal_at=first_instant(schedule.at, schedule.time_zone))


def _in_utc(time: datetime) -> Occurrence:
    at = time.astimezone(UTC)
    return Occurrence(key=f"{_written(at.replace(tzinfo=None))}Z", nominal_at=at)


def _written(wall: datetime) -> str:
    return wall.isoformat(timespec="minutes" if wall.second == 0 else "seconds")


__all__ = ["Occurrence", "Schedule", "due", "next_occurrence", "occurrences"]
