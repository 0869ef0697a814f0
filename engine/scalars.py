"""The scalars that all YAML files share: durations, times of day, instants, time zones, shares, slugs."""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800}
_DURATION = re.compile(r"^(\d+)\s*(second|minute|hour|day|week)s?$")
_NO_FIXED_LENGTH = re.compile(r"^(\d{1,4})\s*(month|year)s?$")
_SLUG = re.compile(r"^[a-z][a-z0-9_-]*$")


def duration(value: Any) -> timedelta:
    """`90 days`, `2 hours`: a whole number and a unit. Raises ValueError. Months and years have no fixed length: say days."""
    if isinstance(value, timedelta):
        return value
    match = _DURATION.match(str(value).strip())
    if match is None:
        if instead := in_days(str(value)):
            raise ValueError(f'months and years have no fixed length: write days, like "{instead}"')
        raise ValueError(
            'a duration is a whole number and a unit, like "90 days" (seconds, minutes, hours, days, weeks)'
        )
    try:
        return timedelta(seconds=int(match[1]) * UNITS[match[2]])
    except OverflowError as error:
        raise ValueError("this duration is too long") from error


def in_days(written: str) -> str:
    """`2 months` as what one may write instead, `60 days`; nothing for what names neither months nor years."""
    longer = _NO_FIXED_LENGTH.match(written.strip())
    return f"{int(longer[1]) * (30 if longer[2] == 'month' else 365)} days" if longer else ""


def spoken(span: timedelta) -> str:
    """A duration as one would say it: `90 days`."""
    seconds = int(span.total_seconds())
    for unit, size in [*reversed(UNITS.items())][1:]:  # days say more than weeks
        if seconds and seconds % size == 0:
            count = seconds // size
            return f"{count} {unit}" if count == 1 else f"{count} {unit}s"
    return f"{seconds} seconds"


def time_of_day(value: Any) -> time:
    """`21:00`. Raises ValueError."""
    if isinstance(value, time):
        return value
    if re.match(r"^\d{1,2}:\d{2}$", str(value)):
        hours, minutes = map(int, str(value).split(":"))
        if hours < 24 and minutes < 60:
            return time(hours, minutes)
    raise ValueError('a time of day is written "21:00"')


def zone(value: Any) -> ZoneInfo:
    """A time zone by its IANA name. Raises ValueError."""
    if isinstance(value, ZoneInfo):
        return value
    try:
        return ZoneInfo(str(value))
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError('a time zone has an IANA name, like "Europe/Helsinki"') from error


def instant(value: Any) -> datetime:
    """An ISO 8601 date and time with its offset, as UTC. Raises ValueError where the offset is missing."""
    moment = value if isinstance(value, datetime) else _iso(str(value))
    if moment.tzinfo is None:
        raise ValueError("this time has no offset: end it with Z (UTC) or with an offset like +02:00")
    return moment.astimezone(UTC)


def wall_time(value: Any) -> datetime:
    """A date and time without an offset, to be read in some zone. A date alone is its midnight. Raises ValueError."""
    moment = value if isinstance(value, datetime) else _iso(str(value))
    if moment.tzinfo is not None:
        raise ValueError("leave the offset out: the time zone is given beside it")
    return moment


def first_instant(wall: datetime, where: ZoneInfo) -> datetime:
    """The instant (UTC) at which clocks in a zone show this wall time; of two, the first; where a clock change skips it,
    the first instant after the gap.
    """
    after = wall.replace(tzinfo=where, fold=0).astimezone(UTC)
    if after.astimezone(where).replace(tzinfo=None) == wall.replace(tzinfo=None):
        return after
    before = wall.replace(tzinfo=where, fold=1).astimezone(UTC)  # in a gap, fold=1 is the instant before it
    offset = after.astimezone(where).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = before + (after - before) / 2
        before, after = (before, middle) if middle.astimezone(where).utcoffset() == offset else (middle, after)
    return after.replace(microsecond=0)


def _iso(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise ValueError('a time is written "2026-11-22T10:00" (ISO 8601)') from error


_PERCENT = re.compile(r"^(\d{1,4}(?:\.\d{1,2})?)\s*%$")


def share(value: Any) -> Decimal:
    """`50 %` as 0.5. Raises ValueError."""
    if isinstance(value, Decimal):
        return value
    match = _PERCENT.match(str(value).strip())
    if match is None:
        raise ValueError('a share is written with a percent sign, like "50 %"')
    return Decimal(match[1]) / 100


def percent(part: Decimal) -> str:
    """A share as it is written: `50 %`."""
    return f"{(part * 100).normalize():f} %"


def clock_time(at: datetime, zone: ZoneInfo) -> str:
    """`1998-07-01 09:00`, by the clocks of a zone."""
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M}"


def slug(value: Any) -> str:
    """A name used in files, links and the database: lower-case letters, digits, - and _. Raises ValueError."""
    if not _SLUG.match(str(value)) or len(str(value)) > 80:
        raise ValueError("a name has only small letters, digits, - and _, begins with a letter, and is at most 80 long")
    return str(value)


_UNIT_WORDS = "|".join(UNITS)


def _written(pattern: str, *examples: str) -> WithJsonSchema:
    """How an editor checks the scalar: YAML is text until one of the functions above reads it."""
    return WithJsonSchema({"type": "string", "pattern": pattern, "examples": list(examples)})


Duration = Annotated[
    timedelta,
    BeforeValidator(duration),
    PlainSerializer(spoken, when_used="json"),
    _written(rf"^\d+ *({_UNIT_WORDS})s?$", "90 days", "6 hours"),
]
TimeOfDay = Annotated[
    time,
    BeforeValidator(time_of_day),
    PlainSerializer(lambda value: f"{value:%H:%M}", when_used="json"),
    _written(r"^\d{1,2}:\d{2}$", "21:00"),
]
Zone = Annotated[
    ZoneInfo,
    BeforeValidator(zone),
    PlainSerializer(str, when_used="json"),
    _written(r"^[A-Za-z0-9_+/-]+$", "Europe/Helsinki", "UTC"),
]
WallTime = Annotated[
    datetime,
    BeforeValidator(wall_time),
    PlainSerializer(datetime.isoformat, when_used="json"),
    _written(r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2})?)?$", "2026-11-22T10:00"),
]
Slug = Annotated[str, BeforeValidator(slug), _written(_SLUG.pattern, "win-back")]
Share = Annotated[
    Decimal,
    BeforeValidator(share),
    PlainSerializer(percent, when_used="json"),
    _written(r"^\d+(\.\d+)? *%$", "50 %"),
]
