"""A value read from the database in words, as the questions show it: `FI`, `41.5`, `1998-03-02 (118 days ago)`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from engine.model import AttributeType
from engine.scalars import UNITS

MISSING = "missing"
LONGEST_TEXT = 60


def shown(value: Any, kind: AttributeType, *, now: datetime, zone: ZoneInfo) -> str:
    """A value of a type, as `compile.looked_at` gives it. Times are shown by the clocks of `zone`."""
    if value is None:
        return MISSING
    match kind:
        case AttributeType.NUMBER:
            return number(value)
        case AttributeType.TIME:
            return moment(value if isinstance(value, datetime) else _second(value), now=now, zone=zone)
        case AttributeType.LIST:
            return ", ".join(map(text, _items(value))) or "an empty list"
        case AttributeType.BOOLEAN | AttributeType.DATE | AttributeType.TEXT:
            return text(str(value))


def text(value: object) -> str:
    """A text on one line, cut where it is long."""
    line = " ".join(str(value).split())
    return (line if len(line) <= LONGEST_TEXT else f"{line[: LONGEST_TEXT - 1]}…") or '""'


def number(value: Any) -> str:
    """`3`, `41.5`: no digit that says nothing."""
    exact = value if isinstance(value, Decimal) else Decimal(str(value))
    return f"{exact.normalize():f}" if exact else "0"


def moment(at: datetime, *, now: datetime, zone: ZoneInfo) -> str:
    """`1998-03-02 (118 days ago)`; with the time of day where it is not long ago or ahead."""
    near = abs(now - at) < timedelta(days=2)
    return f"{at.astimezone(zone):{'%Y-%m-%d %H:%M' if near else '%Y-%m-%d'}} ({distance(at, now=now)})"


def distance(at: datetime, *, now: datetime) -> str:
    """`118 days ago`, `in 3 hours`, `now`: in the largest unit up to days that it fills."""
    span = abs(now - at)
    for unit in ("day", "hour", "minute", "second"):
        if count := span // timedelta(seconds=UNITS[unit]):
            length = f"{count:,} {unit}{'s' * (count != 1)}"
            return f"{length} ago" if at < now else f"in {length}"
    return "now"


def day(value: str) -> date | None:
    """A date out of a JSON column; None where it is none."""
    try:
        return date.fromisoformat(value)
    except ValueError:
        return None


def _second(value: str) -> datetime:
    """A time out of a JSON column: ISO 8601, in UTC."""
    return datetime.fromisoformat(value).replace(tzinfo=UTC)


def _items(value: Any) -> Sequence[Any]:
    """A list out of a JSON column: PostgreSQL gives it read, SQLite as JSON."""
    items: Sequence[Any] = json.loads(value) if isinstance(value, str) else value
    return items
