"""How fast: the limits that all senders keep together, and the breakers of this process.

They are asked twice. Before messages of a bulk run are claimed, a look says how many of it could leave now: thousands
that could not are left alone. And right before their intents are written, each takes its places, or is told when to come
again: only then it is known where each one goes, and meanwhile somebody else may have been faster.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

import structlog
from sqlalchemy.exc import SQLAlchemyError

from engine.errors import StoreError
from engine.ledger import outages, rates
from engine.ledger.buckets import UNLIMITED, Bucket
from engine.ledger.hand_over import Held
from engine.ledger.rates import EMPTY, Level, Wanted
from engine.ledger.spending import FREE, Cost
from engine.model import Reason
from engine.provider import NotSent, Outcome, Outgoing
from engine.routing import Hop
from engine.sending.breaker import Breakers, tells_nothing
from engine.sending.cost import cost_of
from engine.sending.retry import LONGEST_WAIT
from engine.sending.runs import Launched, Runs
from engine.sending.under import of_campaign, of_new_sender, of_provider, of_recipient, of_sender, provider_key
from engine.store import Database

if TYPE_CHECKING:
    from engine.sending.prepare import Leaving, Setup

log = structlog.get_logger()

KEPT = timedelta(days=3)
"""A bucket that nobody used for so long, nor for `retry_for`, is dropped; a warm-up counts no further back than to its day's
beginning.
"""

LOOK_AGAIN = timedelta(milliseconds=20)
BUSY = timedelta(milliseconds=100)
"""Whoever finds another sender at work, where there is work for one only, looks again so much later."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """How many of a run's messages may leave now; where it is none, from when on some may. `keys`: of whose places they are.
    `alone`: at which of its providers there is work for one sender only.
    """

    room: int
    opens: datetime
    keys: frozenset[str] = frozenset()
    alone: frozenset[str] = frozenset()


class Expected:
    """The places that a claim is about to take, of a run or (None) of the triggered lane, which knows no limits before.

    The other threads of this process do not count on them meanwhile: `beside` has their number by bucket. And until it is
    `over` they leave the providers to it where it is `alone`.
    """

    def __init__(
        self,
        places: int,
        *,
        run_id: int | None = None,
        keys: Iterable[str] = (),
        alone: Iterable[str] = (),
        beside: Beside | None = None,
    ) -> None:
        self.places, self.run_id, self._beside = 0, run_id, beside
        self._keys, self._alone = tuple(keys), tuple(alone)
        self.become(places)
        if beside is not None:
            beside.add(self._alone, 1)

    def become(self, places: int) -> None:
        """So many from now on."""
        if self._beside is not None:
            self._beside.add(self._keys, places - self.places)
        self.places = places

    def taken(self, places: int) -> None:
        """So many of them were taken, or are not wanted any more."""
        self.become(max(0, self.places - places))

    def over(self) -> None:
        """Nothing more of this claim will leave."""
        self.become(0)
        if self._beside is not None:
            self._beside.add(self._alone, -1)
        self._alone = ()


class Beside:
    """How many places of each bucket the threads of this process are about to take."""

    def __init__(self) -> None:
        self._counts, self._lock = Counter[str](), threading.Lock()

    def add(self, keys: Iterable[str], places: int) -> None:
        with self._lock:
            self._counts.update(dict.fromkeys(keys, places))

    def of_all(self, keys: Iterable[str]) -> Mapping[str, int]:
        with self._lock:
            return {key: self._counts[key] for key in keys}


class Limits:
    """Shared by the senders of a process. `breakers` are the process's own; everything else is in the database.

    Where they are not `enforced`, everything leaves at once: a test of the rules asks whether, not when.
    """

    def __init__(self, database: Database, setup: Callable[[], Setup], runs: Runs, *, enforced: bool = True) -> None:
        self.breakers = Breakers()
        self._database, self._setup, self._runs = database, setup, runs
        self._closed: Mapping[str, datetime] = {}  # what vendors asked for, as of the last time we looked
        self._beside, self._looking = Beside(), threading.Lock()
        self._opens: dict[int, datetime] = {}
        self._spent: Mapping[int, tuple[datetime, str]] = {}
        self._enforced = enforced
        self._forgotten_at: datetime | None = None

    # ------------------------------------------------------------ the look before a claim

    def expect(self, run_id: int, *, most: int, now: datetime) -> Expected | None:
        """The places that a claim of this run may take, at most so many; None where there is none now."""
        if not self._enforced:
            return Expected(most, run_id=run_id)
        with self._looking:  # one after the other: else two would see the same places
            look = self._seen(run_id, now)
            if not look.room:
                self._opens[run_id] = max(look.opens, now + LOOK_AGAIN)
                return None
            self._opens.pop(run_id, None)
            places = min(most, look.room)
            return Expected(places, run_id=run_id, keys=look.keys, alone=look.alone, beside=self._beside)

    def opens(self, run_id: int, now: datetime) -> datetime:
        """From when on some of a run's messages may leave, as far as it is known now."""
        return self._seen(run_id, now).opens

    def _seen(self, run_id: int, now: datetime) -> Look:
        try:
            return self.look(run_id, now)
        except StoreError:
            raise
        except Exception:  # such a run is no limits' matter: once it is claimed, it is put off and logged
            return Look(room=UNLIMITED, opens=now)

    def look(self, run_id: int, now: datetime) -> Look:
        """What the limits that a whole run is under leave it. A hint: nothing is taken."""
        if tomorrow := self._waits_for_tomorrow(run_id, now):
            return Look(room=0, opens=tomorrow)
        run = self._runs.get(run_id)
        setup = self._setup()
        settings = setup.workspace.settings
        route = settings.route(run.campaign.channel, run.campaign.message_class)
        common = of_campaign(run.campaign)
        ways = {hop: self._run_wide(hop) for hop in route.all_hops()} if route else {}
        keys = frozenset(bucket.key for buckets in (common, *ways.values()) for bucket in buckets)
        alone = frozenset(_alone_at(hop.provider) for hop in ways if _one_caller(setup, hop.provider))
        if any(self._beside.of_all(alone).values()):
            return Look(room=0, opens=now + BUSY)
        # Before the levels: who takes places in between counts twice, and never not at all.
        beside = self._beside.of_all(keys)
        levels = rates.levels(self._database, keys) if keys else {}
        left = partial(self._left, levels=levels, beside=beside, now=now)
        whole = left(common, common)
        looks = [self._through(hop, left(own, (*own, *common)), now) for hop, own in ways.items()]
        room = min(whole.room, max((one.room for one in looks), default=UNLIMITED))
        opens = max(whole.opens, min((one.opens for one in looks), default=now))
        return Look(room=room, opens=opens, keys=keys, alone=alone)

    def opens_within(self, seconds: float, now: datetime) -> float | None:
        """In how many seconds a run that was looked at in vain may be looked at again; None if not so soon."""
        ahead = [
            opens - now for opens in tuple(self._opens.values()) if opens > now
        ]  # other threads write it meanwhile
        left = min(ahead, default=timedelta.max).total_seconds()
        return left if left <= seconds else None

    def _run_wide(self, hop: Hop) -> tuple[Bucket, ...]:
        setup = self._setup()
        provider = of_provider(hop.provider, setup.providers.get(hop.provider), closed=False)
        return (*provider, *of_sender(setup.workspace.settings, hop.sender))

    def _left(
        self,
        buckets: Iterable[Bucket],
        way: Iterable[Bucket],
        *,
        levels: Mapping[str, Level],
        beside: Mapping[str, int],
        now: datetime,
    ) -> Look:
        """Who is slow for another reason need not wait until there is much room: `way` has all the limits of a way."""
        room, opens, count = UNLIMITED, now, min((bucket.worth_while for bucket in way), default=1)
        for bucket in buckets:
            level = levels.get(bucket.key, EMPTY)
            opens = max(opens, level.closed_until or now, bucket.opens(level.taken, now=now, bulk=True, count=count))
            room = min(room, bucket.room(level.taken, now=now, bulk=True) - beside[bucket.key])
        return Look(room=max(0, room) if opens <= now else 0, opens=opens)

    def _through(self, hop: Hop, left: Look, now: datetime) -> Look:
        """The same, where the provider may be closed or fail."""
        waits = self._closed.get(hop.provider), self.breakers.waits_until(hop.provider, now)
        opens = max(left.opens, *(until or now for until in waits))
        most = 1 if self.breakers.tries(hop.provider) else UNLIMITED
        return Look(room=min(left.room, most) if opens <= now else 0, opens=opens)

    # ------------------------------------------------------------ right before the intents

    def admit(
        self, group: Sequence[Leaving], expected: Expected, *, bulk: bool, now: datetime
    ) -> tuple[list[Leaving], list[Held]]:
        """Of a provider's group, in the bulk lane all of one run: who leaves now, with places taken everywhere; and who comes
        again when. Whom the provider's breaker holds back takes no place.
        """
        if not self._enforced:
            return [*group], []
        name = group[0].intent.provider
        most = self.breakers.admit(name, len(group), now)
        until, why = self.breakers.waits_until(name, now) or now, self.breakers.reason(name)
        held = [Held(message=one.message, until=until, reason=why) for one in group[most:]]
        queue = f"run {group[0].message.run_id}" if bulk else "triggered"
        told = rates.take(self._database, self._wanted(group[:most], now), queue=queue, bulk=bulk, now=now)
        expected.taken(len(group))
        leaving = [one for one in group[:most] if one.message.id not in told]
        held += [
            Held(message=one.message, until=told[one.message.id].at, reason=Reason.RATE_LIMITED)
            for one in group[:most]
            if one.message.id in told
        ]
        if most and not leaving:
            self.breakers.not_tried(name, now)
        return leaving, held

    def _wanted(self, group: Sequence[Leaving], now: datetime) -> list[Wanted]:
        if not group:
            return []
        settings, name = self._setup().workspace.settings, group[0].intent.provider
        closed = self._closed.get(name)
        provider = of_provider(name, group[0].provider, closed=closed is not None and closed > now)
        wanted, shared = [], dict[tuple[int, str], tuple[Bucket, ...]]()
        for one in group:
            run_id, sender = one.message.run_id, one.outgoing.sender
            if (run_id, sender) not in shared:
                of_its_sender = (*of_new_sender(settings, sender), *of_sender(settings, sender))
                of_its_run = of_campaign(self._runs.get(run_id).campaign)
                shared[run_id, sender] = (*of_its_run, *of_its_sender, *provider)
            buckets = (*of_recipient(settings, one.outgoing.channel, one.outgoing.to), *shared[run_id, sender])
            if buckets:
                wanted.append(Wanted(message_id=one.message.id, buckets=buckets))
        return wanted

    # ------------------------------------------------------------ money

    def cost(self, run: Launched, outgoing: Outgoing, now: datetime) -> Cost:
        """What it costs, and the caps in force: those of the campaign's file as it is now."""
        if not self._enforced:
            return FREE
        workspace = self._setup().workspace
        campaign = workspace.campaigns.get(run.campaign.campaign, run.campaign)
        return cost_of(workspace.settings, campaign, run.run_id, outgoing, now=now)

    def spent(self, run_id: int, until: datetime) -> None:
        """Nothing more of this run fits into the day: it is not claimed before the next one, unless the rules change."""
        self._spent = {**self._spent, run_id: (until, self._setup().workspace.fingerprint)}

    def _waits_for_tomorrow(self, run_id: int, now: datetime) -> datetime | None:
        until, rules = self._spent.get(run_id, (now, ""))
        return until if until > now and rules == self._setup().workspace.fingerprint else None

    # ------------------------------------------------------------ what vendors say

    def heard(self, provider: str, outcomes: Sequence[Outcome], now: datetime) -> None:
        """How hand-overs ended. A vendor that asks to wait is left alone for so long, by all senders everywhere."""
        open_before = self.breakers.tries(provider)
        self.breakers.heard(provider, outcomes, now)
        self._note_outage(provider, outcomes, now, open_before=open_before)
        asked = [one.retry_after for one in outcomes if isinstance(one, NotSent) and one.retry_after and not one.alone]
        if not asked:
            return
        until, known = now + min(max(asked), LONGEST_WAIT), self._closed.get(provider)
        if known is not None and until <= known + timedelta(seconds=1):
            return
        self._closed = {**self._closed, provider: until}
        log.warning("the vendor asks to wait", provider=provider, seconds=int((until - now).total_seconds()))
        try:
            rates.close(self._database, provider_key(provider), until=until)
        except (StoreError, SQLAlchemyError):  # the others will be told by the vendor, too; answers come first
            log.exception("that a vendor asks to wait could not be written down", provider=provider)

    def _note_outage(self, provider: str, outcomes: Sequence[Outcome], now: datetime, *, open_before: bool) -> None:
        """Until when its messages wait where it took nothing from anybody, and that it works again: what is refused comes again
        within `LONGEST_WAIT`.
        """
        told = [one for one in outcomes if not tells_nothing(one)]
        if any(isinstance(one, NotSent) and one.no_access for one in told):
            until = now + LONGEST_WAIT
        elif told and (open_before or self.breakers.tries(provider)):
            until = self.breakers.waits_until(provider, now) or now
        else:
            return
        try:
            outages.note(self._database, provider_key(provider), until=until)
        except (StoreError, SQLAlchemyError):  # the next failure, or the first success, says it again
            log.exception("that a provider is down could not be written down", provider=provider)

    def tidy(self, now: datetime) -> None:
        """Look what vendors have asked of other processes, and now and then forget what is long over."""
        told = rates.closed(self._database, now=now)
        closed = {name: until for name, until in self._closed.items() if until > now}
        for name in self._setup().providers:
            if (until := told.get(provider_key(name))) is not None:
                closed[name] = max(until, closed.get(name, until))
        self._closed = closed
        with self._looking:
            self._opens = {run_id: opens for run_id, opens in self._opens.items() if opens > now}
        if self._forgotten_at is None or now - self._forgotten_at > timedelta(hours=1):
            kept = max(KEPT, self._setup().workspace.settings.sending.retry_for)
            rates.forget(self._database, before=now - kept)
            self._forgotten_at = now


def _one_caller(setup: Setup, name: str) -> bool:
    provider = setup.providers.get(name)
    return provider is not None and provider.one_caller


def _alone_at(provider: str) -> str:
    """Stands for a provider with room for one sender among the buckets whose places are about to be taken."""
    return f"alone at {provider}"
