"""The plan: what would happen if this were live. It only reads; the audience is the very query that a run would owe by."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import ColumnElement, Connection

from engine.campaigns.launch import campaign_of
from engine.campaigns.planned import People, PlanFile, plan_file
from engine.campaigns.schedules import due, next_occurrence
from engine.ledger.holds import holding
from engine.ledger.schedules import owed_since
from engine.model import Channel, MessageClass, Reason
from engine.questions.missing import Missing, Negations, negations
from engine.questions.plan import change
from engine.questions.plan.change import Change, KeptOut, LastRun, SegmentChange
from engine.questions.plan.cost import Cost, cost_of, together
from engine.questions.plan.fitting import Fitting
from engine.questions.plan.gates import Asked, Outlook, outlook
from engine.questions.plan.head import Head, at_head
from engine.questions.plan.noted import Noted, noting
from engine.questions.plan.samples import Sample, posts_of, samples_of
from engine.questions.plan.warnings import warnings_of
from engine.questions.plan.writing import writing_of
from engine.rules.campaign import Campaign
from engine.rules.compile import audience_condition, let_in
from engine.rules.everybody import how_many_fit
from engine.rules.workspace import Workspace
from engine.store import Database

TOO_LATE = "It never ran, and its schedule has no start to come: nothing will be sent."


@dataclass(frozen=True, kw_only=True, slots=True)
class Planned:
    """One campaign. audience: who would be owed a message now; None for a public post or a triggered campaign.

    audience = sent + withheld, person by person; a campaign that is never sent again has an audience and no more.
    variants: how many of those sent to read which; empty where there is one text. held: how many of those sent to wait first, by reason. hours: sendings by the recipients' own clocks (`2026-03-02T10` →
    how many). kept_out: whom the rule fits and re-entry keeps out; they are not in the audience. sends_at, last_at: UTC;
    read: how many messages were written out, where that was an even draw of more: then what cannot be written, and the parts of
    SMS, are told from them. sends_at is now where an occurrence is due already. digest: a hash over the ids of the audience. since_head: None where
    the rules of git HEAD ask the same. missing: where a `not` takes customers in for want of a value.
    """

    campaign: str
    description: str
    channel: Channel
    message_class: MessageClass
    started_by: str
    sends_at: datetime | None
    last_at: datetime | None
    audience: int | None
    digest: str | None
    kept_out: int
    since_run: Change | None
    since_head: Change | None
    sent: int
    hours: Mapping[str, int]
    variants: Mapping[str, int]
    held: Mapping[Reason, int]
    withheld: Mapping[Reason, int]
    read: int | None
    cost: Cost
    samples: tuple[Sample, ...]
    missing: tuple[Missing, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class SinceHead:
    """What was changed since a git commit. segments: None where one campaign alone is asked about. `problem`: why it cannot be told."""

    commit: str
    segments: tuple[SegmentChange, ...] | None
    new: tuple[str, ...]
    removed: tuple[str, ...]
    problem: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """All campaigns as of an instant (UTC), the next to send first. since_head: None where nothing was changed since git HEAD.

    time_zone: the shop's, by whose clocks the page tells times. people: the audiences' whole digests, for the plan's file.
    """

    as_of: datetime
    time_zone: str
    fingerprint: str
    currency: str
    since_head: SinceHead | None
    campaigns: tuple[Planned, ...]
    channels: Mapping[Channel, Cost]
    people: Mapping[str, People]

    @property
    def warned(self) -> bool:
        return any(one.warnings for one in self.campaigns)


def plan(workspace: Workspace, database: Database, *, now: datetime, campaign: str | None = None) -> Plan:
    """Ask for all campaigns or for one. Raises UnknownName with the nearest one that exists.

    Each campaign is asked about for itself: what it would send may fill another's cap, and only a simulation sees that.
    """
    asked = [campaign_of(workspace, campaign)] if campaign else list(workspace.campaigns.values())
    with ExitStack() as stack:
        head = stack.enter_context(at_head(workspace))
        connection = stack.enter_context(database.reading())
        fitting = Fitting(connection=connection, workspace=workspace, now=now)
        noted = stack.enter_context(noting(connection, workspace.settings, now=now))
        planner = _Planner(connection=connection, workspace=workspace, head=head, noted=noted, now=now)
        planned = [planner.planned(one, fits) for one, fits in fitting.of(asked)]
        since_head = planner.since_head(segments=campaign is None)
    planned.sort(key=lambda one: (one.sends_at is None, one.sends_at or now, one.campaign))
    return Plan(
        as_of=now,
        time_zone=workspace.settings.time_zone.key,
        fingerprint=workspace.fingerprint,
        currency=workspace.settings.currency,
        since_head=since_head,
        campaigns=tuple(planned),
        channels={
            channel: together([one.cost for one in planned if one.channel is channel and one.sends_at is not None])
            for channel in dict.fromkeys(one.channel for one in planned)
        },
        people=planner.people,
    )


def file_of(planned: Plan, workspace: Workspace) -> PlanFile:
    """The plan as a file that a run can be held to."""
    audiences = [(workspace.campaigns[one.campaign], planned.people.get(one.campaign)) for one in planned.campaigns]
    return plan_file(workspace, audiences, now=planned.as_of)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Planner:
    """Everything that all campaigns are asked with."""

    connection: Connection
    workspace: Workspace
    head: Head | None
    noted: Noted
    now: datetime
    people: dict[str, People] = field(default_factory=dict)

    def planned(self, campaign: Campaign, fits: ColumnElement[bool] | None) -> Planned:
        """`fits`: whether its rule fits a customer; None where it has no customers of its own."""
        now, connection = self.now, self.connection
        chosen = let_in(campaign, fits, now=now) if fits is not None else None
        old = self.head.workspace if self.head else None
        comparison = change.compared(connection, self.workspace, campaign, old, now=now)
        kept = change.kept_out(connection, campaign, fits, comparison.run, now=now) if fits is not None else KeptOut()
        sends_at = self._sends_at(campaign)
        writing, problem = (
            writing_of(connection, self.workspace, campaign, at=sends_at) if sends_at is not None else (None, "")
        )
        asked = Asked(
            campaign=campaign,
            settings=self.workspace.settings,
            at=sends_at or now,
            writing=writing,
            folder=self.workspace.folder,
        )
        denied = self._negations(campaign) if fits is not None else Negations()
        extra = {**comparison.flags, **denied.flags}
        noted = self.noted.among(how_many_fit(connection), asked.terms) if fits is not None else None
        seen = Outlook() if campaign.trigger else outlook(connection, asked, chosen, extra, noted)
        if sends_at is None:
            seen.forget_fates()
        size, flags = seen.tally.count, seen.flags
        people = seen.tally.people() if chosen is not None else None
        if people is not None:
            self.people[campaign.campaign] = people
        return self._answer(
            asked,
            seen,
            sends_at=sends_at,
            people=people,
            run=comparison.run,
            kept_out=kept.customers,
            since_run=comparison.since_run(size=size, there=flags[change.LAST_RUN], kept=kept),
            since_head=comparison.since_head(connection, size=size, there=flags[change.HEAD]),
            missing=denied.told(flags.__getitem__),
            problem=problem,
        )

    def _answer(
        self,
        asked: Asked,
        seen: Outlook,
        *,
        sends_at: datetime | None,
        people: People | None,
        run: LastRun | None,
        kept_out: int,
        since_run: Change | None,
        since_head: Change | None,
        missing: tuple[Missing, ...],
        problem: str,
    ) -> Planned:
        campaign, settings = asked.campaign, asked.settings
        cost = cost_of(campaign.channel, settings.prices, seen.sent, seen.texts)
        held = holding(self.connection, campaign.campaign)
        warned = warnings_of(campaign, settings, seen, since_run=since_run, since_head=since_head, cost=cost, held=held)
        too_late = campaign.schedule is not None and sends_at is None and people is not None and run is None
        first = [problem] * bool(problem) + [TOO_LATE] * too_late
        return Planned(
            campaign=campaign.campaign,
            description=campaign.description,
            channel=campaign.channel,
            message_class=campaign.message_class,
            started_by="schedule" if campaign.schedule else "trigger",
            sends_at=sends_at,
            last_at=run.launched_at if run else None,
            audience=people.count if people else None,
            digest=people.hash if people else None,
            kept_out=kept_out,
            since_run=since_run,
            since_head=since_head,
            sent=seen.sent,
            hours=dict(sorted(seen.hours.items())),
            variants={name: seen.variants[name] for name in campaign.variants if seen.variants},
            held=dict(seen.held.most_common()),
            withheld=dict(seen.withheld.most_common()),
            read=seen.read,
            cost=cost,
            samples=self._samples(asked, seen),
            missing=missing,
            warnings=(*first, *warned, *map(str, missing)),
        )

    def _negations(self, campaign: Campaign) -> Negations:
        condition = audience_condition(self.workspace, campaign)
        return negations(self.workspace, condition, now=self.now, dialect=self.connection.dialect.name)

    def _samples(self, asked: Asked, seen: Outlook) -> tuple[Sample, ...]:
        if asked.writing is None:
            return ()
        return posts_of(seen.posts) or samples_of(self.connection, asked, asked.writing, seen.picks)

    def _sends_at(self, campaign: Campaign) -> datetime | None:
        """When the next run is launched: now, where an occurrence is due and was not launched yet."""
        if campaign.schedule is None:
            return None
        since = owed_since(self.connection, campaign.campaign, now=self.now)
        if due(campaign.schedule, campaign.catch_up, campaign.max_lateness, since=since, now=self.now):
            return self.now
        following = next_occurrence(campaign.schedule, after=self.now)
        return following.nominal_at if following else None

    def since_head(self, *, segments: bool) -> SinceHead | None:
        if self.head is None or (self.head.workspace is None and not self.head.problem):
            return None
        old = self.head.workspace
        if old is None:
            return SinceHead(commit=self.head.commit, segments=(), new=(), removed=(), problem=self.head.problem)
        there, before = self.workspace.campaigns.keys(), old.campaigns.keys()
        return SinceHead(
            commit=self.head.commit,
            segments=tuple(change.segment_changes(self.connection, self.workspace, old, now=self.now))
            if segments
            else None,
            new=tuple(sorted(there - before)),
            removed=tuple(sorted(before - there)),
        )


__all__ = ["Plan", "Planned", "SinceHead", "file_of", "plan"]
