"""The daemon on a clock that jumps from one moment to the next, and a single pass at a given time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from engine.campaigns.launch import Launch
from engine.campaigns.planned import Refused
from engine.campaigns.schedules import next_occurrence
from engine.clock import SteppedClock
from engine.daemon.installation import Installation
from engine.sending.prepare import Setup
from engine.store import Database


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
