"""The clock's door: the daemon. It fires schedules, keeps the senders running, takes in what providers' mailboxes hold,
reloads the rules and stops cleanly.

The ledger is the truth; a schedule's firing is only a reason to look. Two daemons, a restart or a missed tick launch
nothing twice and forget nothing, because an occurrence is a unique row.
"""

from __future__ import annotations

import gc
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Protocol

import structlog
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger

from engine.campaigns.answers import answer
from engine.campaigns.launch import Launch, keep_templates, launch_due
from engine.campaigns.planned import PlanFile, Refused, objection, read_plan
from engine.campaigns.schedules import Schedule, next_occurrence
from engine.clock import Clock, SteppedClock
from engine.content.links import Links
from engine.errors import AnotherDatabase, RegularsError, Severity, StoreError, WorkspaceError
from engine.intake.inboxes import collect
from engine.ledger.engagement import catch_up, use_scanners
from engine.ledger.inboxes import Look
from engine.ledger.record import record_events
from engine.model import Channel, EventName
from engine.provider import Http, ProviderEvent
from engine.questions.check import check
from engine.rules.campaign import Campaign
from engine.rules.workspace import Workspace, fingerprint, load_workspace
from engine.sending.dispatch import Kind, dispatcher_for
from engine.sending.prepare import Setup
from engine.sending.providers import open_providers
from engine.sending.restored import begin_watched, refuse_quarantined
from engine.sending.sender import Sender
from engine.sending.witness import Witness
from engine.store import Database, open_database

log = structlog.get_logger()

SWITCH_SECONDS = 0.0005
"""A thread that computes lets others go on so often. Python's own 5 ms make a receipt wait for a bulk run at every step."""
OBJECTS = 20_000
"""So many are made before Python looks among the youngest for garbage. After its own 700 it looks several times in each group of
messages, and finds them all in use: a twelfth of a sender's time.
"""
RELOAD_SECONDS = 2
COLLECT_SECONDS = 15
JUDGE_SECONDS = 10
LAUNCH_AGAIN_SECONDS = 15


def for_long_work() -> None:
    """Set up the process, once all is loaded, for threads that send for days beside others that answer at once."""
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.collect()
    gc.freeze()
    gc.set_threshold(OBJECTS, 20, 20)


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


class _Occurrences(BaseTrigger):  # type: ignore[misc]
    """A campaign's schedule as APScheduler's trigger: our occurrences, with our rules for clock changes."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule

    def get_next_fire_time(self, previous: datetime | None, now: datetime) -> datetime | None:
        following = next_occurrence(self.schedule, after=previous or now)
        return following.nominal_at if following else None


class Daemon:
    """The live daemon, on a clock that runs. A worker is one that launches nothing: it hands over what the others owe."""

    def __init__(self, installation: Installation, *, kind: Kind = Kind.DAEMON) -> None:
        self.installation, self.kind = installation, kind
        # Its job store stays in memory: schedules come from the rules, what was launched is in the ledger.
        self._scheduler = BackgroundScheduler(
            timezone=UTC, job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
        )
        self._stop = threading.Event()

    def run(self, *, on_ready: Callable[[], None] = lambda: None) -> None:
        """Work until SIGTERM or SIGINT; then finish the messages in flight and return."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop.set())
        for_long_work()
        self.start()
        on_ready()
        try:
            while not self._stop.wait(1.0):  # a bounded wait, so that signals are seen on every platform
                self._refuse_restored()
        finally:
            self.stop()

    def start(self) -> None:
        """Begin: catch up on what was missed, start the senders, keep the schedules."""
        self._launch()
        self.installation.dispatcher.start(self.kind)
        self._schedule()
        self._scheduler.add_job(self._reload, "interval", seconds=RELOAD_SECONDS, id="reload")
        # What failed at its time (a locked database, say) is due still: looking again costs little and launches nothing twice.
        self._scheduler.add_job(self._launch, "interval", seconds=LAUNCH_AGAIN_SECONDS, id="launch again")
        if self.kind is Kind.DAEMON:
            self._scheduler.add_job(self._collect, "interval", seconds=COLLECT_SECONDS, id="collect")
            self._scheduler.add_job(self._judge, "interval", seconds=JUDGE_SECONDS, id="judge")
        self._scheduler.start()
        campaigns = len(self.installation.setup.workspace.campaigns)
        log.info("running", kind=self.kind.value, sender=self.installation.sender.name, campaigns=campaigns)

    def stop(self) -> None:
        """End cleanly: no new launches, messages in flight settled, the rest given back."""
        self._stop.set()
        self._scheduler.shutdown(wait=True)
        self.installation.close()
        log.info("stopped")

    def _refuse_restored(self) -> None:
        """A database that was put in the place of ours, or that somebody else found out, is nothing to send from."""
        try:
            self.installation.database.same.look()
            zone = self.installation.setup.workspace.settings.time_zone
            refuse_quarantined(self.installation.database, zone)
        except AnotherDatabase:
            raise
        except StoreError:  # those who use it tell that it is down
            pass

    def _schedule(self) -> None:
        for job in self._scheduler.get_jobs():
            if job.id.startswith("campaign "):
                job.remove()
        for campaign in self.installation.setup.workspace.campaigns.values():
            if campaign.schedule is not None and self.kind is Kind.DAEMON:
                self._scheduler.add_job(
                    self._launch, _Occurrences(campaign.schedule), id=f"campaign {campaign.campaign}"
                )

    def _launch(self) -> None:
        if self.kind is Kind.WORKER:
            return
        try:
            if self.installation.launch_due():
                self.installation.dispatcher.wake()
        except RegularsError as error:
            log.error("nothing could be launched", error=str(error))

    def _collect(self) -> None:
        try:
            self.installation.collect(self._stop.is_set)
        except RegularsError as error:
            log.error("reports could not be taken", error=str(error))

    def _judge(self) -> None:
        try:
            self.installation.judge(self._stop.is_set)
        except RegularsError as error:
            log.error("opens and clicks could not be judged anew", error=str(error))

    def _reload(self) -> None:
        if self.installation.reload():
            self._schedule()
            self._launch()


class World(Protocol):
    """Something outside that acts at times of its own while a stepped daemon runs: recipients, a shop's checkout."""

    def next_at(self, after: datetime) -> datetime | None:
        """When it next wants to act, not before `after`; None when it has nothing to do."""
        ...

    def act(self, now: datetime) -> None:
        """Do everything due at `now`."""
        ...


class Stepped:
    """The daemon over a clock that jumps from one moment to the next at which something happens: years in a minute.

    The same launching, the same senders and the same web door as live; only the waiting is left out.
    """

    def __init__(
        self,
        folder: Path,
        *,
        start: datetime,
        end: datetime,
        others: Sequence[World] = (),
        setup: Setup | None = None,
        database: Database | None = None,
    ) -> None:
        self.clock = SteppedClock(start)
        self.installation = Installation(folder, self.clock, setup=setup, database=database, sends=database is None)
        self.others, self.end = list(others), end
        self.counts: Counter[str] = Counter()
        self._next_launch: datetime | None = start  # at the start, campaigns become known

    def run(self, *, on_step: Callable[[datetime], None] = lambda now: None) -> Counter[str]:
        """Step to the end. Returns how many messages ended how. `on_step` is told each moment after it is done."""
        while True:
            now = self.clock.now()
            self._step(now)
            on_step(now)
            following = self.next_moment(now)
            if following is None or following > self.end:
                self.clock.set(self.end)
                return self.counts
            self.clock.set(following)

    def _step(self, now: datetime) -> None:
        for world in self.others:
            world.act(now)
        if self._next_launch is not None and now >= self._next_launch:
            self.installation.launch_due()
            self._next_launch = self._next_occurrence(now)
        self.counts.update(self.installation.sender.drain())

    def next_moment(self, now: datetime) -> datetime | None:
        """The earliest instant after `now` at which a schedule, an open message or the world wants something."""
        later = now + timedelta(microseconds=1)
        sender = self.installation.sender
        moments = [sender.next_due(later), sender.next_decision(later), self._next_launch]
        moments += [world.next_at(later) for world in self.others]
        return min((moment for moment in moments if moment is not None), default=None)

    def _next_occurrence(self, now: datetime) -> datetime | None:
        schedules = [
            campaign.schedule for campaign in self.installation.setup.workspace.campaigns.values() if campaign.schedule
        ]
        following = [next_occurrence(schedule, after=now) for schedule in schedules]
        return min((occurrence.nominal_at for occurrence in following if occurrence), default=None)


def once(
    folder: Path, *, now: datetime, plan: Path | None = None
) -> tuple[list[Launch], Counter[str], tuple[Refused, ...]]:
    """One pass at a given time: launch what is due, hand over what is due, tidy up; for a machine's own timer.

    Held to a plan, it also returns what it refused to launch.
    """
    installation = Installation(folder, SteppedClock(now))
    try:
        if plan is not None:
            installation.hold_to(plan)
        installation.collect()
        installation.judge()
        launched, counts = installation.launch_due(), installation.sender.drain()
        return launched, counts, tuple(installation.refused.values())
    finally:
        installation.close()
