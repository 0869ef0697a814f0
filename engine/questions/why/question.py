"""Why does this customer get a campaign, or why not, and when: the whole decision, step by step. Read-only."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection, select

from engine.campaigns.launch import campaign_of
from engine.campaigns.schedules import Occurrence, next_occurrence
from engine.document import suggestion
from engine.errors import UnknownName
from engine.model import OPEN
from engine.questions.trace import Node, trace
from engine.questions.why.ahead import INSTANT, changes, first_moment
from engine.questions.why.answer import Ahead, Why, answer
from engine.questions.why.gates import Gate, Says, gates
from engine.questions.why.history import Told, history
from engine.questions.why.reentry import Reentry, reentry
from engine.questions.why.stops import stops
from engine.rules.campaign import Campaign, ReentryAfter
from engine.rules.compile import audience, audience_condition
from engine.rules.syntax import Condition
from engine.rules.workspace import Workspace
from engine.store import Database
from engine.store.tables import customers

STARTS_TRIED = 60
"""How many of a schedule's next starts are looked at: the customer may be out again at the first of them."""
RETURNS = 3
"""How often it is asked when the customer is in the audience again, where none of these starts has them."""

NEAR = 100
"""Neighbours by the alphabet, on either side, that a suggestion is made from."""


def why(
    workspace: Workspace, database: Database, customer: str, campaign: str, *, now: datetime, addresses: bool = False
) -> Why:
    """Ask about a customer's external id and a campaign. Raises UnknownName with the nearest one that exists.

    addresses: whether the answer may hold the customer's addresses and personal links.
    """
    one = campaign_of(workspace, campaign)
    with database.reading() as connection:
        customer_id = customer_of(connection, customer)
        asked = _Asked(
            workspace=workspace, connection=connection, campaign=one, customer_id=customer_id, addresses=addresses
        )
        told = history(connection, one.campaign, customer_id, addresses=addresses)
        return asked.answer(customer, told, now)


def customer_of(connection: Connection, customer: str) -> int:
    """The id of the row of a customer's external id. Raises UnknownName with one that is near."""
    c = customers.c
    found = connection.execute(select(c.id).where(c.external_id == customer)).scalar()
    if found is not None:
        return int(found)
    before = select(c.external_id).where(c.external_id < customer).order_by(c.external_id.desc()).limit(NEAR)
    behind = select(c.external_id).where(c.external_id > customer).order_by(c.external_id).limit(NEAR)
    known = [name for near in (before, behind) for name in connection.execute(near).scalars()]
    hint = suggestion(customer, known)
    remedy = hint if hint.startswith("Did") else "Customers are asked for by their id in your import."
    raise UnknownName(f'there is no customer "{customer}"', remedy=remedy)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Asked:
    """One question: its surroundings, for the parts of the answer."""

    workspace: Workspace
    connection: Connection
    campaign: Campaign
    customer_id: int
    addresses: bool

    def answer(self, customer: str, told: tuple[Told, ...], now: datetime) -> Why:
        one = self.campaign
        condition = audience_condition(self.workspace, one) if one.audience is not None and not one.is_public else None
        kept = self.reentry(now) if condition is not None else None
        found = Why(
            customer=customer,
            campaign=one.campaign,
            description=one.description,
            channel=one.channel,
            message_class=one.message_class,
            as_of=now,
            time_zone=self.workspace.settings.time_zone.key,
            started_by="public" if one.is_public else "schedule" if one.schedule else "trigger",
            answer=(),
            audience=self.trace(condition, now) if condition is not None else None,
            reentry=kept,
            variant="" if one.is_public or one.holds_out(customer) else one.reads(customer),
            gates=self.stops(None) if one.is_public else self.gates(now, told),
            ahead=self.ahead(condition, kept, now) if condition is not None and kept is not None else None,
            messages=told,
        )
        return replace(found, answer=tuple(answer(found)))

    def reentry(self, at: datetime) -> Reentry:
        return reentry(self.workspace, self.connection, self.campaign, self.customer_id, now=at)

    def trace(self, condition: Condition, at: datetime) -> Node:
        return trace(self.workspace, self.connection, condition, self.customer_id, now=at)

    def gates(self, at: datetime, told: tuple[Told, ...] = (), *, later: bool = False) -> tuple[Gate, ...]:
        waiting = next((message for message in reversed(told) if message.state in OPEN), None)
        lasts = self.campaign.not_later_than
        not_after = waiting.not_after if waiting else at + lasts if lasts is not None else None
        return gates(
            self.connection,
            self.campaign,
            self.workspace.settings,
            self.customer_id,
            now=at,
            not_after=not_after,
            addresses=self.addresses,
            earlier=self.stops(waiting, later=later),
        )

    def stops(self, waiting: Told | None, *, later: bool = False) -> tuple[Gate, ...]:
        zone = self.workspace.settings.time_zone
        return stops(self.connection, self.campaign.campaign, waiting, zone, later=later)

    def chosen(self, at: datetime) -> bool:
        """Whether the customer is in the audience at an instant, re-entry included."""
        ids = audience(self.workspace, self.campaign, now=at, dialect=self.connection.dialect.name, everybody=False)
        assert ids is not None
        return self.connection.execute(ids.where(customers.c.id == self.customer_id)).first() is not None

    def ahead(self, condition: Condition, kept: Reentry, now: datetime) -> Ahead:
        """The first instant in the audience, the first start in it, and what the policy would say there."""
        eligible = now if self.chosen(now) else None if kept.for_ever else self._first(condition, now)
        start = self._start(condition, eligible, now) if eligible is not None else None
        then = self.gates(start.nominal_at, later=True) if start else ()
        differs = eligible is not None and eligible > now
        return Ahead(
            eligible_at=eligible,
            changes=changes(self.trace(condition, now), self.trace(condition, eligible))
            if eligible and differs
            else (),
            start_at=start.nominal_at if start else None,
            gates=then,
            leaves_at=_leaves_at(start.nominal_at, then) if start else None,
        )

    def _first(self, condition: Condition, now: datetime) -> datetime | None:
        again = self.campaign.reentry
        return first_moment(
            self.chosen,
            self.workspace,
            self.connection,
            [condition],
            self.customer_id,
            spans=[again.after] if isinstance(again, ReentryAfter) else [],
            now=now,
        )

    def _start(self, condition: Condition, eligible: datetime, now: datetime) -> Occurrence | None:
        """The first start of the schedule from then on at which the customer is in the audience, as far as that can be seen."""
        at = eligible - INSTANT if eligible > now else now
        for _ in range(RETURNS if self.campaign.schedule else 0):
            found, at = self._among(at)
            if found is not None or self.chosen(at):
                return found
            if (returns := self._first(condition, at)) is None:
                return None
            at = returns - INSTANT
        return None

    def _among(self, at: datetime) -> tuple[Occurrence | None, datetime]:
        """The first of the next starts at which the customer is in the audience, and the last that was looked at."""
        schedule = self.campaign.schedule
        for _ in range(STARTS_TRIED if schedule else 0):
            following = next_occurrence(schedule, after=at) if schedule else None
            if following is None:
                break
            if self.chosen(following.nominal_at):
                return following, at
            at = following.nominal_at
        return None, at


def _leaves_at(start: datetime, then: tuple[Gate, ...]) -> datetime | None:
    """When a message owed at the start would leave; None where a gate withholds it, or holds it until somebody lets it go."""
    deciding = next((gate for gate in then if gate.decides), None)
    if deciding is None:
        return start
    return deciding.until if deciding.says is Says.HOLDS else None
