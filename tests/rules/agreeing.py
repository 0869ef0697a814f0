"""Random rules, asked of a database and of the plain reading: the same customers, or a disagreement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import yaml
from hypothesis import strategies as st
from sqlalchemy import case, select

from engine import document
from engine.rules.compile import matches
from engine.rules.everybody import fitting, sizes
from engine.rules.never import of_condition
from engine.rules.read import Reading, read_condition
from engine.rules.syntax import All, Condition
from engine.rules.vocabulary import Vocabulary
from engine.rules.workspace import Workspace
from engine.store import Database
from engine.store.tables import customers
from tests.rules import plainly, shop
from tests.rules.language import Rule, rules
from tests.rules.shop import NOW, Person

WORKSPACE = shop.workspace()
AT_ONCE = 5
"""So many rules are asked in one query, one column each."""

ZONES = ("Europe/Helsinki", "UTC", "America/New_York", "Pacific/Kiritimati", "Asia/Kathmandu")
MOMENTS = (
    NOW,
    NOW + timedelta(microseconds=1),
    NOW - timedelta(microseconds=1),
    NOW + timedelta(hours=10),  # midnight in Helsinki
    NOW + timedelta(hours=10) - timedelta(microseconds=1),
    NOW + timedelta(days=7),
    datetime(2026, 3, 29, 1, 0, tzinfo=UTC),  # summer time begins in Europe
    datetime(2026, 2, 28, 12, 0, tzinfo=UTC),
    datetime(2028, 2, 28, 23, 30, tzinfo=UTC),  # a leap year; tomorrow already in the east
)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Some rules, the moment of asking, and the workspace's time zone."""

    several: list[Rule]
    now: datetime = NOW
    zone: str = ZONES[0]

    @property
    def workspace(self) -> Workspace:
        settings = shop.SETTINGS.model_copy(update={"time_zone": ZoneInfo(self.zone)})
        return replace(WORKSPACE, settings=settings)

    def read(self) -> list[Condition]:
        return [read(rule, self.workspace) for rule in self.several]

    def plainly(self, everybody: Sequence[Person]) -> list[set[str]]:
        return [plainly.chosen(rule, everybody, self.now, ZoneInfo(self.zone)) for rule in self.several]


def questions() -> st.SearchStrategy[Asked]:
    several = st.lists(rules(), min_size=AT_ONCE, max_size=AT_ONCE)
    return st.builds(Asked, several=several, now=st.sampled_from(MOMENTS), zone=st.sampled_from(ZONES))


class _WithoutAliases(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def read(rule: Mapping[str, Any], workspace: Workspace = WORKSPACE) -> Condition:
    """Through YAML text, as a marketer's rule would come."""
    written = yaml.dump(rule, Dumper=_WithoutAliases, allow_unicode=True, sort_keys=False)
    vocabulary = Vocabulary.of(
        workspace.settings, frozenset(shop.SEGMENTS), campaigns=frozenset(shop.CAMPAIGNS), lists=shop.LISTS
    )
    reading = Reading(vocabulary=vocabulary)
    condition = read_condition(reading, document.parse(written, "rule.yaml"))
    assert condition is not None, (written, [str(problem) for problem in reading.problems])
    return condition


def answers(
    database: Database, asked: Asked, conditions: Sequence[Condition], *, everybody: bool = False
) -> list[set[str]]:
    """Whom each condition chooses; with `everybody`, asked in passes over all events."""
    how: dict[str, Any] = {"now": asked.now, "dialect": database.dialect, "everybody": everybody}
    fits = [matches(asked.workspace, one, **how) for one in conditions]
    columns = [case((who, 1), else_=0).label(f"rule_{number}") for number, who in enumerate(fits)]
    with database.reading() as connection:
        rows = connection.execute(select(customers.c.external_id, *columns)).all()
    return [{row[0] for row in rows if row[number + 1]} for number in range(len(fits))]


def together(database: Database, asked: Asked, conditions: Sequence[Condition]) -> list[set[str]]:
    """Whom each condition chooses where all of them share their passes, as `audience` and `plan` ask."""
    with database.reading() as connection:
        counted = sizes(asked.workspace, connection, conditions, now=asked.now)
        found = [
            set(connection.execute(select(customers.c.external_id).where(each)).scalars())
            for each in fitting(asked.workspace, connection, conditions, now=asked.now)
        ]
    assert counted == [len(chosen) for chosen in found], (database.dialect, asked)
    return found


def refused(database: Database, asked: Asked, conditions: Sequence[Condition]) -> int:
    """How many of the rules `check` would refuse or warn of; each time, what it calls impossible is true of nobody."""
    found = [of_condition(condition, asked.workspace.segments) for condition in conditions]
    claims = [All(of=finding.never) for one in found for finding in one]
    for claim, chosen in zip(claims, answers(database, asked, claims) if claims else [], strict=True):
        assert not chosen, (asked, claim)
    return sum(bool(one) for one in found)
