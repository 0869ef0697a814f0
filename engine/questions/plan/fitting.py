"""Whom the rules of campaigns fit, asked once of everybody, however many campaigns have the same audience."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, select

from engine.campaigns.planned import written
from engine.rules.campaign import Campaign
from engine.rules.compile import audience_condition, matches
from engine.rules.everybody import MOST_AT_ONCE, fitting
from engine.rules.workspace import Workspace
from engine.store.tables import customers


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
        alike: dict[str, list[Campaign]] = {}
        for one in campaigns:
            if self._has_none(one):
                yield one, None
            else:
                alike.setdefault(self._written(one), []).append(one)
        waiting = list(alike.values())
        for start in range(0, len(waiting), MOST_AT_ONCE):
            part = waiting[start : start + MOST_AT_ONCE]
            conditions = [audience_condition(self.workspace, some[0]) for some in part]
            fits = fitting(self.workspace, self.connection, conditions, now=self.now)
            for some, fit in zip(part, fits, strict=True):
                yield from ((one, fit) for one in some)

    def _has_none(self, campaign: Campaign) -> bool:
        return campaign.audience is None or campaign.is_public

    def _written(self, campaign: Campaign) -> str:
        """The same for all campaigns with the same rule."""
        condition, dialect = audience_condition(self.workspace, campaign), self.connection.dialect.name
        who = matches(self.workspace, condition, now=self.now, dialect=dialect)
        return written(select(customers.c.id).where(who))
