"""Whom the rules of campaigns fit, asked once of everybody, however many campaigns have the same audience."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from sqlalchemy import ColumnElement, Connection, select

from engine.campaigns.planned import written
from engine.rules.campaign import Campaign
from engine.rules.compile import audience_condition, matches
from engine.rules.everybody import fitting
from engine.rules.syntax import Condition
from engine.rules.workspace import Workspace
from engine.store.tables import customers

MOST_AT_ONCE = 40
"""So many rules are asked about in one go."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fitting:
    """Asks about campaigns: those with one rule together, and some rules at a time."""

    connection: Connection
    workspace: Workspace
    now: datetime

    def of(self, campaigns: Iterable[Campaign]) -> Iterator[tuple[Campaign, ColumnElement[bool] | None]]:
        """Each campaign, with whether its rule fits a customer; None for one without customers of its own. An answer is void when
        the next campaign comes.
        """
        asked = [one for one in campaigns if not self._has_none(one)]
        yield from ((one, None) for one in campaigns if self._has_none(one))
        conditions = {one.campaign: audience_condition(self.workspace, one) for one in asked}
        rules = {name: self._written(condition) for name, condition in conditions.items()}
        alike = [
            list(some)
            for _, some in groupby(
                sorted(asked, key=lambda one: rules[one.campaign]), key=lambda one: rules[one.campaign]
            )
        ]
        for start in range(0, len(alike), MOST_AT_ONCE):
            part = alike[start : start + MOST_AT_ONCE]
            fits = fitting(
                self.workspace, self.connection, [conditions[some[0].campaign] for some in part], now=self.now
            )
            for some, fit in zip(part, fits, strict=True):
                yield from ((one, fit) for one in some)

    def _has_none(self, campaign: Campaign) -> bool:
        return campaign.audience is None or campaign.is_public

    def _written(self, condition: Condition) -> str:
        dialect = self.connection.dialect.name
        who = matches(self.workspace, condition, now=self.now, dialect=dialect)
        return written(select(customers.c.id).where(who))
