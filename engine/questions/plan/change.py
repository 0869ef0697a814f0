"""Who came and who went: since the last run, and since the rules that git HEAD has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Select, and_, case, exists, func, select

from engine.campaigns.planned import written
from engine.questions.audience import count_of
from engine.rules.campaign import Campaign
from engine.rules.compile import audience, matches
from engine.rules.reentry import had_it, keeping
from engine.rules.workspace import Workspace
from engine.store.tables import customers, messages, runs

LAST_RUN, HEAD = "in_last_run", "in_head"


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """How many there were, and how many came and went since."""

    before: int
    entered: int
    left: int


@dataclass(frozen=True, kw_only=True, slots=True)
class SegmentChange:
    """A segment whose rule is not the one in git HEAD."""

    segment: str
    now: int
    change: Change


@dataclass(frozen=True, kw_only=True, slots=True)
class LastRun:
    """The newest run of a campaign: when it was launched (UTC), and the customers whom its messages went to."""

    id: int
    launched_at: datetime
    customers: int


def last_run(connection: Connection, campaign: str) -> LastRun | None:
    newest = select(runs.c.id, runs.c.launched_at).where(runs.c.campaign == campaign).order_by(runs.c.nominal_at.desc())
    row = connection.execute(newest.limit(1)).first()
    if row is None:
        return None
    counted = select(func.count(messages.c.customer_id.distinct())).where(messages.c.run_id == row.id)
    return LastRun(id=row.id, launched_at=row.launched_at, customers=connection.execute(counted).scalar_one())


def in_run(run: LastRun, campaign: Campaign) -> ColumnElement[bool]:
    """Whether the run has a message to the customer."""
    m = messages.c
    mine = (m.customer_id == customers.c.id, m.campaign == campaign.campaign, m.run_id == run.id)
    return exists(select(1).where(*mine).correlate(customers))


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptOut:
    """Whom the rule fits, and re-entry keeps out: how many, and how many of them were in the last run."""

    customers: int = 0
    in_last_run: int = 0


def kept_out(
    connection: Connection, campaign: Campaign, fits: ColumnElement[bool], run: LastRun | None, *, now: datetime
) -> KeptOut:
    those = keeping(campaign, now)
    if those is None or run is None:
        return KeptOut()
    there = func.max(case((messages.c.run_id == run.id, 1), else_=0)).label("there")
    had = had_it(campaign, *those).add_columns(there).group_by(messages.c.customer_id).subquery()
    counted = select(func.count(), func.count(case((had.c.there == 1, 1)))).select_from(had)
    counted = counted.join(customers, customers.c.id == had.c.customer_id)
    row = connection.execute(counted.where(fits)).one()
    return KeptOut(customers=row[0], in_last_run=row[1])


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """What one campaign's audience is compared with. `flags` are asked of everybody in it, as it comes by."""

    campaign: Campaign
    run: LastRun | None
    former: Select[tuple[int]] | None

    @property
    def flags(self) -> dict[str, ColumnElement[bool]]:
        flags = {}
        if self.run is not None:
            flags[LAST_RUN] = in_run(self.run, self.campaign)
        if self.former is not None:
            flags[HEAD] = customers.c.id.in_(self.former.correlate(None))
        return flags

    def since_run(self, *, size: int, there: int, kept: KeptOut) -> Change | None:
        """`size` of the audience now; `there`, how many of it were in the last run.

        Left has who was in that run and whom the rule does not fit any more: who is only kept out by re-entry did not leave.
        """
        if self.run is None:
            return None
        left = self.run.customers - there - kept.in_last_run
        return Change(before=self.run.customers, entered=size - there, left=left)

    def since_head(self, connection: Connection, *, size: int, there: int) -> Change | None:
        """`there`, how many of the audience are in it by the rules of git HEAD, too."""
        if self.former is None:
            return None
        before = count_of(connection, self.former)
        return Change(before=before, entered=size - there, left=before - there)


def compared(
    connection: Connection, workspace: Workspace, campaign: Campaign, old: Workspace | None, *, now: datetime
) -> Comparison:
    """With the campaign's last run, and with git HEAD (`old`) where it asks another question."""
    chosen = audience(workspace, campaign, now=now, dialect=connection.dialect.name)
    if chosen is None:
        return Comparison(campaign=campaign, run=None, former=None)
    former = _former(old, campaign, chosen, now=now, dialect=connection.dialect.name) if old else None
    return Comparison(campaign=campaign, run=last_run(connection, campaign.campaign), former=former)


# ---------------------------------------------------------------- git HEAD


def _former(
    old: Workspace, campaign: Campaign, chosen: Select[tuple[int]], *, now: datetime, dialect: str
) -> Select[tuple[int]] | None:
    """The campaign's audience by the rules of git HEAD; None where it is the same question, or none there."""
    before = old.campaigns.get(campaign.campaign)
    asked = audience(old, before, now=now, dialect=dialect) if before is not None else None
    return None if asked is None or written(asked) == written(chosen) else asked


def segment_changes(
    connection: Connection, workspace: Workspace, old: Workspace, *, now: datetime
) -> Iterator[SegmentChange]:
    """The segments that both have and that ask another question, each with who came and went by the change of its rule."""
    dialect = connection.dialect.name
    for name in sorted(workspace.segments.keys() & old.segments.keys()):
        fits = matches(workspace, workspace.segments[name].who, now=now, dialect=dialect, everybody=True)
        fitted = matches(old, old.segments[name].who, now=now, dialect=dialect, everybody=True)
        if written(_where(fits)) != written(_where(fitted)):
            size, before, both = (
                count_of(connection, _where(condition)) for condition in (fits, fitted, and_(fits, fitted))
            )
            yield SegmentChange(
                segment=name, now=size, change=Change(before=before, entered=size - both, left=before - both)
            )


def _where(condition: ColumnElement[bool]) -> Select[tuple[int]]:
    return select(customers.c.id).where(condition)
