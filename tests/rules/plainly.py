"""The rule language read in plain Python, over plain values: what the SQL is held against. It shares no code with it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from tests.rules.shop import SEGMENTS, Happened, Person

ZONE = ZoneInfo("Europe/Helsinki")
TYPES = {
    "country": "text",
    "age": "number",
    "vip": "boolean",
    "birthday": "date",
    "seen": "time",
    "tags": "list",
    "id": "text",
    "locale": "text",
    "created_at": "time",
    "amount": "number",
    "title": "text",
    "gift": "boolean",
    "shipped": "time",
    "genres": "list",
    "page": "text",
}


def holds(rule: Mapping[str, Any], person: Person, now: datetime) -> bool:
    """Whether a condition holds for a customer. Whatever cannot be told does not hold."""
    if "did" in rule:
        return _did(rule, person, now)
    return all(_entry(word, under, person, now) for word, under in rule.items())


def _entry(word: str, under: Any, person: Person, now: datetime) -> bool:
    if word == "all":
        return all(holds(part, person, now) for part in under)
    if word == "any":
        return any(holds(part, person, now) for part in under)
    if word == "none":
        return not any(holds(part, person, now) for part in under)
    if word == "not":
        return not holds(under, person, now)
    if word == "segment":
        return holds(SEGMENTS[under], person, now)
    built_in = {"id": person.id, "locale": person.locale, "created_at": person.created_at}
    value = built_in[word] if word in built_in else _typed(person.attributes.get(word), TYPES[word])
    return _passes(value, under, TYPES[word], now)


def _did(rule: Mapping[str, Any], person: Person, now: datetime) -> bool:
    since = now - _span(rule["within"]) if "within" in rule else None
    counted = [
        event
        for event in person.events
        if event.name == rule["did"] and event.at <= now and (since is None or event.at > since)
        if all(
            _passes(_property(event, name), tests, TYPES[name], now) for name, tests in rule.get("where", {}).items()
        )
    ]
    if "times" in rule:
        return _passes(Decimal(len(counted)), rule["times"], "number", now)
    if "sum" in rule:
        of, tests = rule["sum"]["of"], {name: value for name, value in rule["sum"].items() if name != "of"}
        return _passes(sum((_property(e, of) or Decimal(0) for e in counted), Decimal(0)), tests, "number", now)
    if "last" in rule:
        return _passes(max((event.at for event in counted), default=None), rule["last"], "time", now)
    return bool(counted)


def _property(event: Happened, name: str) -> Any:
    return _typed(event.properties.get(name), TYPES[name])


def _typed(value: Any, kind: str) -> Any:
    """A stored value as its declared type; None where it is missing or of another type."""
    match kind, value:
        case "number", int() | float() if not isinstance(value, bool):
            return Decimal(str(value))
        case "boolean", bool():
            return value
        case "list", list():
            return value
        case "text", str():
            return value
        case "date", str() if re.fullmatch(r"\d{4}-\d\d-\d\d", value):
            return date.fromisoformat(value)
        case "time", str() if re.match(r"\d{4}-\d\d-\d\dT", value):
            return datetime.fromisoformat(value)
    return None


def _passes(value: Any, tests: Any, kind: str, now: datetime) -> bool:
    if not isinstance(tests, Mapping):
        tests = {"is": tests}
    return all(_test(name, value, wanted, kind, now) for name, wanted in tests.items())


def _test(name: str, value: Any, wanted: Any, kind: str, now: datetime) -> bool:
    if name == "present":
        return bool((value is not None) == (wanted == "true"))
    if value is None:
        return False
    several = [_read(one, kind, now) for one in wanted] if isinstance(wanted, list) else []
    one = None if several else _read(wanted, kind, now)
    return _OPERATORS[name](value, several or one)


_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "is": lambda value, wanted: bool(value == wanted),
    "is_not": lambda value, wanted: bool(value != wanted),
    "in": lambda value, wanted: bool(value in wanted),
    "not_in": lambda value, wanted: value not in wanted,
    "at_least": lambda value, wanted: bool(value >= wanted),
    "at_most": lambda value, wanted: bool(value <= wanted),
    "more_than": lambda value, wanted: bool(value > wanted),
    "less_than": lambda value, wanted: bool(value < wanted),
    "before": lambda value, wanted: bool(value < wanted),
    "after": lambda value, wanted: bool(value > wanted),
    "between": lambda value, wanted: bool(wanted[0] <= value <= wanted[1]),
    "contains": lambda value, wanted: bool(wanted in value),
    "starts_with": lambda value, wanted: bool(value.startswith(wanted)),
    "ends_with": lambda value, wanted: bool(value.endswith(wanted)),
}


def _read(written: str, kind: str, now: datetime) -> Any:
    if kind == "number":
        return Decimal(written)
    if kind == "boolean":
        return written == "true"
    if kind == "date":
        today = now.astimezone(ZONE).date()
        return (
            today - _span(written[:-4])
            if written.endswith(" ago")
            else today
            if written == "today"
            else date.fromisoformat(written)
        )
    if kind == "time":
        return _moment(written, now)
    return written


def _moment(written: str, now: datetime) -> datetime:
    if written.endswith(" ago"):
        return now - _span(written[:-4])
    at = datetime.fromisoformat(written)
    return at if at.tzinfo else at.replace(tzinfo=ZONE).astimezone(UTC)


def _span(written: str) -> timedelta:
    number, unit = written.split()
    return (
        int(number)
        * {"second": timedelta(seconds=1), "day": timedelta(days=1), "week": timedelta(weeks=1)}[unit.rstrip("s")]
    )


def chosen(rule: Mapping[str, Any], everybody: Sequence[Person], now: datetime) -> set[str]:
    return {person.id for person in everybody if holds(rule, person, now)}
