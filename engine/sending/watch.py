"""Somebody who watches: a campaign that goes badly is paused, and the rest of a run follows when its first part went well."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from engine.guards import Canary, Guards, OwnGuards, Stop
from engine.ledger import brakes, canaries
from engine.ledger.canaries import CanaryRun, Stage
from engine.ledger.tallies import at_work, forget, tally
from engine.model import MessageClass
from engine.sending.prepare import Setup
from engine.store import Database

log = structlog.get_logger()

ACTIVE = timedelta(minutes=5)
"""A campaign of which nothing left for so long needs no stopping."""

MOMENT = timedelta(microseconds=1)
LOOK_AGAIN = timedelta(minutes=1)
EARLY = 20
"""So many of a canary have to have left before it can be stopped ahead of its time."""


class Watch:
    """Any number of processes may look at once: each decision is made by one of them, and pausing twice is pausing once."""

    def __init__(self, *, setup: Callable[[], Setup], database: Database, now: Callable[[], datetime]) -> None:
        self._setup, self._database, self._now = setup, database, now
        self._tidied_at: datetime | None = None

    def look(self) -> bool:
        """Decide about everything there is to decide. True where something is due that was not before."""
        now = self._now()
        with self._database.reading() as connection:
            waiting, active = canaries.undecided(connection), at_work(connection, since=now - ACTIVE)
        for canary in waiting:
            self._watch(canary, now)
        for campaign in active:
            self._stop(campaign, now)
        released = canaries.let_go(self._database, now=now)
        if released:
            log.info("the rest follows its canary", messages=released)
        self._tidy(now)
        return released > 0

    def next_look(self, after: datetime) -> datetime | None:
        """When something is to be decided next; None where nothing is."""
        with self._database.reading() as connection:
            waiting = canaries.undecided(connection)
        moments = [canary.decide_at or after + LOOK_AGAIN for canary in waiting]
        return max(min(moments), after) if moments else None

    # ------------------------------------------------------------ canaries

    def _watch(self, canary: CanaryRun, now: datetime) -> None:
        terms = Canary.model_validate(canary.terms)
        with self._database.reading() as connection:
            seen = tally(connection, canary.campaign, since=canary.since, run_id=canary.run)
            unwritten = canaries.unwritten(connection, canary)
            left = canaries.has_left(connection, canary)
        seen = replace(seen, errors=seen.errors + unwritten)
        too_much = terms.exceeded(seen)
        if too_much and (left or seen.begun + unwritten >= EARLY):
            self._hold_back(canary, too_much, now)
        elif canary.stage is Stage.LEAVING and left:
            canaries.watch(self._database, canary, decide_at=now + terms.wait)
        elif canary.decide_at is not None and now >= canary.decide_at:
            if not seen.begun:
                self._hold_back(canary, "nobody of the first part could be written to", now)
            elif canaries.decide(self._database, canary, Stage.PASSED, why="", now=now):
                log.info("the canary went well", campaign=canary.campaign, run=canary.run, handed_over=seen.begun)

    def _hold_back(self, canary: CanaryRun, why: str, now: datetime) -> None:
        why = f"the first part of run {canary.run}: {why}"
        if canaries.decide(self._database, canary, Stage.STOPPED, why=why, now=now):
            brakes.stop(self._database, canary.campaign, why=why, now=now)
            log.error("stopped", campaign=canary.campaign, run=canary.run, why=why)

    # ------------------------------------------------------------ running campaigns

    def _stop(self, campaign: str, now: datetime) -> None:
        terms = self.terms_of(campaign)
        if terms is None:
            return
        with self._database.reading() as connection:
            if brakes.braked(connection)(campaign):
                return
            former = brakes.last_stop(connection, campaign)
            since = now - terms.within
            since = max(since, former + MOMENT) if former is not None else since
            seen = tally(connection, campaign, since=since)
        too_much = terms.exceeded(seen) if seen.begun >= terms.at_least else ""
        if too_much and brakes.stop(self._database, campaign, why=too_much, now=now):
            log.error("stopped", campaign=campaign, why=too_much)

    def terms_of(self, campaign: str) -> Stop | None:
        """When a campaign is to be stopped; None for never. A transactional one has only what it says for itself: a receipt is nobody's offer."""
        workspace = self._setup().workspace
        guards, known = workspace.settings.guards, workspace.campaigns.get(campaign)
        own = known.guards if known else OwnGuards()
        if known is not None and known.message_class is MessageClass.TRANSACTIONAL:
            return own.stop
        return guards.of(own).stop

    def _tidy(self, now: datetime) -> None:
        """Once an hour: what no guard looks back at any more."""
        if self._tidied_at is not None and now < self._tidied_at + timedelta(hours=1):
            return
        self._tidied_at = now
        workspace = self._setup().workspace
        every: list[Guards] = [workspace.settings.guards.of(one.guards) for one in workspace.campaigns.values()]
        longest = max((one.stop.within for one in (*every, workspace.settings.guards) if one.stop), default=timedelta())
        with self._database.reading() as connection:
            oldest = min((one.since for one in canaries.undecided(connection)), default=now)
        forget(self._database, before=min(now - longest, oldest) - timedelta(days=1))
