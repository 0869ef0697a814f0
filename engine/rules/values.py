"""One written value and its type: numbers, dates, `90 days ago`. Raises ValueError in the words of whoever wrote it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from types import MappingProxyType
from zoneinfo import ZoneInfo

from engine.model import AttributeType
from engine.rules.syntax import Ago, At, Moment, Value
from engine.scalars import duration, first_instant, in_days

LONGEST = timedelta(days=36_525)
"""A hundred years: as far back as a rule may look."""

FARTHEST = timedelta(days=92)
"""As far ahead as one may ask for anniversaries."""

_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,6})?")
_LONG_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_AGO = re.compile(r"(.+\S)\s+ago")
_AHEAD = re.compile(r"in\s+(\S.+)")
_BOOLEANS: Mapping[str, bool] = MappingProxyType({"true": True, "yes": True, "false": False, "no": False})


def span(written: str) -> timedelta:
    """A duration of a rule: more than nothing, at most a hundred years."""
    length = duration(written)
    if not timedelta() < length <= LONGEST:
        raise ValueError("a duration is longer than nothing and at most a hundred years")
    return length


def text(written: str) -> str:
    if "\0" in written:
        raise ValueError("a text cannot hold the character NUL")
    return written


def number(written: str) -> Decimal:
    if _NUMBER.fullmatch(written):
        return Decimal(written)
    if _LONG_NUMBER.fullmatch(written):
        raise ValueError("a number has at most 15 digits before the point and 6 after it")
    raise ValueError("a number is written 1000 or 12.50: a point, no thousands separators, nothing around it")


def whole(written: str) -> Decimal:
    """How many times: 0, 1, 2…"""
    value = number(written)
    if value < 0 or value != int(value):
        raise ValueError("a count is a whole number, like 0, 1 or 2")
    return value


def step(written: str) -> Decimal:
    """What something is a multiple of: 1, 2, 3…"""
    value = number(written)
    if value < 1 or value != int(value):
        raise ValueError("write a step in whole numbers, like 5 or 100")
    return value


def boolean(written: str) -> bool:
    if written.lower() not in _BOOLEANS:
        raise ValueError("write true or false")
    return _BOOLEANS[written.lower()]


def _not_ago(written: str) -> None:
    """A duration alone says neither back nor forth."""
    try:
        duration(written)
    except ValueError:
        return
    raise ValueError(f'say how long ago: "{written} ago", or how far ahead: "in {written}"')


def _counted(written: str) -> Ago | None:
    """`90 days ago`, `in 30 days`."""
    if ago := _AGO.fullmatch(written):
        return Ago(span=_counted_span(ago[1], "{} ago"))
    if ahead := _AHEAD.fullmatch(written):
        return Ago(span=-_counted_span(ahead[1], "in {}"))
    return None


def _counted_span(written: str, around: str) -> timedelta:
    if instead := in_days(written):
        raise ValueError(f'months and years have no fixed length: write days, like "{around.format(instead)}"')
    return span(written)


def days_ahead(written: str) -> timedelta:
    """How far ahead an anniversary lies: from today on, at most a quarter of a year."""
    if written in ("today", "0 days"):
        return timedelta()
    ahead = span(written)
    if ahead % timedelta(days=1) or ahead > FARTHEST:
        raise ValueError(f"an anniversary lies whole days ahead, at most {FARTHEST.days}; today is 0 days")
    return ahead


def in_percent(written: str) -> Decimal:
    """`5 %` or `5`."""
    return number(written.removesuffix("%").rstrip())


def percent(written: str) -> Decimal:
    """`5 %` or `5`: more than nothing, at most all."""
    value = in_percent(written)
    if not 0 < value <= 100:
        raise ValueError("a percentage lies between 0 and 100")
    return value


def day(written: str) -> date | Ago:
    """`1997-11-22`, `today`, `90 days ago` or `in 30 days`."""
    if written == "today":
        return Ago(span=timedelta())
    if counted := _counted(written):
        if counted.span % timedelta(days=1):
            raise ValueError("a date goes back or ahead by whole days or weeks")
        return counted
    if not _DATE.fullmatch(written):
        _not_ago(written)
        raise ValueError('a date is written "2026-11-22" (year, month, day), "today", "90 days ago" or "in 30 days"')
    try:
        return date.fromisoformat(written)
    except ValueError as error:
        raise ValueError("the calendar has no such day") from error


def moment(written: str, zone: ZoneInfo) -> datetime | Ago:
    """`90 days ago`, `in 2 hours`, or an ISO 8601 time. Without an offset it is the wall clock's of the workspace's time zone."""
    if written == "now":
        return Ago(span=timedelta())
    if counted := _counted(written):
        return counted
    try:
        at = datetime.fromisoformat(written)
    except ValueError as error:
        _not_ago(written)
        raise ValueError('a time is written "90 days ago", "2026-11-22" or "2026-11-22T10:00"') from error
    if not 1900 <= at.year < 3000:
        raise ValueError("the year must lie between 1900 and 2999")
    return at.astimezone(UTC) if at.tzinfo else first_instant(at, zone)


def point(written: str, zone: ZoneInfo) -> Moment:
    """A moment that a test compares with. A day alone is its first instant."""
    found = moment(written, zone)
    if isinstance(found, Ago):
        return found
    local = found.astimezone(zone)
    return At(instant=found, told=local.date().isoformat() if local.time() == time() else _told(local))


def last_point(written: str, zone: ZoneInfo) -> Moment:
    """A moment that something reaches up to, itself included, or comes after. A day alone is all of it: its last instant."""
    found = moment(written, zone)
    if isinstance(found, Ago):
        return found
    if (day := _day_alone(written)) is None:
        return At(instant=found, told=_told(found.astimezone(zone)))
    tomorrow = first_instant(datetime.combine(day + timedelta(days=1), time()), zone)
    return At(instant=tomorrow - timedelta(microseconds=1), told=day.isoformat(), ends=True)


def _day_alone(written: str) -> date | None:
    """The day, where no time of day is written."""
    try:
        return date.fromisoformat(written)
    except ValueError:
        return None


def _told(local: datetime) -> str:
    """`2026-11-22 10:00`, to the second where there are some."""
    return local.replace(tzinfo=None).isoformat(
        sep=" ", timespec="auto" if local.second or local.microsecond else "minutes"
    )


READERS: Mapping[AttributeType, Callable[[str, ZoneInfo], Value]] = MappingProxyType(
    {
        AttributeType.TEXT: lambda written, zone: text(written),
        AttributeType.NUMBER: lambda written, zone: number(written),
        AttributeType.BOOLEAN: lambda written, zone: boolean(written),
        AttributeType.DATE: lambda written, zone: day(written),
        AttributeType.TIME: moment,
        AttributeType.LIST: lambda written, zone: text(written),
    }
)


def schema(kind: AttributeType) -> dict[str, object]:
    """What an editor takes for one value of a type. YAML gives editors typed scalars, so a text may look like a number."""
    return dict(_SCHEMAS[kind])


_AGO_PATTERN = r"[0-9]+ *(second|minute|hour|day|week)s? +ago|in +[0-9]+ *(second|minute|hour|day|week)s?"
_SCHEMAS: Mapping[AttributeType, Mapping[str, object]] = MappingProxyType(
    {
        AttributeType.TEXT: {"type": ["string", "number", "boolean"]},
        AttributeType.NUMBER: {"type": ["number", "string"], "pattern": rf"^{_NUMBER.pattern}$"},
        AttributeType.BOOLEAN: {"enum": [True, False, *_BOOLEANS]},
        AttributeType.DATE: {
            "type": "string",
            "pattern": rf"^([0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}|today|{_AGO_PATTERN})$",
            "examples": ["2026-11-22", "today", "90 days ago", "in 30 days"],
        },
        AttributeType.TIME: {
            "type": "string",
            "pattern": rf"^([0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}.*|now|{_AGO_PATTERN})$",
            "examples": ["90 days ago", "in 30 days", "2026-11-22", "2026-11-22T10:00"],
        },
        AttributeType.LIST: {"type": ["string", "number", "boolean"]},
    }
)
