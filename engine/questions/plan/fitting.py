"""Whom the rule of a campaign fits, asked once of everybody, however many campaigns have the same audience."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, select

from engine.campaigns.planned import written
from engine.rules.campaign import Campaign
from engine.rules.compile import audience_condition, matches
from engine.rules.workspace import Workspace
from engine.store.aside import lay_aside
from engine.store.tables import customers


@dataclass(kw_only=True)
class Fitting:
    """Those whom the rule asked about last fits are laid aside in the connection."""

    connection: Connection
    workspace: Workspace
    now: datetime
    _last: tuple[str, ColumnElement[bool]] | None = None

    def rule(self, campaign: Campaign) -> str:
        """The same for campaigns with the same audience: ask about them one after the other. Empty where nobody is asked."""
        return "" if self._has_none(campaign) else written(select(customers.c.id).where(self._matches(campaign)))

    def fits(self, campaign: Campaign) -> ColumnElement[bool] | None:
        """Whether the rule of a campaign fits a customer; None for one without customers of its own. The last answer is void."""
        if self._has_none(campaign):
            return None
        rule = self.rule(campaign)
        if self._last is None or self._last[0] != rule:
            found = lay_aside(self.connection, select(customers.c.id).where(self._matches(campaign)))
            self._last = rule, customers.c.id.in_(select(found.c.id))
        return self._last[1]

    def _has_none(self, campaign: Campaign) -> bool:
        return campaign.audience is None or campaign.is_public

    def _matches(self, campaign: Campaign) -> ColumnElement[bool]:
        condition = audience_condition(self.workspace, campaign)
        dialect = self.connection.dialect.name
        return matches(self.workspace, condition, now=self.now, dialect=dialect, everybody=True)
