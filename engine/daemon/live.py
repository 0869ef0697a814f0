"""The daemon on a clock that runs: schedules, chores at their intervals, signals."""

from __future__ import annotations

import gc
import signal
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime

import structlog
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger

from engine.campaigns.schedules import Schedule, next_occurrence
from engine.daemon.installation import RELOAD_SECONDS, Installation
from engine.errors import AnotherDatabase, RegularsError, StoreError
from engine.sending.dispatch import Kind
from engine.sending.restored import refuse_quarantined

log = structlog.get_logger()

SWITCH_SECONDS = 0.0005
"""A thread that computes lets others go on so often. Python's own 5 ms make a receipt wait for a bulk run at every step."""
OBJECTS = 20_000
"""So many are made before Python looks among the youngest for garbage. After its own 700 it looks several times in each group of
messages, and finds them all in use: a twelfth of a sender's time.
"""
COLLECT_SECONDS = 15
JUDGE_SECONDS = 10
LAUNCH_AGAIN_SECONDS = 15


def for_long_work() -> None:
    """Set up the process, once all is loaded, for threads that send for days beside others that answer at once."""
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.collect()
    gc.freeze()
    gc.set_threshold(OBJECTS, 20, 20)


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
