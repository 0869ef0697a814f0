"""What an evaluation stands on, and a test against a value in SQL."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import Enum, auto
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, String, and_, literal, not_, true

from engine.model import AttributeType
from engine.rules.columns import Typed, local_day
from engine.rules.operators import OPERATORS, Takes
from engine.rules.syntax import Ago, At, Moment, Segment, Test, Value
from engine.rules.together import Shared, Together


class Group(Enum):
    """Which rows of a customer's group a condition counts."""

    ALL = auto()
    MIXED = auto()


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """`now` is in UTC; `zone` is the workspace's, in which today is today. `lists`: ids by the name of their file.

    together: where everybody is asked at once. group: over the rows of one group, of which all count, or, where it is mixed,
    those that a condition says. Without either, events are looked up for each customer.
    """

    segments: Mapping[str, Segment]
    lists: Mapping[str, tuple[str, ...]]
    zone: ZoneInfo
    now: datetime
    dialect: str
    together: Together | None = None
    group: Group | None = None

    @property
    def looks_up(self) -> bool:
        """Whether events are looked up for each customer."""
        return self.group is None and (self.together is None or self.together.looks_up)

    @property
    def shared(self) -> Shared | None:
        """The passes that many rules share, where it is many that are asked."""
        return self.together if isinstance(self.together, Shared) else None

    @property
    def today(self) -> date:
        return self.now.astimezone(self.zone).date()

    def instant(self, moment: Moment) -> datetime:
        """`90 days ago` as the instant that it is at this `now`."""
        return self.now - moment.span if isinstance(moment, Ago) else moment.instant

    def tests(self, tests: tuple[Test, ...], kind: AttributeType, typed: Typed) -> ColumnElement[bool]:
        """Whether a value passes all tests: true, false, or NULL where it is missing."""
        return and_(true(), *(self._test(test, kind, typed) for test in tests))

    def _test(self, test: Test, kind: AttributeType, typed: Typed) -> ColumnElement[bool]:
        operator = OPERATORS[test.operator, kind]
        match operator.takes:
            case Takes.YES_NO:
                holds = operator.test(typed, ())
                return holds if test.values == (True,) else not_(holds)
            case Takes.DAYS:
                of = local_day(typed, self.zone) if kind is AttributeType.TIME else typed
                return operator.test(of, list(self._days(operator.name, test.values[0])))
        return operator.test(typed, [typed.bind(self._resolved(value, kind)) for value in test.values])

    def _resolved(self, value: Value, kind: AttributeType) -> Value | datetime:
        """`90 days ago` as the instant, or for a date the day, that it is at this `now`."""
        if isinstance(value, Ago) and kind is AttributeType.DATE:
            return self.today - timedelta(days=value.span.days)
        return self.instant(value) if isinstance(value, Ago | At) else value

    def _days(self, operator: str, ahead: Value) -> Iterator[ColumnElement[Any]]:
        assert isinstance(ahead, timedelta)
        for days in range(0 if operator == "anniversary_within" else ahead.days, ahead.days + 1):
            for month_and_day, year in anniversaries(self.today + timedelta(days=days)):
                yield literal(month_and_day, String())
                yield literal(year, String())


def anniversaries(day: date) -> tuple[tuple[str, str], ...]:
    """Which month and day come round on a day, and its year: on 28 February of a common year, 29 February does, too."""
    year = f"{day.year:04}"
    if (day.month, day.day) == (2, 28) and (day + timedelta(days=1)).month == 3:
        return (("02-28", year), ("02-29", year))
    return ((f"{day.month:02}-{day.day:02}", year),)
