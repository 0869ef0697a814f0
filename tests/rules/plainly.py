"""The rule language read in plain Python, over plain values: what the SQL is held against. It shares no code with it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from zoneinfo import ZoneInfo

from tests.rules.shop import LISTS, SEGMENTS, Happened, Person

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
    "basket": "text",
}
REACHED = {
    "was_sent": "accepted_at",
    "received": "delivered_at",
    "opened": "opened_at",
    "clicked": "clicked_at",
    "replied_to": "replied_at",
}
DAY = timedelta(days=1)


def chosen(rule: Mapping[str, Any], everybody: Sequence[Person], now: datetime, zone: ZoneInfo = ZONE) -> set[str]:
    plainly = Plainly(everybody=everybody, now=now, zone=zone)
    return {person.id for person in everybody if plainly.holds(rule, person)}


def holds(rule: Mapping[str, Any], person: Person, now: datetime) -> bool:
    """Whether a condition holds for a customer who is the only one."""
    return Plainly(everybody=(person,), now=now).holds(rule, person)


@dataclass(frozen=True, kw_only=True)
class Plainly:
    """A reading as of an instant. Whatever cannot be told does not hold."""

    everybody: Sequence[Person]
    now: datetime
    zone: ZoneInfo = ZONE
    known: dict[int, Any] = field(default_factory=dict)  # what is the same for everybody, by the rule

    def holds(self, rule: Mapping[str, Any], person: Person) -> bool:
        if "did" in rule:
            return self._measured(rule, person, self._counted(rule, person), "did")
        for word, column in REACHED.items():
            if word in rule:
                return self._measured(rule, person, self._letters(rule, person, word, column), word)
        if "rfm" in rule:
            return self._rfm(rule, person)
        for word, status in (("agreed_to", "opted_in"), ("refused", "opted_out")):
            if word in rule:
                return any(
                    self._word(address.said, rule[word]) == status
                    for address in person.addresses
                    if rule.get("on") in (None, address.channel)
                )
        return all(self._entry(word, under, person) for word, under in rule.items())

    def _word(self, said: Sequence[tuple[str, str, datetime]], purpose: str) -> str | None:
        """The newest word; of two of one instant, the one recorded later."""
        newest: tuple[datetime, str] | None = None
        for of, status, at in said:
            if of == purpose and at <= self.now and (newest is None or at >= newest[0]):
                newest = (at, status)
        return newest[1] if newest else None

    def _entry(self, word: str, under: Any, person: Person) -> bool:
        match word:
            case "all":
                return all(self.holds(part, person) for part in under)
            case "any":
                return any(self.holds(part, person) for part in under)
            case "none":
                return not any(self.holds(part, person) for part in under)
            case "not":
                return not self.holds(under, person)
            case "segment":
                return self.holds(SEGMENTS[under], person)
            case "on_list":
                return person.id in LISTS[under]
            case "lot":
                tests = {name: _without_percent(value) for name, value in under.items() if name != "of"}
                return self._passes(drawn(person.row, under["of"]), tests, "number")
            case "reachable_by":
                return any(
                    address.channel == under and (address.suppressed_at is None or address.suppressed_at > self.now)
                    for address in person.addresses
                )
        built_in = {"id": person.id, "locale": person.locale, "created_at": person.created_at}
        if word in built_in:
            return self._passes(built_in[word], under, TYPES[word])
        return self._passes(_typed(person.attributes.get(word), TYPES[word]), under, _kept(word))

    def _counted(self, rule: Mapping[str, Any], person: Person) -> list[Happened]:
        return [
            event
            for event in person.events
            if event.name == rule["did"]
            if self._within(rule, event.at, person)
            if "share" in rule or self._where(rule, event)
            if all(self._followed(rule[word], event, person, word == "then") for word in ("then", "then_not") if word in rule)
        ]  # fmt: skip

    def _letters(self, rule: Mapping[str, Any], person: Person, word: str, column: str) -> list[Happened]:
        return [
            Happened(name=word, at=at, properties={})
            for letter in person.letters
            if rule[word] in ("any", letter.campaign)
            if rule.get("on") in (None, letter.channel)
            if (at := letter.reached.get(column)) is not None
            if self._within(rule, at, person)
        ]

    def _within(self, rule: Mapping[str, Any], at: datetime, person: Person) -> bool:
        if at > self.now or ("within" in rule and at <= self.now - _span(rule["within"])):
            return False
        if isinstance(since := rule.get("since"), Mapping):
            ((edge, name),) = since.items()
            others = [event.at for event in person.events if event.name == name and event.at <= self.now]
            if not others or at <= (max(others) if edge == "last" else min(others)):
                return False
        elif since and at < self._moment(since):
            return False
        if "before" in rule and at >= self._moment(rule["before"]):
            return False
        return "between" not in rule or self._moment(rule["between"][0]) <= at <= self._end(rule["between"][1])

    def _where(self, rule: Mapping[str, Any], event: Happened) -> bool:
        return all(
            self._passes(_property(event, name), tests, _kept(name)) for name, tests in rule.get("where", {}).items()
        )

    def _followed(self, rule: Mapping[str, Any], first: Happened, person: Person, wanted: bool) -> bool:
        span = _span(rule["within"]) if "within" in rule else None
        same = [rule["same"]] if isinstance(rule.get("same"), str) else rule.get("same", [])
        found = any(
            other.name == rule["did"]
            and first.at < other.at <= self.now
            and (span is None or other.at <= first.at + span)
            and all(_property(first, name) == _property(other, name) is not None for name in same)
            and self._where(rule, other)
            for other in person.events
        )
        return found if wanted else not found and (span is None or first.at + span <= self.now)

    def _measured(self, rule: Mapping[str, Any], person: Person, counted: list[Happened], word: str) -> bool:
        name = next((name for name in _MEASURES if name in rule), None)
        if name is None:
            return bool(counted)
        kind, measure = _MEASURES[name]
        tests = {test: value for test, value in rule[name].items() if test not in ("of", "among_best")}
        value = measure(self, rule, counted)
        if not self._passes(value, tests, kind):
            return False
        return "among_best" not in rule[name] or self._among_best(rule, person, word, measure)

    def _among_best(self, rule: Mapping[str, Any], person: Person, word: str, measure: Any) -> bool:
        """Fewer than so many percent are better, of those who did it and have the measure."""
        values = self.known.get(id(rule), {})
        for one in self.everybody if id(rule) not in self.known else ():
            counted = self._counted(rule, one) if word == "did" else self._letters(rule, one, word, REACHED[word])
            if counted and (value := measure(self, rule, counted)) is not None:
                values[one.id] = value
        self.known[id(rule)] = values
        if person.id not in values:
            return False
        name = next(name for name in _MEASURES if name in rule)
        percent = Decimal(rule[name]["among_best"].removesuffix("%").strip())
        better = sum(value > values[person.id] for value in values.values())
        return better * 100 < percent * len(values)

    def _rfm(self, rule: Mapping[str, Any], person: Person) -> bool:
        if id(rule) not in self.known:
            self.known[id(rule)] = self._scores(rule)
        scores = self.known[id(rule)].get(person.id)
        if scores is None:
            return False
        asked = [name for name in ("recency", "frequency", "monetary", "total") if name in rule]
        if not all(self._passes(Decimal(scores[name]), rule[name], "number") for name in asked):
            return False
        bands = rule.get("band")
        bands = [bands] if isinstance(bands, str) else bands
        return bands is None or _band(scores["recency"], scores["frequency"]) in bands

    def _scores(self, rule: Mapping[str, Any]) -> dict[str, dict[str, int]]:
        counted = {one.id: self._counted({**rule, "did": rule["rfm"]}, one) for one in self.everybody}
        some = {id: events for id, events in counted.items() if events}
        if len(some) < 5:
            return {}
        recency = _quintiles({id: -((self.now - max(e.at for e in events)) // DAY) for id, events in some.items()})
        frequency = _quintiles({id: len(events) for id, events in some.items()})
        scores = {id: {"recency": recency[id], "frequency": frequency[id]} for id in some}
        if "money" in rule:
            money = _quintiles({id: _sum(_values(events, rule["money"])) for id, events in some.items()})
            for id, found in scores.items():
                found["monetary"] = money[id]
                found["total"] = found["recency"] + found["frequency"] + found["monetary"]
        return scores

    def _passes(self, value: Any, tests: Any, kind: str) -> bool:
        if not isinstance(tests, Mapping):
            tests = {"is": tests}
        return all(self._test(name, value, wanted, kind) for name, wanted in tests.items())

    def _test(self, name: str, value: Any, wanted: Any, kind: str) -> bool:
        if name == "present":
            return bool((value is not None) == (wanted == "true"))
        if value is None:
            return False
        if name.startswith("anniversary"):
            ahead = _span(wanted) // DAY
            days = range(ahead if name == "anniversary_in" else 0, ahead + 1)
            on = value.astimezone(self.zone).date() if isinstance(value, datetime) else value
            return any(_comes_round(on, self._today() + day * DAY) for day in days)
        if name in ("between", "after") and kind in ("time", "second"):
            first, end = (wanted[0], wanted[1]) if name == "between" else (None, wanted)
            until = self._end(end).replace(**({"microsecond": 0} if kind == "second" else {}))
            return bool(value > until) if first is None else bool(self._read(first, kind) <= value <= until)
        several = [self._read(one, kind) for one in wanted] if isinstance(wanted, list) else []
        one = None if several else self._read(wanted, kind)
        return _OPERATORS[name](value, several or one)

    def _read(self, written: str, kind: str) -> Any:
        if kind == "number":
            return Decimal(written)
        if kind == "boolean":
            return written == "true"
        if kind == "date":
            if written == "today":
                return self._today()
            back = _back(written)
            return date.fromisoformat(written) if back is None else self._today() - back
        if kind == "second":
            return self._moment(written).replace(microsecond=0)
        return self._moment(written) if kind == "time" else written

    def _today(self) -> date:
        return self.now.astimezone(self.zone).date()

    def _moment(self, written: str) -> datetime:
        back = _back(written)
        if back is not None:
            return self.now - back
        at = datetime.fromisoformat(written)
        return at if at.tzinfo else at.replace(tzinfo=self.zone).astimezone(UTC)

    def _end(self, written: str) -> datetime:
        """The last instant that is meant: of a day without a time of day, the day's."""
        if not re.fullmatch(r"\d{4}-\d\d-\d\d", written):
            return self._moment(written)
        return self._moment((date.fromisoformat(written) + DAY).isoformat()) - timedelta(microseconds=1)


def _without_percent(written: Any) -> Any:
    """`10 %` is 10; of a list, each."""
    if isinstance(written, list):
        return [_without_percent(one) for one in written]
    return written.removesuffix("%").strip()


def _kept(name: str) -> str:
    """Attributes and properties keep a time to the second, and are compared to the second."""
    return "second" if TYPES[name] == "time" else TYPES[name]


def _comes_round(born: date, day: date) -> bool:
    """Whether a day is somebody's birthday; of those born on 29 February, the 28th where the year has no 29th."""
    if born.year >= day.year:
        return False
    try:
        return born.replace(year=day.year) == day
    except ValueError:
        return (day.month, day.day) == (2, 28)


def drawn(row: int, of: str) -> Decimal:
    """The lot, from its description."""
    digest = hashlib.blake2b(of.encode(), digest_size=16, person=b"regulars lot").digest()
    value = row
    for key in (int.from_bytes(digest[:8], "big"), int.from_bytes(digest[8:], "big")):
        value = pow(value + key, 3, 2147483579)
    return Decimal(value % 10000) / 100


def _quintiles(goodness: Mapping[str, Any]) -> dict[str, int]:
    """⌈5·rank/N⌉ with average ranks, from 1, the least good first."""
    ordered = sorted(goodness.values())
    found = {}
    for id, value in goodness.items():
        places = [place for place, other in enumerate(ordered, start=1) if other == value]
        found[id] = -((-5 * sum(places)) // (len(places) * len(ordered)))
    return found


def _band(recency: int, frequency: int) -> str:
    plane = {
        5: ("new", "potential", "potential", "champions", "champions"),
        4: ("promising", "potential", "potential", "loyal", "loyal"),
        3: ("about_to_sleep", "about_to_sleep", "need_attention", "loyal", "loyal"),
        2: ("hibernating", "hibernating", "at_risk", "at_risk", "cannot_lose"),
        1: ("hibernating", "hibernating", "at_risk", "at_risk", "cannot_lose"),
    }
    return plane[recency][frequency - 1]


def _property(event: Happened, name: str) -> Any:
    return _typed(event.properties.get(name), TYPES[name])


def _values(events: Sequence[Happened], name: str) -> list[Any]:
    return [value for event in events if (value := _property(event, name)) is not None]


def _rounded(value: Decimal) -> Decimal:
    return value.quantize(Decimal("0.000001"), ROUND_HALF_UP)


def _sum(values: Sequence[Decimal]) -> Decimal:
    return _rounded(sum(values, Decimal(0)))


def _of(rule: Mapping[str, Any]) -> str:
    return str(next(rule[name]["of"] for name in _MEASURES if name in rule))


def _days(span: timedelta) -> Decimal:
    return Decimal(span // timedelta(microseconds=1)) / Decimal(86_400_000_000)


def _gap(events: Sequence[Happened]) -> Decimal | None:
    if len(events) < 2:
        return None
    return _days(max(event.at for event in events) - min(event.at for event in events)) / (len(events) - 1)


def _overdue(reading: Plainly, _rule: Any, events: list[Happened]) -> Decimal | None:
    gap = _gap(events)
    return _rounded(_days(reading.now - max(event.at for event in events)) / gap) if gap else None


def _share(reading: Plainly, rule: Any, events: list[Happened]) -> Decimal | None:
    passing = sum(reading._where(rule, event) for event in events)
    return _rounded(Decimal(passing * 100) / len(events)) if events else None


def _trend(reading: Plainly, rule: Any, events: list[Happened]) -> Decimal | None:
    middle = reading.now - _span(rule["within"]) / 2
    newer = _sum(_values([event for event in events if event.at > middle], _of(rule)))
    older = _sum(_values([event for event in events if event.at <= middle], _of(rule)))
    return _rounded(newer * 100 / older) if older > 0 else None


def _edge(choose: Callable[..., Any]) -> Callable[..., Any]:
    return lambda reading, rule, events: choose((event.at for event in events), default=None)


def _since(choose: Callable[..., Any]) -> Callable[..., Any]:
    return lambda reading, rule, events: (
        Decimal((reading.now - choose(event.at for event in events)) // DAY) if events else None
    )


def _over(take: Callable[[list[Any]], Any]) -> Callable[..., Any]:
    def over(reading: Plainly, rule: Any, events: list[Happened]) -> Any:
        values = _values(events, _of(rule))
        return take(values) if values else None

    return over


_MEASURES: Mapping[str, tuple[str, Callable[[Plainly, Mapping[str, Any], list[Happened]], Any]]] = {
    "times": ("number", lambda reading, rule, events: Decimal(len(events))),
    "sum": ("number", lambda reading, rule, events: _sum(_values(events, _of(rule)))),
    "avg": ("number", _over(lambda values: _rounded(sum(values, Decimal(0)) / len(values)))),
    "min": ("number", _over(min)),
    "max": ("number", _over(max)),
    "distinct": ("number", lambda reading, rule, events: Decimal(len(set(_values(events, _of(rule)))))),
    "first": ("time", _edge(min)),
    "last": ("time", _edge(max)),
    "days_since_first": ("number", _since(min)),
    "days_since_last": ("number", _since(max)),
    "gap": ("number", lambda reading, rule, events: _rounded(gap) if (gap := _gap(events)) is not None else None),
    "overdue": ("number", _overdue),
    "share": ("number", _share),
    "trend": ("number", _trend),
}


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


_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "is": lambda value, wanted: bool(value == wanted),
    "is_not": lambda value, wanted: bool(value != wanted),
    "is_like": lambda value, wanted: bool(value.lower() == wanted.lower()),
    "in": lambda value, wanted: bool(value in wanted),
    "not_in": lambda value, wanted: value not in wanted,
    "at_least": lambda value, wanted: bool(value >= wanted),
    "at_most": lambda value, wanted: bool(value <= wanted),
    "more_than": lambda value, wanted: bool(value > wanted),
    "less_than": lambda value, wanted: bool(value < wanted),
    "multiple_of": lambda value, wanted: bool(value > 0 and value % wanted == 0),
    "before": lambda value, wanted: bool(value < wanted),
    "after": lambda value, wanted: bool(value > wanted),
    "between": lambda value, wanted: bool(wanted[0] <= value <= wanted[1]),
    "contains": lambda value, wanted: bool(wanted in value),
    "contains_like": lambda value, wanted: bool(wanted.lower() in value.lower()),
    "contains_any": lambda value, wanted: any(one in value for one in wanted),
    "contains_all": lambda value, wanted: all(one in value for one in wanted),
    "starts_with": lambda value, wanted: bool(value.startswith(wanted)),
    "ends_with": lambda value, wanted: bool(value.endswith(wanted)),
}


def _back(written: str) -> timedelta | None:
    if written.endswith(" ago"):
        return _span(written[:-4])
    return -_span(written[3:]) if written.startswith("in ") else None


def _span(written: str) -> timedelta:
    number, unit = written.split()
    units = {"second": timedelta(seconds=1), "hour": timedelta(hours=1), "day": DAY, "week": timedelta(weeks=1)}
    return int(number) * units[unit.rstrip("s")]
