"""Launching: what run is this, and who is owed what? One transaction; the same occurrence twice is harmless."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from sqlalchemy import Connection, Select, select

from engine.campaigns.guards import begin_canary, refuse_lost, refuse_runaway
from engine.campaigns.schedules import Occurrence, due
from engine.content.templates import TemplateVersion, read_template
from engine.document import suggestion
from engine.errors import HeldBack, IntakeError, RegularsError, StoreError, UnknownName
from engine.ledger.brakes import braked, resume
from engine.ledger.canaries import Stage, decide, undecided
from engine.ledger.departures import note_departures
from engine.ledger.holds import Hold, hold, holding, release
from engine.ledger.owe import NewRun, OwedTo, open_run, owe
from engine.ledger.schedules import launched_until
from engine.model import Lane, Plain
from engine.rules.campaign import Campaign
from engine.rules.compile import audience, leaving
from engine.rules.workspace import Workspace
from engine.store import Database
from engine.store.tables import customers, messages

STEP = "main"
"""The one step of a campaign without a journey."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Launch:
    """A run that was launched: `new` is False where this occurrence had been launched before; `owed` counts its messages."""

    run_id: int
    campaign: str
    occurrence: str
    new: bool
    owed: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Triggered:
    """A trigger's run and its one message; `new` is False where the same call had been taken before."""

    run_id: int
    message_id: int
    new: bool


def campaign_of(workspace: Workspace, name: str) -> Campaign:
    """The campaign of this name. Raises UnknownName with the nearest one that exists."""
    if name not in workspace.campaigns:
        raise UnknownName(f'there is no campaign "{name}"', remedy=suggestion(name, workspace.campaigns))
    return workspace.campaigns[name]


Submit = Callable[[Connection, Lane, int], None]
"""Told, inside the transaction that owes them, how many messages of a lane there are: senders are to come when it commits."""


def nobody(_connection: Connection, _lane: Lane, _owed: int) -> None:
    """Whoever launches hands over himself, or leaves it to senders that look."""


def launch(
    workspace: Workspace,
    database: Database,
    campaign: Campaign,
    occurrence: Occurrence,
    *,
    now: datetime,
    submit: Submit = nobody,
    confirmed: bool = False,
) -> Launch:
    """Open the run of one occurrence and owe its messages to everybody who is in the audience at `now`.

    Raises HeldBack, with nothing done, where that is more than the guards allow and nobody has `confirmed` it.
    """
    version = _template(workspace.folder, campaign.template, workspace.fingerprint)
    chosen = audience(workspace, campaign, now=now, dialect=database.dialect)
    outside = leaving(workspace, campaign, now=now, dialect=database.dialect)
    with database.writing() as connection:
        run = _new_run(workspace, campaign, version, occurrence.key, occurrence.nominal_at, {})
        run_id, new = open_run(connection, database, run, now=now)
        owed, to = 0, _owed_to(campaign, chosen, Lane.BULK, now)
        if new:
            if not confirmed:
                refuse_lost(connection, campaign, occurrence.nominal_at, zone=workspace.settings.time_zone)
            canary = workspace.settings.guards.of(campaign.guards).canary
            to = replace(to, canary=canary.share) if canary is not None else to
            owed = owe(connection, database, run_id, campaign.campaign, to, now=now)
            if not confirmed:
                refuse_runaway(connection, workspace.settings, campaign, run_id=run_id, owed=owed)
            if canary is not None and chosen is not None:
                begin_canary(connection, canary, run_id, campaign.campaign, owed=owed, now=now)
            if outside is not None:
                note_departures(connection, database, campaign.campaign, outside, now=now)
        submit(connection, Lane.BULK, owed)
    return Launch(run_id=run_id, campaign=campaign.campaign, occurrence=occurrence.key, new=new, owed=owed)


def _raise(_campaign: str, error: RegularsError) -> None:
    raise error


def launch_due(
    workspace: Workspace,
    database: Database,
    *,
    now: datetime,
    allowed: Callable[[Campaign], bool] = lambda _campaign: True,
    failed: Callable[[str, RegularsError], None] = _raise,
    submit: Submit = nobody,
) -> list[Launch]:
    """Launch every occurrence of every scheduled campaign that is due and was not launched yet, oldest first. One of a
    campaign that is paused stays due, as long as its `max_lateness` says.

    `allowed` is asked before each launch; what it refuses stays due. `failed` is told of a campaign that cannot be
    launched (it stays due, too), and the others go on; without it the error is raised, as one of the database always is.
    """
    launched = []
    with database.reading() as connection:
        paused, held = braked(connection), {(one.campaign, one.occurrence): one for one in holding(connection)}
    for _, name, occurrence in sorted(_waiting(workspace, database, now), key=lambda item: item[:2]):
        campaign = workspace.campaigns[name]
        if paused(name) or not allowed(campaign):
            continue
        before = held.get((name, occurrence.key))
        if before is not None and before.fingerprint == workspace.fingerprint:
            failed(name, HeldBack(before.why))  # counting everybody again would find the same
            continue
        try:
            launched.append(launch(workspace, database, campaign, occurrence, now=now, submit=submit))
        except StoreError:
            raise
        except HeldBack as error:
            hold(database, _held(workspace, campaign, occurrence, error, now))
            failed(name, error)
        except RegularsError as error:
            failed(name, error)
    return launched


def _held(workspace: Workspace, campaign: Campaign, occurrence: Occurrence, error: HeldBack, now: datetime) -> Hold:
    return Hold(
        campaign=campaign.campaign,
        occurrence=occurrence.key,
        nominal_at=occurrence.nominal_at,
        since=now,
        why=str(error),
        fingerprint=workspace.fingerprint,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class LetGo:
    """What a person let go: a launch that was held, or the rest of these runs, whose first part had not gone well."""

    launched: Launch | None
    runs: tuple[int, ...]


def let_go(workspace: Workspace, database: Database, name: str, *, by: str, now: datetime) -> LetGo:
    """Let go what a guard holds of a campaign, because somebody has looked: its newest occurrence, launched to whoever is
    in the audience now; or the rest of a run behind its canary, and the campaign's pause with it.

    Raises UnknownName where there is no such campaign, or nothing of it is held.
    """
    campaign = campaign_of(workspace, name)
    with database.reading() as connection:
        held, stopped = holding(connection, name), undecided(connection, Stage.STOPPED, campaign=name)
    if not held and not stopped:
        raise UnknownName(f'nothing of "{name}" is held', remedy="`regulars plan` says when it is launched.")
    for canary in stopped:
        decide(database, canary, Stage.PASSED, why=f"{canary.why}; let go by {by}", now=now)
    if stopped:
        resume(database, name)
    return LetGo(
        launched=_launch_held(workspace, database, campaign, held[0], by, now) if held else None,
        runs=tuple(canary.run for canary in stopped),
    )


def _launch_held(
    workspace: Workspace, database: Database, campaign: Campaign, held: Hold, by: str, now: datetime
) -> Launch:
    occurrence = Occurrence(key=held.occurrence, nominal_at=held.nominal_at)
    launched = launch(workspace, database, campaign, occurrence, now=now, confirmed=True)
    release(database, held, by=by, now=now)
    return launched


def _waiting(workspace: Workspace, database: Database, now: datetime) -> Iterator[tuple[datetime, str, Occurrence]]:
    for campaign in workspace.campaigns.values():
        if campaign.schedule is not None:
            since = launched_until(database, campaign.campaign, now=now)
            for occurrence in due(campaign.schedule, campaign.catch_up, campaign.max_lateness, since=since, now=now):
                yield occurrence.nominal_at, campaign.campaign, occurrence


def trigger(
    workspace: Workspace,
    connection: Connection,
    database: Database,
    name: str,
    *,
    customer: str,
    data: Mapping[str, Plain],
    occurrence: str,
    now: datetime,
    submit: Submit = nobody,
) -> Triggered:
    """Owe one customer (by external id) the message of a triggered campaign, inside the caller's transaction.

    The same `occurrence` is the same message. Raises UnknownName, or IntakeError where the campaign is not triggered.
    """
    campaign = campaign_of(workspace, name)
    if campaign.trigger is None:
        raise IntakeError(
            f'the campaign "{name}" has a schedule and cannot be triggered',
            remedy="Give it `trigger:` instead of `schedule:`.",
        )
    who = select(customers.c.id).where(customers.c.external_id == customer)
    if connection.execute(who).first() is None:
        raise UnknownName(
            f'there is no customer "{customer}"',
            remedy="Import the customer, or send the customer's data with the trigger.",
        )
    version = _template(workspace.folder, campaign.template, workspace.fingerprint)
    run_id, new = open_run(connection, database, _new_run(workspace, campaign, version, occurrence, now, data), now=now)
    if new:
        owed = owe(connection, database, run_id, name, _owed_to(campaign, who, Lane.TRIGGERED, now), now=now)
        submit(connection, Lane.TRIGGERED, owed)
    message_id = connection.execute(select(messages.c.id).where(messages.c.run_id == run_id)).scalar_one()
    return Triggered(run_id=run_id, message_id=message_id, new=new)


def keep_templates(workspace: Workspace) -> None:
    """Read every campaign's template now, with the rules: what is edited later is launched only once it was taken over."""
    for campaign in workspace.campaigns.values():
        _template(workspace.folder, campaign.template, workspace.fingerprint)


@lru_cache(maxsize=4096)
def _template(folder: Path, name: str, _fingerprint: str) -> TemplateVersion:
    """A template as the rules in force know it: read once for each fingerprint of the workspace, not at every launch."""
    return read_template(folder / "templates", name)


def _owed_to(campaign: Campaign, chosen: Select[tuple[int]] | None, lane: Lane, now: datetime) -> OwedTo:
    return OwedTo(
        audience=chosen,
        step=STEP,
        channel=campaign.channel,
        message_class=campaign.message_class,
        delivery=campaign.delivery_class,
        lane=lane,
        publishers=campaign.providers,
        not_after=now + campaign.not_later_than if campaign.not_later_than is not None else None,
    )


def _new_run(
    workspace: Workspace,
    campaign: Campaign,
    version: TemplateVersion,
    occurrence: str,
    nominal_at: datetime,
    data: Mapping[str, Plain],
) -> NewRun:
    definition = campaign.model_dump(mode="json", by_alias=True)
    written = json.dumps(definition, sort_keys=True, separators=(",", ":"))
    return NewRun(
        campaign=campaign.campaign,
        occurrence=occurrence,
        nominal_at=nominal_at,
        definition=definition,
        definition_hash=hashlib.sha256(written.encode()).hexdigest(),
        rules_commit=workspace.version,
        template_name=version.name,
        template_hash=version.hash,
        template_sources=version.sources,
        channel=campaign.channel,
        data=data,
    )
