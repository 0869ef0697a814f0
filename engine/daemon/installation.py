"""A workspace at work: its rules in force, its database, its sender, whatever its clock."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path

import structlog

from engine.campaigns.answers import answer
from engine.campaigns.launch import Launch, keep_templates, launch_due
from engine.campaigns.planned import PlanFile, Refused, objection, read_plan
from engine.clock import Clock
from engine.content.links import Links
from engine.errors import RegularsError, Severity, WorkspaceError
from engine.intake.inboxes import collect
from engine.ledger.engagement import catch_up, use_scanners
from engine.ledger.inboxes import Look
from engine.ledger.record import record_events
from engine.model import Channel, EventName
from engine.provider import Http, ProviderEvent
from engine.questions.check import check
from engine.rules.campaign import Campaign
from engine.rules.workspace import Workspace, fingerprint, load_workspace
from engine.sending.dispatch import dispatcher_for
from engine.sending.prepare import Setup
from engine.sending.providers import open_providers
from engine.sending.restored import begin_watched
from engine.sending.sender import Sender
from engine.sending.witness import Witness
from engine.store import Database, open_database

log = structlog.get_logger()

RELOAD_SECONDS = 2


def open_workspace_database(workspace: Workspace, url: str | None = None) -> Database:
    """The workspace's database, or the one at `url`, brought up to date."""
    settings = workspace.settings
    return open_database(url or settings.database, secret=settings.secret.reveal(), folder=workspace.folder)


def set_up(folder: Path) -> Setup:
    """Read the workspace whole and open its providers.

    Raises WorkspaceError with everything `check` calls an error, ProviderError or SecretMissing.
    """
    workspace = load_workspace(folder)
    errors = [problem for problem in check(folder) if problem.severity is Severity.ERROR]
    if errors:
        raise WorkspaceError(errors, folder=folder)
    keep_templates(workspace)
    settings = workspace.settings
    links = Links(settings.secret.reveal(), settings.public_url)
    http = Http(inside=settings.sending.image_hosts)
    return Setup(workspace=workspace, providers=open_providers(settings, http, workspace.folder), links=links)


class Installation:
    """A workspace at work: its rules in force, its database, its sender. Shared by the live and the stepped daemon.

    A simulation gives other providers (`setup`) and another database than the workspace's own; a worker on another machine
    may know that one by another `url`.
    """

    def __init__(
        self,
        folder: Path,
        clock: Clock,
        *,
        setup: Setup | None = None,
        database: Database | None = None,
        url: str | None = None,
        sends: bool = True,
    ) -> None:
        """`sends`: whether anything is handed over from here. Raises Quarantined where that may double."""
        self.folder, self.clock = folder, clock
        self.setup = setup or set_up(folder)
        self.database = database or open_workspace_database(self.setup.workspace, url)
        self.witness: Witness | None = None
        if sends:
            settings = self.setup.workspace.settings
            self.witness = begin_watched(self.database, url or settings.database, folder, settings, now=clock.now())
        self.sender = Sender(setup=lambda: self.setup, database=self.database, clock=clock, witness=self.witness)
        self.dispatcher = dispatcher_for(self.sender, self.database, clock)
        self.plan: PlanFile | None = None
        self.refused: dict[str, Refused] = {}
        self._not_taken_over: str | None = None
        self._troubled: dict[tuple[str, str], str] = {}

    def hold_to(self, plan: Path) -> None:
        """From now on launch only what is as it was planned. What is refused is in `refused`, by campaign, and stays due.

        Raises RegularsError where the file is no plan of this workspace.
        """
        self.plan = read_plan(plan, self.setup.workspace)

    def reload(self) -> bool:
        """Take over changed rules. Wrong ones are reported and the former stay in force. True where something changed."""
        present = fingerprint(self.folder)
        if present in (self.setup.workspace.fingerprint, self._not_taken_over):
            return False
        try:
            self.setup = set_up(self.folder)
        except RegularsError as error:
            self._not_taken_over = present  # said once, not every other second
            log.error(
                "the changed rules are not taken over",
                problems=len(error.problems) if isinstance(error, WorkspaceError) else 1,
                first=str(error).splitlines()[0],
            )
            return False
        log.info("rules reloaded", fingerprint=self.setup.workspace.fingerprint[:12])
        return True

    def keep_current(self, stop: threading.Event) -> None:
        """Look for changed rules every other second, until `stop`."""
        while not stop.wait(RELOAD_SECONDS):
            self.reload()

    def launch_due(self) -> list[Launch]:
        """Launch what is due now."""
        launched = launch_due(
            self.setup.workspace,
            self.database,
            now=self.clock.now(),
            allowed=self._as_planned,
            failed=self._failed,
            submit=self.dispatcher.submit,
        )
        for run in launched:
            if run.new:
                log.info("launched", campaign=run.campaign, occurrence=run.occurrence, run=run.run_id, owed=run.owed)
        return launched

    def _as_planned(self, campaign: Campaign) -> bool:
        if self.plan is None:
            return True
        refused = objection(self.plan, self.setup.workspace, self.database, campaign, now=self.clock.now())
        if refused is None:
            self.refused.pop(campaign.campaign, None)
            return True
        self._refuse(refused)
        return False

    def _failed(self, campaign: str, error: RegularsError) -> None:
        self._refuse(Refused(campaign=campaign, why=str(error)))

    def _refuse(self, refused: Refused) -> None:
        if self.refused.get(refused.campaign) != refused:
            log.error("not launched", campaign=refused.campaign, why=refused.why)
        self.refused[refused.campaign] = refused

    def collect(self, stopping: Callable[[], bool] = lambda: False) -> list[Look]:
        """Take what waits in the providers' mailboxes, and what they tell when asked. One that cannot be read is said once."""
        providers, clock = self.setup.providers, self.clock
        looks = collect(self.database, providers, clock, record=self._record, stopping=stopping)
        for look in looks:
            where, former = (look.provider, look.name), self._troubled.get((look.provider, look.name), "")
            if look.problem and look.problem != former:
                log.error("reports cannot be fetched", provider=look.provider, problem=look.problem)
            self._troubled[where] = look.problem
            if look.taken:
                log.info("reports taken", provider=look.provider, taken=look.taken)
        return looks

    def judge(self, stopping: Callable[[], bool] = lambda: False) -> None:
        """Judge opens and clicks anew that an older rule judged, or other addresses of scanners."""
        if use_scanners(self.database, self.setup.workspace.settings.tracking.scanners):
            log.info("the addresses of scanners changed: opens and clicks are judged anew")
        while not stopping() and catch_up(self.database):
            pass

    def _record(
        self, database: Database, told: Sequence[ProviderEvent], *, provider: str, now: datetime, channel: Channel
    ) -> None:
        setup = self.setup
        record_events(
            database,
            told,
            provider=provider,
            now=now,
            channel=channel,
            invited=setup.links.read_invitation,
            answer=partial(answer, setup.workspace, database, now=now, submit=self.dispatcher.submit),
            soft_bounces=setup.workspace.settings.soft_bounces,
        )
        if any(event.name is EventName.REPLIED for event in told):
            self.dispatcher.wake()  # somebody may wait for an answer

    def close(self) -> None:
        self.dispatcher.stop()
        for provider in self.setup.providers.values():
            provider.close()
        if self.witness:
            self.witness.close()
        self.database.close()
